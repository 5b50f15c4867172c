//go:build unix

package server

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// directLink is a link over a TCP socket of a Unix system.
type directLink struct {
	tcp  *net.TCPConn
	raw  syscall.RawConn
	poll *busyPoll

	// Owned by the reader, for the callback below.
	in      *inbuf
	limit   int
	n       int
	readErr error
	readFn  func(fd uintptr) bool
	habit   habit
}

// writeOp is one write under way. It is borrowed from a pool, so that a
// connection at rest does not hold one.
type writeOp struct {
	segs []seg
	wait bool // for room, instead of giving up
	sent int
	err  error
	fn   func(fd uintptr) bool
}

var writeOps = sync.Pool{New: func() any {
	op := new(writeOp)
	op.fn = op.ready
	return op
}}

// newLink returns the fastest link that nc can have. Its reader may watch as poll says.
func newLink(nc net.Conn, poll *busyPoll) link {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return newPlainLink(nc)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return newPlainLink(nc)
	}
	l := &directLink{tcp: tcp, raw: raw, poll: poll}
	l.readFn = l.readReady
	return l
}

func (l *directLink) conn() net.Conn { return l.tcp }

func (l *directLink) recv(in *inbuf, limit int) (int, error) {
	l.in, l.limit = in, limit
	if err := l.raw.Read(l.readFn); err != nil {
		return 0, err
	}
	return l.n, l.readErr
}

// readReady makes one attempt to read. It reports false, holding no memory, if
// the socket has nothing: the runtime then waits and calls it again. Before that
// it may watch for a moment.
func (l *directLink) readReady(fd uintptr) bool {
	space := l.in.space(l.limit)
	for {
		n, err := syscall.Read(int(fd), space)
		switch {
		case n > 0:
			l.in.filled(n)
			l.n, l.readErr = n, nil
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			l.in.rest()
			l.poll.watch(l.n, &l.habit)
			return false
		case err == nil:
			err = io.EOF
		}
		l.n, l.readErr = 0, err
		return true
	}
}

func (l *directLink) trySend(segs []seg) (int, error) { return l.write(segs, false) }

func (l *directLink) send(segs []seg, deadline time.Time) (int, error) {
	if err := l.tcp.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	defer l.tcp.SetWriteDeadline(time.Time{})
	return l.write(segs, true)
}

func (l *directLink) write(segs []seg, wait bool) (int, error) {
	op := writeOps.Get().(*writeOp)
	op.segs, op.wait, op.sent, op.err = segs, wait, 0, nil
	err := l.raw.Write(op.fn)
	sent, failed := op.sent, op.err
	op.segs, op.err = nil, nil
	writeOps.Put(op)
	if err == nil {
		err = failed
	}
	return sent, err
}

// ready writes what the socket takes. It reports false if the rest should
// wait until there is room: the runtime then calls it again.
func (op *writeOp) ready(fd uintptr) bool {
	n, err := writeSegs(int(fd), op.segs)
	op.sent += n
	if err == errWouldBlock && op.wait {
		op.segs = skip(op.segs, n)
		return false
	}
	op.err = err
	return true
}

// writeEach writes segments one by one, as far as the socket takes them.
func writeEach(fd int, segs []seg) (total int, err error) {
	for _, s := range segs {
		for b := s.b; len(b) > 0; {
			n, err := syscall.Write(fd, b)
			switch {
			case n > 0:
				total += n
				b = b[n:]
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return total, errWouldBlock
			default:
				return total, err
			}
		}
	}
	return total, nil
}
