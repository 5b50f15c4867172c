package netio

import (
	"net"
	"sync"
	"sync/atomic"
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
	if _, err := newPollSource(pipeListener{}); err == nil {
		t.Error("a listener that is no socket is taken")
	}
}

// pipeListener is a listener that is not a socket.
type pipeListener struct{ net.Listener }

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

// countingSource counts how often readers polled.
type countingSource struct {
	pollSource
	looks atomic.Int64
}

func (c *countingSource) ready() bool {
	c.looks.Add(1)
	return c.pollSource.ready()
}

// requests returns a function that makes a request to a reader and waits for
// the reply. looks returns how often the reader has polled.
func requests(t *testing.T, shared *Shared) (request func(), looks func() int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	source, err := newPollSource(l) // whatever processors there are here
	okay(t, err)
	counting := &countingSource{pollSource: source}
	shared.BusyPoll.source = counting
	server, client := tcpPair(t)
	var done sync.WaitGroup
	t.Cleanup(done.Wait)
	t.Cleanup(func() { client.Close() })
	done.Go(func() { // ends with the connection
		link := NewLink(server, shared)
		defer link.Close()
		var in ReadBuffer
		defer in.Clear()
		for {
			n, err := link.Recv(&in, ReadSize)
			if err != nil {
				return
			}
			in.Consume(n)
			server.Write([]byte("x"))
		}
	})
	reply := make([]byte, 1)
	return func() {
		t.Helper()
		_, err := client.Write([]byte("x"))
		okay(t, err)
		_, err = client.Read(reply)
		okay(t, err)
	}, counting.looks.Load
}

func TestReadersPollBetweenRequests(t *testing.T) {
	t.Parallel()
	shared := new(Shared)
	p := &shared.BusyPoll
	request, looks := requests(t, shared)
	polls := func() bool {
		before := looks()
		for range 100_000 {
			if request(); looks() > before {
				return true
			}
		}
		return false
	}
	if !polls() {
		t.Error("no reader polls, not even to try")
	}
	p.Allow(false)
	request() // the one before may have been answered by a reader that polls since
	before := looks()
	for range 1000 {
		request()
	}
	if n := looks() - before; n != 0 {
		t.Errorf("a reader polled %d times while that was off", n)
	}
	p.Allow(true)
	if !polls() {
		t.Error("no reader polls after that is on again")
	}
}
