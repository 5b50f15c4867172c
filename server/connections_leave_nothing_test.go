package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// misbehaviour is what a client of the churn does, and whether the server is expected to close
// first.
type misbehaviour struct {
	name   string
	text   string
	closes bool // the server closes after it
	reset  bool // the client resets instead of closing
}

// misbehaviours are the manners in which clients come and go.
var misbehaviours = []misbehaviour{
	{"says nothing", "", false, false},
	{"resets at once", "", false, true},
	{"sends garbage", "GET / HTTP/1.1\r\n\r\n", true, false},
	{"sends zeros", strings.Repeat("\x00", 100), true, false},
	{"leaves in the middle of a keyword", "CONN", false, false},
	{"leaves in the middle of a control line", "PUB foo.bar", false, true},
	{"leaves in the middle of a payload", "PUB foo 100000\r\nabc", false, true},
	{"announces too much", "PUB foo 999999999\r\n", true, false},
	{"sends a line without end", "SUB " + strings.Repeat("x", 8000), true, false},
	{"breaks JSON", "CONNECT {\"verbose\":\r\n", true, true},
	{"subscribes and resets", "SUB a 1\r\nSUB b.* g 2\r\nSUB > 3\r\nPUB a 2\r\nhi\r\n", false, true},
	{"does everything right", "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nUNSUB 1 5\r\nPUB a 2\r\nhi\r\nPING\r\n", false, false},
}

// be has one client come and go in some manner.
func (m *misbehaviour) be(addr string) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * patience))
	if m.reset {
		nc.(*net.TCPConn).SetLinger(0)
	}
	if _, err := io.WriteString(nc, m.text); err != nil || !m.closes {
		return nil // refused already, or no need to wait
	}
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a client that %s is not closed", m.name)
	}
	return nil
}

// openFiles counts the descriptors of this process, 0 where that is not known.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// TestNothingIsLeftOfClientsThatMisbehave runs alone, so that it can count goroutines and files.
func TestNothingIsLeftOfClientsThatMisbehave(t *testing.T) {
	const clients, atATime = 2000, 40
	goroutines, files := runtime.NumGoroutine(), openFiles()
	s := broker(t, nil)
	jobs := make(chan *misbehaviour)
	var wg sync.WaitGroup
	for range atATime {
		wg.Go(func() {
			for m := range jobs {
				if err := m.be(s.Addr().String()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(5, 5))
	for range clients {
		jobs <- &misbehaviours[r.IntN(len(misbehaviours))]
	}
	close(jobs)
	wg.Wait()
	eventually(t, "no client is registered", func() bool { return s.NumClients() == 0 })
	eventually(t, "no subscription is left", func() bool { return s.NumSubscriptions() == 0 })
	eventually(t, "nothing is pending", func() bool { return s.io.Pending.Load() == 0 && s.io.SetAside.Load() == 0 })
	// A client that the server closes lingers, so more than atATime may overlap.
	if got, most := int(s.slots.next), clients/2; got > most {
		t.Errorf("%d slots were handed out, want %d at most: they are to be used again", got, most)
	}
	w := dialClient(t, s)
	w.Drain()
	s.Shutdown()
	w.Close()
	if free, next := len(s.slots.free), int(s.slots.next); free != next {
		t.Errorf("%d slots of %d came back", free, next)
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "all files are closed", func() bool { return openFiles() <= files })
}
