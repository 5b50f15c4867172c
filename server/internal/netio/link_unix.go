//go:build unix

package netio

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// writesResume says that a write that a deadline has ended can go on: how much of it was sent is
// known.
const writesResume = true

// directLink is a link over a TCP socket of a Unix system.
type directLink struct {
	// Set once.
	tcp *net.TCPConn
	raw syscall.RawConn

	// Owned by the reader, for readReady.
	in      *ReadBuffer
	limit   int
	n       int
	readErr error
	ready   func(fd uintptr) bool // readReady
	work    work
	streak  Streak
}

// NewLink returns the fastest link that nc can have.
func NewLink(nc net.Conn, shared *Shared) Link {
	tcp, ok := nc.(*net.TCPConn)
	raw := rawOf(nc)
	if !ok || raw == nil {
		return newPlainLink(nc, shared)
	}
	l := &directLink{tcp: tcp, raw: raw, work: work{shared: shared}}
	l.ready = l.readReady
	return l
}

func (l *directLink) Conn() net.Conn { return l.tcp }

func (l *directLink) Recv(b *ReadBuffer, limit int) (int, error) {
	if l.streak.due(l.n, &reads) {
		l.work.yield()
	}
	l.in, l.limit = b, limit
	if err := l.raw.Read(l.ready); err != nil {
		return 0, err
	}
	return l.n, l.readErr
}

// readReady makes one attempt to read. It reports false, holding no memory, if the socket has
// nothing: the runtime then waits and calls it again. Before that it may poll for a moment.
func (l *directLink) readReady(fd uintptr) bool {
	space := l.in.Space(l.work.shared.readLimit(l.limit))
	for {
		n, err := syscall.Read(int(fd), space)
		switch {
		case n > 0:
			l.work.begin()
			l.in.Filled(n)
			l.n, l.readErr = n, nil
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			l.in.Shrink()
			l.work.shared.Hold(l.in)
			l.work.end()
			l.streak = Streak{}
			l.work.shared.BusyPoll.poll(l.n)
			return false
		case err == nil:
			err = io.EOF
		}
		l.n, l.readErr = 0, err
		return true
	}
}

func (l *directLink) EndWork() { l.work.end() }

func (l *directLink) Yield() { l.work.yield() }

func (l *directLink) EndTurn() { l.work.endTurn() }

func (l *directLink) Close() error {
	l.work.end()
	return l.tcp.Close()
}

func (l *directLink) Unsent() int { return unsent(l.raw) }

func (l *directLink) TrySend(segs []Segment) (int, error) { return l.write(segs, false) }

func (l *directLink) Send(segs []Segment, deadline time.Time) (int, error) {
	if err := l.tcp.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	defer l.tcp.SetWriteDeadline(time.Time{})
	return l.write(segs, true)
}

// writeCall is one write under way. It is borrowed from a pool, so that an idle connection does not
// hold one.
type writeCall struct {
	segs  []Segment
	wait  bool // until the socket takes more, instead of giving up
	sent  int
	err   error
	ready func(fd uintptr) bool // writeReady
}

var writeCalls = sync.Pool{New: func() any {
	w := new(writeCall)
	w.ready = w.writeReady
	return w
}}

func (l *directLink) write(segs []Segment, wait bool) (int, error) {
	w := writeCalls.Get().(*writeCall)
	w.segs, w.wait, w.sent, w.err = segs, wait, 0, nil
	err := l.raw.Write(w.ready)
	sent, failed := w.sent, w.err
	w.segs, w.err = nil, nil
	writeCalls.Put(w)
	if err == nil {
		err = failed
	}
	return sent, err
}

// writeReady writes what the socket takes. It reports false if the rest is to wait until the socket
// takes more: the runtime then calls it again.
func (w *writeCall) writeReady(fd uintptr) bool {
	n, err := writeSegments(int(fd), w.segs)
	w.sent += n
	if err == ErrWouldBlock && w.wait {
		w.segs = skip(w.segs, n)
		return false
	}
	w.err = err
	return true
}

// writeEach writes segments one by one, as far as the socket takes them.
func writeEach(fd int, segs []Segment) (total int, err error) {
	for _, s := range segs {
		for b := s.Bytes; len(b) > 0; {
			n, err := syscall.Write(fd, b)
			switch {
			case n > 0:
				total += n
				b = b[n:]
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return total, ErrWouldBlock
			default:
				return total, err
			}
		}
	}
	return total, nil
}
