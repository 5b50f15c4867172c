package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"gnatsd/test/check"
	"gnatsd/test/wire"
)

// This file lets clients send anything to a server that other clients use: these must notice
// nothing of it.

// clientFragments are what scripts of FuzzClientSequences are made of besides fragments: operations
// on what others use, by a user that may not do that.
var clientFragments = append(slices.Clone(fragments),
	`CONNECT {"user":"guest","pass":"guest","verbose":false,"headers":true}`+"\r\n",
	`CONNECT {"user":"guest","pass":"guest","verbose":true,"pedantic":true,"echo":false}`+"\r\n",
	`CONNECT {"user":"own","pass":"guess"}`+"\r\n",
	"SUB own.> 10\r\n", "SUB own.x workers 11\r\n", "SUB > workers 12\r\n", "SUB *.* workers 13\r\n", "SUB *.x 14\r\n", "SUB > 15\r\n", "SUB a.> 16\r\n",
	"UNSUB 12\r\n", "UNSUB 13 1\r\n", "UNSUB 15 2\r\n", "UNSUB 2\r\n",
	"PUB own.x 3\r\nbad\r\n", "PUB own.q own.x 3\r\nbad\r\n", "HPUB own.x 12 15\r\nNATS/1.0\r\n\r\nbad\r\n", "PUB a.b own.x 2\r\nhi\r\n",
	"PUB a.b 5\r\n", "hello\r\n", "PUB a.b 100\r\nshort", "SUB a.", "b 17\r\nPUB a.b 0\r\n\r\n", "PUB a.b 2\r\nhi\r\nPUB a.b 2\r\nho\r\nPUB a.b 2\r\nha\r\n",
	"PUB $SYS.REQ.SERVER.PING a 0\r\n\r\n", "PUB $SYS.REQ.USER.INFO a 0\r\n\r\n", "SUB $SYS.> 18\r\n",
)

// More numbers of scripts: see scriptWrite.
const (
	scriptSwitch = 240 + iota // the next byte says which of several connections goes on
	scriptHalf                // the connection is half-closed
	scriptOthers              // the others publish; the next byte says how many bytes of it are sent at once
)

// maxScript bounds the bytes of a script: longer ones find nothing new, and are slow.
const maxScript = 64

// attacked is a server with bystanders, for many executions.
type attacked struct {
	bystanders
	goroutines
	private  bool // attackers must not receive what bystanders publish
	dial     func() (net.Conn, error)
	publish  func() // lets bystanders publish
	fence    func(t testing.TB)
	settled  func() bool                    // nothing is left of the attackers on the server
	answered func(t testing.TB, out []byte) // looks at what an attacker receives; may be nil
	shutdown func()
}

// intruder is a connection of a script. What it receives is read all the time, so that servers are
// not held up.
type intruder struct {
	nc   net.Conn
	part []byte
	over bool // it writes no more
	out  bytes.Buffer
	done chan error // has the end of reading
}

// newIntruder reads from nc until the other end closes, or the execution takes too long.
func newIntruder(nc net.Conn) *intruder {
	nc.SetDeadline(time.Now().Add(executionTime()))
	c := &intruder{nc: nc, done: make(chan error, 1)}
	go func() { // ends with the connection; play waits for it
		_, err := c.out.ReadFrom(nc)
		c.done <- err
	}()
	return c
}

// play lets the connections of a script do what it says, while the bystanders publish.
func (a *attacked) play(t testing.TB, fragments []string, script []byte) {
	t.Helper()
	defer a.limit()()
	var conns [3]*intruder
	current := 0
	conn := func() *intruder {
		if conns[current] == nil {
			nc, err := a.dial()
			okay(t, err)
			conns[current] = newIntruder(nc)
		}
		return conns[current]
	}
	for i := 0; i < len(script); i++ {
		more := i+1 < len(script)
		switch n := script[i]; {
		case n == scriptSwitch && more:
			i++
			current = int(script[i]) % len(conns)
		case n == scriptWrite:
			conn().write()
		case n == scriptHalf:
			conn().halfClose()
		case n == scriptReset:
			conn().reset()
		case n == scriptOthers && more:
			i++
			a.publish()
			a.clients[0].flush(t, int(script[i]))
		case n == scriptRaw && more:
			i++
			conn().part = append(conn().part, script[i])
		default:
			conn().part = append(conn().part, fragments[int(n)%len(fragments)]...)
		}
	}
	for _, c := range conns {
		if c == nil {
			continue
		}
		c.halfClose()
		err := <-c.done
		c.nc.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("not closed after %s", wire.Excerpt(c.out.String()))
		}
		if a.private && bytes.Contains(c.out.Bytes(), []byte(bystanderMark)) {
			t.Errorf("what others publish was received: %q", c.out.Bytes())
		}
		if a.answered != nil {
			a.answered(t, c.out.Bytes())
		}
	}
	a.publish()
	a.fence(t)
	a.judge(t)
	soon(t, "nothing is left", a.settled)
	a.goroutines.check(t)
}

func (c *intruder) write() {
	if len(c.part) > 0 && !c.over {
		c.nc.Write(c.part) // an error says that the server has ended the connection
		c.part = c.part[:0]
	}
}

