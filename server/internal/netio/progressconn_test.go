package netio

import (
	"io"
	"net"
	"testing"
	"time"
)

// tooLong is more than the sockets of smallSocket hold.
var tooLong = make([]byte, 16<<20)

// smallSocket returns a connection below TLS whose sockets hold little, and its peer. A reader may write
// to it: new keys are answered.
func smallSocket(t *testing.T, patience time.Duration) (p *ProgressConn, far net.Conn) {
	t.Helper()
	near, far := tcpPair(t)
	okay(t, near.(*net.TCPConn).SetWriteBuffer(64<<10))
	okay(t, far.(*net.TCPConn).SetReadBuffer(64<<10))
	p = NewProgressConn(near)
	q := new(WriteQueue)
	q.Init(newPlainLink(near, new(Shared)), nil, new(Shared), &Limits{WriteDeadline: patience})
	p.queue.Store(q)
	return p, far
}

// TestAReaderThatWritesEnds writes as TLS does by itself, outside of a write of the link, to a peer
// that does not read.
func TestAReaderThatWritesEnds(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	for name, end := range map[string]func(p *ProgressConn){
		"without progress":       nil,
		"with the connection":    func(p *ProgressConn) { p.End(time.Now()) },
		"soon after it":          func(p *ProgressConn) { p.End(time.Now().Add(short)) },
		"with a close of TLS":    func(p *ProgressConn) { p.SetWriteDeadline(time.Now().Add(short)) },
		"after an earlier limit": func(p *ProgressConn) { p.End(time.Now().Add(short)); p.End(time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := smallSocket(t, short)
			if end != nil {
				p.queue.Load().SetLimits(&Limits{WriteDeadline: time.Hour})
			}
			failed := make(chan error, 1)
			go func() { // ends with the write
				_, err := p.Write(tooLong)
				failed <- err
			}()
			if end != nil {
				end(p)
			}
			if err := <-failed; !isTimeout(err) {
				t.Errorf("got %v, want a timeout", err)
			}
		})
	}
}

// deadlineConn remembers its last deadline for writes.
type deadlineConn struct {
	*net.TCPConn
	last time.Time
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.last = t
	return c.TCPConn.SetWriteDeadline(t)
}

// TestAWriteThatHasWaitedLeavesNoDeadline has a peer read what it lagged behind with: the next write,
// which may come much later, begins without a deadline.
func TestAWriteThatHasWaitedLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	p, far := smallSocket(t, time.Minute)
	c := &deadlineConn{TCPConn: p.Conn.(*net.TCPConn), last: time.Unix(1, 0)}
	p.Conn = c
	wrote := make(chan error, 1)
	go func() { // ends with the write
		_, err := p.Write(tooLong)
		wrote <- err
	}()
	go io.Copy(io.Discard, far) // ends with far
	okay(t, <-wrote)
	if !c.last.IsZero() {
		t.Errorf("the deadline %v is left", c.last)
	}
}
