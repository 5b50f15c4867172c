package server

import (
	"net"
	"runtime"
	"syscall"
	"testing"
)

func TestTheEpollInstanceOfTheRuntimeIsFound(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	s, err := newPollSource(l)
	okay(t, err)
	if waitsFor(int(s.(*epollSource).epoll), 1<<20) {
		t.Error("it waits for a socket that is not open")
	}
	before := s.now()
	s.yield()
	if now := s.now(); before <= 0 || now < before {
		t.Errorf("got the times %v and %v", before, now)
	}
}

func TestASocketThatTheRuntimeDoesNotKnowFindsNothing(t *testing.T) {
	t.Parallel()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	okay(t, err)
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	if epoll, err := epollOf(fds[0]); err == nil {
		t.Errorf("got %d", epoll)
	}
	if _, err := newPollSource(new(pipeNet)); err == nil {
		t.Error("a listener that is no socket is taken")
	}
}

func TestReadersWatchInARhythmOfRequests(t *testing.T) {
	t.Parallel()
	if err := enoughProcessors(runtime.GOMAXPROCS(0), runtime.NumCPU()); err != nil {
		t.Skip(err) // then TestWatchingNeedsProcessorsToSpare says what happens
	}
	s := broker(t, nil)
	if s.busyPoll.hindrance != nil {
		t.Fatal(s.busyPoll.hindrance)
	}
	request := rhythm(t, s)
	for range 100_000 {
		request()
		if s.busyPoll.watched.mean() > 0 {
			return
		}
	}
	t.Error("nobody ever watched")
}

func TestNobodyWatchesIfThatIsOff(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.NoBusyPoll = true })
	request := rhythm(t, s)
	for range 1000 {
		request()
		if s.busyPoll.watched.mean() > 0 {
			t.Fatal("somebody watched")
		}
	}
}

// rhythm returns a function that makes a request and waits for the reply.
func rhythm(t *testing.T, s *Server) func() {
	t.Helper()
	responder, requester := dialWire(t, s), dialWire(t, s)
	okay(t, responder.send("SUB service 1\r\nPING\r\n"))
	okay(t, requester.send("SUB inbox 1\r\nPING\r\n"))
	for _, w := range []*wire{responder, requester} {
		if line, err := w.line(); err != nil || line != "PONG\r\n" {
			t.Fatalf("got %q, %v, want PONG", line, err)
		}
	}
	// frame reads a message without payload.
	frame := func(w *wire, want string) {
		t.Helper()
		for _, want := range []string{want, ""} {
			if line, err := w.line(); err != nil || line != want+"\r\n" {
				t.Fatalf("got %q, %v, want %q", line, err, want)
			}
		}
	}
	return func() {
		t.Helper()
		okay(t, requester.send("PUB service inbox 0\r\n\r\n"))
		frame(responder, "MSG service 1 inbox 0")
		okay(t, responder.send("PUB inbox 0\r\n\r\n"))
		frame(requester, "MSG inbox 1 0")
	}
}
