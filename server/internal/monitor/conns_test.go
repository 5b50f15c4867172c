package monitor

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyConnectionsCloseOthersOnly has clients that open as many connections as they can, in
// each of the ways in which these stay open: others are always answered.
func TestManyConnectionsCloseOthersOnly(t *testing.T) {
	t.Parallel()
	const most, many = 8, 60
	for name, sent := range map[string]string{
		"that say nothing":            "",
		"in the middle of a request":  "GET /figures HTTP/1.1\r\nHost: x\r\n",
		"that stay after an answer":   "GET /figures HTTP/1.1\r\nHost: x\r\n\r\n",
		"that do not read an answer":  "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n",
		"with a body that never ends": "POST /figures HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, Settings{}, func(c *Config) {
				c.MaxConns = most
				c.Pages = append(c.Pages, hugePage(8<<20, nil))
			})
			honest := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			var all []net.Conn
			for i := range many {
				all = append(all, raw(t, m.Addr(), sent))
				if i%10 == 0 {
					r, err := http.NewRequest("GET", "http://"+m.Addr().String()+"/healthz", nil)
					if err != nil {
						t.Fatal(err)
					}
					if got := do(t, honest, r); got.status != 200 {
						t.Errorf("/healthz after %d connections: got %d, want 200", i, got.status)
					}
				}
			}
			closed := make(chan struct{}, many)
			for _, nc := range all {
				go func() { // ends when the server, or the test, closes nc
					io.Copy(io.Discard, nc)
					closed <- struct{}{}
				}()
			}
			for range many - most {
				<-closed // all but the last ones are closed by the server
			}
		})
	}
}

// hugePage is a large page of that many bytes. making is called whenever it is made.
func hugePage(size int, making func()) Page {
	return Page{Path: "/huge", Large: true, Decode: func(*Params) func(*Body) error {
		return func(b *Body) error {
			if making != nil {
				making()
			}
			_, err := b.Write(make([]byte, size))
			return err
		}
	}}
}

// from is a dialer from another address of this machine.
func from(t *testing.T, ip string) *net.Dialer {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("needs %s: %v", ip, err)
		}
		t.Skipf("needs %s: %v", ip, err)
	}
	l.Close()
	return d
}

// TestFewConnectionsOfAnAddressStay has one client with an idle connection, and another one that
// opens as many as it can.
func TestFewConnectionsOfAnAddressStay(t *testing.T) {
	t.Parallel()
	d := from(t, "127.0.0.2")
	m := started(t, Settings{}, func(c *Config) { c.MaxConns = 8 })
	nc, err := d.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	for range 3 {
		io.WriteString(nc, "GET /figures HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("the idle connection was closed: %v", err)
		}
		io.Copy(io.Discard, resp.Body)
		for range 20 {
			raw(t, m.Addr(), "")
		}
		ask(t, m, "/healthz") // all of them have been accepted
	}
}

// TestAnswersThatAreNotReadAreBounded has clients that ask for a large page and read nothing. What
// is held of all answers is looked at whenever a page begins.
func TestAnswersThatAreNotReadAreBounded(t *testing.T) {
	t.Parallel()
	const size, readers = 8 << 20, 24
	var m *Monitor
	m = newTest(t, Settings{}, func(c *Config) {
		c.Pages = append(c.Pages, hugePage(size, func() {
			m.answers.mu.Lock()
			defer m.answers.mu.Unlock()
			if m.answers.bytes >= 3*size {
				t.Errorf("a page begins while %d bytes are held", m.answers.bytes)
			}
		}))
	})
	m.answers.max, m.answers.stall = 3*size, 50*time.Millisecond
	if err := m.Start(Address{Host: "127.0.0.1", Port: -1}); err != nil {
		t.Fatal(err)
	}
	for range readers {
		raw(t, m.Addr(), "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	if got := ask(t, m, "/huge"); got.status != 200 || len(got.body) != size {
		t.Errorf("a client that reads: got %d and %d bytes", got.status, len(got.body))
	}
	m.Close() // ends the answers under way
	m.answers.max = 1
	if err := m.answers.await(t.Context()); err != nil || m.answers.bytes != 0 || len(m.answers.list) != 0 {
		t.Errorf("%v: %d bytes of %d answers are left", err, m.answers.bytes, len(m.answers.list))
	}
}

// TestAReaderThatGoesOnIsNotCutOff has a client that reads little at a time while another waits.
func TestAReaderThatGoesOnIsNotCutOff(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	m := newTest(t, Settings{}, func(c *Config) { c.Pages = append(c.Pages, hugePage(size, nil)) })
	m.answers.max, m.answers.time, m.answers.stall = size, patience, patience
	if err := m.Start(Address{Host: "127.0.0.1", Port: -1}); err != nil {
		t.Fatal(err)
	}
	nc := raw(t, m.Addr(), "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(nc, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if got := ask(t, m, "/huge"); len(got.body) != size {
			t.Errorf("the one that waits: got %d bytes", len(got.body))
		}
	})
	n := 0
	for sip := make([]byte, 1<<10); ; {
		k, err := resp.Body.Read(sip)
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != size {
		t.Errorf("got %d bytes, want %d", n, size)
	}
	waiting.Wait()
}

