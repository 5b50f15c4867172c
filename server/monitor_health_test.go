package server

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gnatsd/logger"
)

func TestHealthzSaysWhyClientsShouldGoElsewhere(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	s.lameDuck.Store(true)
	want := `{"status":"unavailable","error":"server is in lame duck mode"}`
	if got := ask(t, s, "/healthz"); got.status != 503 || got.body != want {
		t.Errorf("got %d %s, want 503 %s", got.status, got.body, want)
	}
	for trouble, made := range map[string]*Server{"server is not ready for connections": {ready: make(chan struct{}), quit: make(chan struct{})}} {
		if got := made.health(0); got != trouble {
			t.Errorf("got %q, want %q", got, trouble)
		}
	}
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.Username, o.Password = "me", "canary" })
	p := newSelfCheck(s)
	for range 3 {
		if !s.healthy(p) {
			t.Error("got no answer of a server that works")
		}
	}
	if n := s.NumClients(); n != 0 {
		t.Errorf("got %d clients, want the self-check not to count", n)
	}
	p.end()
	<-closedBy(p.peer)
	if s.healthy(p) {
		t.Error("got an answer of a self-check that has ended")
	}
}

// closedBy is closed when the other end of nc is.
func closedBy(nc net.Conn) <-chan struct{} {
	closed := make(chan struct{})
	go func() { // ends with the connection
		defer close(closed)
		var b [1]byte
		for {
			if _, err := nc.Read(b[:]); err != nil {
				return
			}
		}
	}()
	return closed
}

// TestHealthyHangsWithTheServer holds locks that the server needs. An answer must not come before
// they are free again.
func TestHealthyHangsWithTheServer(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	p := newSelfCheck(s)
	defer p.end()
	for name, lock := range map[string]sync.Locker{
		"server": &s.mu, "registry": &s.clients.mu,
	} {
		var free atomic.Bool
		early := make(chan bool, 1)
		lock.Lock()
		go func() { // ends when the lock can be had
			s.healthy(p)
			early <- !free.Load()
		}()
		for range 1000 {
			runtime.Gosched()
		}
		free.Store(true)
		lock.Unlock()
		if <-early {
			t.Errorf("%s: got an answer while its lock was held", name)
		}
	}
}

// stuckWriter is a destination of a log that takes nothing until it is freed.
type stuckWriter chan bool

func (w stuckWriter) Write(b []byte) (int, error) { <-w; return len(b), nil }

// TestLostLinesOfTheLogAreReported has a log whose destination stalls, and another one after it.
func TestLostLinesOfTheLogAreReported(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	lost := func() (float64, string) {
		return scrapeOf(t, s)["gnatsd_log_lines_lost_total"], decode[struct {
			Status, Note string
		}](t, s, "/healthz").Note
	}
	if n, note := lost(); n != 0 || note != "" {
		t.Fatalf("got %v lines and %q before anything was lost, want none", n, note)
	}
	stuck := make(stuckWriter)
	l := logger.New(stuck, logger.Options{QueueSize: 1})
	s.SetLogger(l, false, false)
	for l.Dropped() == 0 {
		s.Noticef("%s", strings.Repeat("x", 1000))
	}
	n, note := lost()
	if want := fmt.Sprintf("%v lines of the log were lost: ", n); n == 0 || !strings.HasPrefix(note, want) {
		t.Errorf("got %v lines and %q, want the note to begin with %q", n, note, want)
	}
	close(stuck)
	s.SetLogger(newLineLog(), false, false)
	if after, note := lost(); after < n || note == "" {
		t.Errorf("got %v lines and %q with another log, want %v at least", after, note, n)
	}
}
