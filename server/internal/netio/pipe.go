package netio

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeSize is how many bytes each direction of a pipe holds that have been written and not been
// read.
const pipeSize = 64 << 10

// Pipe returns the two ends of a connection in memory. Unlike those of [net.Pipe], its writes do not
// wait for reads while there is room, what was written before a Close can be read after it, and an
// end has CloseWrite: programs that write and only then read find it as they find a socket.
func Pipe() (net.Conn, net.Conn) {
	a, b := newPipeHalf(), newPipeHalf()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

// pipeHalf is one direction of a pipe.
type pipeHalf struct {
	mu              sync.Mutex // guards what follows
	buf             []byte
	changed         chan struct{} // closed at every change, and replaced
	ended           bool          // nothing more is written
	gone            bool          // nothing more is read
	readBy, writeBy time.Time     // deadlines; zero = none
}

func newPipeHalf() *pipeHalf { return &pipeHalf{changed: make(chan struct{})} }

// update changes h, and wakes those that wait for it.
func (h *pipeHalf) update(change func(h *pipeHalf)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	h.wakeLocked()
}

func (h *pipeHalf) wakeLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// read waits until there is something to read.
func (h *pipeHalf) read(b []byte) (int, error) {
	for {
		n, changed, until, err := h.tryRead(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		await(changed, until)
	}
}

// tryRead reads what there is. If that is nothing, and not an error, it returns what to wait for.
func (h *pipeHalf) tryRead(b []byte) (n int, changed chan struct{}, until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.gone:
		err = net.ErrClosed
	case passed(h.readBy):
		err = os.ErrDeadlineExceeded
	case len(h.buf) > 0:
		n = copy(b, h.buf)
		if h.buf = h.buf[:copy(h.buf, h.buf[n:])]; len(h.buf) == 0 {
			h.buf = nil // idle connections hold no memory
		}
		h.wakeLocked()
	case h.ended:
		err = io.EOF
	}
	return n, h.changed, h.readBy, err
}

// write waits until all of b has been taken.
func (h *pipeHalf) write(b []byte) (written int, err error) {
	for {
		n, changed, until, err := h.tryWrite(b[written:])
		if written += n; written == len(b) || err != nil {
			return written, err
		}
		if n == 0 {
			await(changed, until)
		}
	}
}

func (h *pipeHalf) tryWrite(b []byte) (n int, changed chan struct{}, until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		err = net.ErrClosed
	case h.gone:
		err = io.ErrClosedPipe
	case passed(h.writeBy):
		err = os.ErrDeadlineExceeded
	default:
		if n = min(len(b), pipeSize-len(h.buf)); n > 0 {
			h.buf = append(h.buf, b[:n]...)
			h.wakeLocked()
		}
	}
	return n, h.changed, h.writeBy, err
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// await waits until changed is closed, or a time that is not zero has come.
func await(changed chan struct{}, until time.Time) {
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// pipeEnd is one end of a pipe.
type pipeEnd struct{ in, out *pipeHalf }

func (e *pipeEnd) Read(b []byte) (int, error) { return e.in.read(b) }

func (e *pipeEnd) Write(b []byte) (int, error) { return e.out.write(b) }

// TryWrite writes what there is room for. It returns ErrWouldBlock if that is not all of b.
func (e *pipeEnd) TryWrite(b []byte) (int, error) {
	n, _, _, err := e.out.tryWrite(b)
	if err == nil && n < len(b) {
		err = ErrWouldBlock
	}
	return n, err
}

// Close ends both directions. The other end can still read what was written.
func (e *pipeEnd) Close() error {
	e.in.update(func(h *pipeHalf) { h.gone, h.buf = true, nil })
	return e.CloseWrite()
}

// CloseWrite ends the direction that this end writes.
func (e *pipeEnd) CloseWrite() error {
	e.out.update(func(h *pipeHalf) { h.ended = true })
	return nil
}

func (e *pipeEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.update(func(h *pipeHalf) { h.readBy = t })
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.out.update(func(h *pipeHalf) { h.writeBy = t })
	return nil
}

func (*pipeEnd) LocalAddr() net.Addr  { return pipeAddr{} }
func (*pipeEnd) RemoteAddr() net.Addr { return pipeAddr{} }

// pipeAddr is the address of both ends.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