// stuckConn is a connection that takes nothing.
type stuckConn struct {
	net.Conn
	deadlines chan time.Time
}

func (c *stuckConn) SetWriteDeadline(t time.Time) error { c.deadlines <- t; return nil }
func (c *stuckConn) Write(b []byte) (int, error)        { return len(b), nil }

// takingConn is a connection that takes every write, the fifth one slowly, and notes their sizes. It is
// used in a bubble of synctest.
type takingConn struct {
	net.Conn
	sizes []int
}

func (c *takingConn) SetWriteDeadline(time.Time) error { return nil }
func (c *takingConn) Write(b []byte) (int, error) {
	if c.sizes = append(c.sizes, len(b)); len(c.sizes) == 5 {
		time.Sleep(webQuick)
	}
	return len(b), nil
}

// TestLongAnswersAreWrittenInFewPieces has a client that takes pieces at once, and one of them slowly.
func TestLongAnswersAreWrittenInFewPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		taking := &takingConn{}
		c := &webConn{Conn: taking}
		for range 8 {
			if n, err := c.Write(make([]byte, bodyPiece)); n != bodyPiece || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		const k = 1 << 10
		want := []int{16 * k, 32 * k, 16 * k, 64 * k, 64 * k, 16 * k, 32 * k, 16 * k, 64 * k, 64 * k, 64 * k, 64 * k}
		if got := taking.sizes; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// partialConn is a connection whose first write takes some bytes until its deadline.
type partialConn struct {
	net.Conn
	takes  int
	writes int
}

func (c *partialConn) SetWriteDeadline(time.Time) error { return nil }
func (c *partialConn) Write(b []byte) (int, error) {
	if c.writes++; c.writes == 1 {
		return c.takes, os.ErrDeadlineExceeded
	}
	return len(b), nil
}

// TestSomeProgressIsEnough has a client that takes a part of a large piece in time.
func TestSomeProgressIsEnough(t *testing.T) {
	t.Parallel()
	for takes, ok := range map[int]bool{0: false, webPiece - 1: false, webPiece: true, webPiece + 1: true} {
		c := &webConn{Conn: &partialConn{takes: takes}, piece: webMostPiece}
		if n, err := c.Write(make([]byte, 2*webMostPiece)); (err == nil) != ok || (n == 2*webMostPiece) != ok {
			t.Errorf("%d bytes: got %d, %v", takes, n, err)
		}
	}
}

// TestWritesHaveADeadlineForProgress looks at the deadlines of a long answer.
func TestWritesHaveADeadlineForProgress(t *testing.T) {
	t.Parallel()
	const pieces = 5
	c := &webConn{Conn: &stuckConn{deadlines: make(chan time.Time, pieces+2)}}
	begin := time.Now()
	end := begin.Add(webProgress + time.Millisecond) // the whole answer must be written by then
	if err := c.SetWriteDeadline(end); err != nil {
		t.Fatal(err)
	}
	deadlines := c.Conn.(*stuckConn).deadlines
	<-deadlines
	for range pieces {
		if n, err := c.Write(make([]byte, webPiece)); n != webPiece || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	for i := range pieces {
		if d := <-deadlines; d.Before(begin.Add(webProgress)) || d.After(end) {
			t.Errorf("piece %d: deadline after %v, want %v, and %v at most", i, d.Sub(begin), webProgress, end.Sub(begin))
		}
	}
	c.closing.Store(true)
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("it writes after it was cut")
	}
}

// TestTimesOfAConnectionKeepTheMonotonicClock looks at the times that decide when a write is given
// up: a step of the system clock must not change them. Only String shows whether a time has it.
func TestTimesOfAConnectionKeepTheMonotonicClock(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	c := &webConn{Conn: near}
	go io.Copy(io.Discard, far) // ends with the pipe
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for what, at := range map[string]time.Time{"the deadline": c.deadline(), "the last write": *c.moved.Load()} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is %v, without the monotonic clock", what, at)
		}
	}
	a := &answers{time: time.Minute, stall: time.Second}
	one := &answer{begun: time.Now(), conn: c}
	later := one.begun.Add(10 * time.Second)
	c.moved.Store(&later)
	if got := a.left(one, later); got != time.Second {
		t.Errorf("%v are left after a write, want 1s", got)
	}
}
