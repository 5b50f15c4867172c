package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/test/wire"
)

func TestStartAndShutdownMayRace(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		s, err := NewServer(&Options{Host: "127.0.0.1", Port: RandomPort})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Start() })
		wg.Go(func() {
			for range i * 20 {
				runtime.Gosched()
			}
			s.Shutdown()
		})
		wg.Go(func() {
			if addr := s.Addr(); addr != nil {
				if nc, err := net.Dial("tcp", addr.String()); err == nil {
					io.Copy(io.Discard, nc)
					nc.Close()
				}
			}
			s.Shutdown()
		})
		wg.Wait()
		if s.ReadyForConnections(time.Minute) {
			t.Fatal("a server is ready after Shutdown")
		}
	}
}

func TestShutdownEndsEveryConnection(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	var all []*wire.Client
	for i := range 50 {
		w := dialClient(t, s)
		okay(t, w.Send(fmt.Sprintf("SUB foo %d\r\nPUB fo", i)))
		all = append(all, w)
	}
	s.Shutdown()
	for _, w := range all {
		if _, err := w.UntilPong(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want an end", err)
		}
	}
	if got := s.NumClients(); got != 0 {
		t.Errorf("got %d clients, want 0", got)
	}
}

// TestASecondStartIsRefused starts a server again while it runs, and after its end: the error says
// so, the clients of the first start stay, and Shutdown ends.
func TestASecondStartIsRefused(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	w := dialClient(t, s)
	if err := s.Run(); !errors.Is(err, errStartedBefore) {
		t.Errorf("a second start: got %v, want %v", err, errStartedBefore)
	}
	s.Start() // returns
	if !s.ReadyForConnections(patience) {
		t.Error("after a second start the server is not ready")
	}
	okay(t, w.Send("PING\r\n"))
	if _, err := w.UntilPong(); err != nil {
		t.Errorf("after a second start a client got %v", err)
	}
	s.Shutdown()
	if err := s.Run(); !errors.Is(err, errStartedBefore) {
		t.Errorf("a start after the end: got %v, want %v", err, errStartedBefore)
	}
}

func TestANilUserIsAnError(t *testing.T) {
	t.Parallel()
	for _, o := range []*Options{{Users: []*User{{Username: "a", Password: "b"}, nil}}, {Nkeys: []*NkeyUser{nil}}} {
		if _, err := NewServer(o); err == nil || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("got %v", err)
		}
	}
}
