package server

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// brokenNet is a network in memory whose accepted connections fail with an error once they are
// broken.
type brokenNet struct {
	*pipeNet
	broken atomic.Bool
	err    error
}

// Listen returns the listener.
func (n *brokenNet) Listen(string) (net.Listener, error) { return n, nil }

// Accept returns the next connection.
func (n *brokenNet) Accept() (net.Conn, error) {
	nc, err := n.pipeNet.Accept()
	return &brokenConn{nc, n}, err
}

type brokenConn struct {
	net.Conn
	net *brokenNet
}

// Read fails when what has come is read.
func (c *brokenConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.net.broken.Load() {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: c.net.err}
	}
	return n, err
}

// debugLog hands on debug lines, too.
type debugLog struct{ *lineLog }

// Errorf marks the line.
func (l debugLog) Errorf(format string, v ...any) { l.add("ERR "+format, v...) }

// Debugf marks the line.
func (l debugLog) Debugf(format string, v ...any) { l.add("DBG "+format, v...) }

// TestTheLogSaysWhyASocketIsBroken has reads fail. What the network and peers do is for those who
// debug; what this machine does is an error.
func TestTheLogSaysWhyASocketIsBroken(t *testing.T) {
	t.Parallel()
	for err, level := range map[error]string{
		syscall.ECONNRESET: "DBG", syscall.ETIMEDOUT: "DBG", syscall.EHOSTUNREACH: "DBG",
		syscall.EIO: "ERR", syscall.ENOMEM: "ERR", syscall.ENOBUFS: "ERR", syscall.EPERM: "ERR",
	} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			n := &brokenNet{pipeNet: newPipeNet(), err: err}
			s := broker(t, func(o *Options) { o.network = n })
			log := debugLog{newLineLog()}
			s.SetLogger(log, true, false)
			nc, err := n.Dial("", 0)
			okay(t, err)
			c := wire.Of(t, nc)
			c.ReadInfo()
			c.Say("PING")
			c.Want("PONG")
			n.broken.Store(true)
			c.Say("PING")
			want := fmt.Sprintf("%s - - cid:1 - Error reading: read tcp: %v", level, n.err)
			if got := log.wait(t, "Error reading"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