func (c *intruder) halfClose() {
	c.write()
	if !c.over {
		c.over = true
		c.nc.(interface{ CloseWrite() error }).CloseWrite()
	}
}

func (c *intruder) reset() {
	c.write()
	c.over = true
	c.nc.Close()
}

// playOn plays a script on the servers at, which start starts if there are none: at first, and after
// a failure.
func playOn(t *testing.T, at **attacked, fragments []string, script []byte, start func(t testing.TB) *attacked) {
	if len(script) > maxScript {
		return
	}
	if *at == nil {
		*at = start(t)
	}
	a := *at
	defer func() {
		if t.Failed() {
			a.shutdown()
			*at = nil
		}
	}()
	a.play(t, fragments, script)
}

// seedScripts adds scripts with each fragment: alone, cut, and in the middle of others.
func seedScripts(f *testing.F, fragments []string, login byte, begin ...byte) {
	for i := range fragments {
		f.Add(append(begin[:len(begin):len(begin)], byte(i), scriptOthers, 10, scriptWrite, byte(i), scriptSwitch, 1, login, byte(i), scriptOthers, 255, scriptReset, byte(i)))
	}
}

// startAttackedByClients starts a server with users: bystanders, and guests, which everyone is.
func startAttackedByClients(t testing.TB) *attacked {
	t.Helper()
	n := newMemoryNet()
	o := memoryOptions(n)
	o.Users = []*User{
		{Username: "own", Password: "secret"},
		{Username: "guest", Password: "guest", Permissions: &Permissions{
			Publish: &SubjectPermission{Deny: []string{"own.>"}}, Subscribe: &SubjectPermission{Deny: []string{"own.>"}},
		}},
	}
	o.NoAuthUser = "guest"
	o.MaxControlLine = 4096
	s := startInMemory(t, o)
	a := &attacked{private: true, dial: func() (net.Conn, error) { return n.Dial(s.Addr().String(), 0) }, shutdown: s.Shutdown}
	for range 4 {
		nc, err := a.dial()
		okay(t, err)
		a.join(t, nc, 0, `{"verbose":false,"user":"own","pass":"secret"}`)
	}
	p, plain, q1, q2 := a.clients[0], a.clients[1], a.clients[2], a.clients[3]
	plain.subscribe(t, "own.x", "")
	plain.subscribe(t, "own.>", "")
	plain.subscribe(t, ">", "")
	q1.subscribe(t, "own.q", "workers")
	q2.subscribe(t, "own.*", "workers")
	a.ready()
	subs := s.NumSubscriptions()
	a.publish = func() {
		p.publish("own.x")
		p.publish("own.q")
	}
	a.fence = func(t testing.TB) {
		for _, c := range a.clients {
			c.fence(t)
		}
	}
	a.settled = func() bool {
		return s.NumClients() == len(a.clients) && s.NumSubscriptions() == subs && s.io.Pending.Load() == 0
	}
	return a
}

// FuzzClientSequences lets several clients that may do little send what a script says, and sees that
// others lose nothing, get nothing twice, and that nothing of theirs is received by the former.
func FuzzClientSequences(f *testing.F) {
	seedScripts(f, clientFragments, byte(slices.Index(clientFragments, `CONNECT {"user":"guest","pass":"guest","verbose":false,"headers":true}`+"\r\n")))
	f.Add([]byte{scriptOthers, 255, scriptOthers, 3, scriptOthers, 255})
	oneThread()
	var a *attacked
	f.Cleanup(func() {
		if a != nil {
			a.shutdown()
		}
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		playOn(t, &a, clientFragments, script, startAttackedByClients)
	})
}

// TestBystandersNotice checks that the judge of the fuzz targets sees faults.
func TestBystandersNotice(t *testing.T) {
	t.Parallel()
	for _, what := range []struct {
		name   string
		change func(events []check.Event, received []int) []check.Event
	}{
		{"a lost message", func(e []check.Event, r []int) []check.Event { return slices.Delete(e, r[0], r[0]+1) }},
		{"a message that arrives twice", func(e []check.Event, r []int) []check.Event { return slices.Insert(e, r[0], e[r[0]]) }},
		{"messages in another order", func(e []check.Event, r []int) []check.Event {
			e[r[0]], e[r[3]] = e[r[3]], e[r[0]]
			return e
		}},
	} {
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			a := startAttackedByClients(t)
			t.Cleanup(a.shutdown)
			for range 3 {
				a.publish()
			}
			a.fence(t)
			var received []int
			for i, e := range a.events {
				if e.Kind == check.Received && e.Client == 2 && e.Sid == "1" || e.Kind == check.Received && e.Sid == "2" {
					received = append(received, i)
				}
			}
			events := append(slices.Clone(a.events), check.Event{Kind: check.Quiet})
			if got := check.Judge(events).Faults; len(got) != 0 {
				t.Fatalf("got faults %v", got)
			}
			if got := check.Judge(what.change(events, received)).Faults; len(got) == 0 {
				t.Error("no fault")
			}
		})
	}
}
