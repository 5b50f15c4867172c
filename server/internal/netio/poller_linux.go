package netio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Poller waits for the sockets of many idle connections, so that none of them needs a goroutine
// that waits. It is an epoll instance, for which one goroutine waits.
type Poller struct {
	file  *os.File // the epoll instance
	raw   syscall.RawConn
	ready func(key uint64)

	// Owned by its goroutine.
	events [128]unix.EpollEvent
	n      int // of events
}

// OpenPoller returns a Poller that calls ready, on its goroutine, with the key of each socket that
// has become readable. The error may pass: there may be no descriptor.
func OpenPoller(ready func(key uint64)) (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // so that os.NewFile has the runtime wait
		unix.Close(epoll)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &Poller{file: os.NewFile(uintptr(epoll), "epoll"), ready: ready}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	go p.run() // ends with Close
	return p, nil
}

// Close ends the Poller. It calls ready for no socket any more, but may be in a call.
func (p *Poller) Close() { p.file.Close() }

// Watch has ready called once, with key, when there is something to read on a socket, or an error,
// or its end. A socket that is closed is not watched any more.
func (p *Poller) Watch(nc net.Conn, key uint64) error {
	raw := rawOf(nc)
	if raw == nil {
		return errors.ErrUnsupported
	}
	var lost, failed error
	closed := p.raw.Control(func(epoll uintptr) {
		lost = raw.Control(func(fd uintptr) {
			event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(key), Pad: int32(key >> 32)}
			failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, int(fd), &event)
			if failed == unix.ENOENT { // it has not been watched before
				failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
			}
		})
	})
	return errors.Join(closed, lost, failed)
}

func (p *Poller) run() {
	for p.raw.Read(p.look) == nil {
		for _, e := range p.events[:p.n] {
			p.ready(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}

// look takes events. It reports false if there are none, and the runtime waits for some.
func (p *Poller) look(epoll uintptr) bool {
	n, err := unix.EpollWait(int(epoll), p.events[:], 0)
	p.n = max(n, 0)
	return p.n > 0 || err == unix.EINTR // then it is asked again
}
