package server

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheEpollInstanceOfTheRuntimeIsFound(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	s, err := newPollSource(l)
	okay(t, err)
	raw, err := l.(*net.TCPListener).SyscallConn()
	okay(t, err)
	okay(t, raw.Control(func(fd uintptr) {
		if waitsFor(int(s.(*epollSource).epoll), int(fd), 0) {
			t.Error("it waits for something else with the same number")
		}
	}))
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

func TestLookingTakesNoEvents(t *testing.T) { // alone: it counts allocations
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	okay(t, err)
	defer unix.Close(epoll)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	okay(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	// As the runtime does it.
	okay(t, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fds[0], &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fds[0])}))
	events := make([]unix.EpollEvent, 2)
	take := func() {
		t.Helper()
		if n, err := unix.EpollWait(epoll, events, 0); n != 1 || err != nil {
			t.Fatalf("got %d events, %v, want 1", n, err)
		}
	}
	take() // it is writable
	s := &epollSource{int32(epoll), time.Now()}
	if s.ready() {
		t.Error("ready before anything has come")
	}
	_, err = unix.Write(fds[1], []byte("x"))
	okay(t, err)
	for range 2 {
		if !s.ready() {
			t.Error("not ready though something has come")
		}
	}
	take()
	if s.ready() {
		t.Error("ready after the event was taken")
	}
	if n := testing.AllocsPerRun(100, func() { s.ready() }); n != 0 {
		t.Errorf("a look allocates %v times", n)
	}
}

func TestReadersWatchInARhythmOfRequests(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	s, err := New(&Options{Host: "127.0.0.1", Port: RandomPort, NoSigs: true})
	okay(t, err)
	s.busyPoll.source, err = newPollSource(l) // whatever processors there are here
	okay(t, err)
	go s.Start() // ends with Shutdown, which waits
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	request := rhythm(t, s)
	for range 500 {
		request()
	}
	s.busyPoll.watched.ns.Store(0) // the first watches, of readers that knew nothing yet, do not count
	for range 100_000 {
		request()
		if s.busyPoll.watched.mean() > 0 {
			return
		}
	}
	t.Error("nobody watches, not even to try")
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
