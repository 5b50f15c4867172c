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

// TestAWriteThatHasWaitedLeavesNoDeadline has a peer read what it lagged behind with, and writes again
// when the time for the first write is over.
func TestAWriteThatHasWaitedLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	p, far := smallSocket(t, patience)
	wrote := make(chan error, 1)
	go func() { // ends with the write
		_, err := p.Write(tooLong)
		wrote <- err
	}()
	go io.Copy(io.Discard, far) // ends with far
	okay(t, <-wrote)
	<-time.After(patience)
	_, err := p.Write([]byte("new keys"))
	okay(t, err)
}
