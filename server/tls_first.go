package server

import (
	"net"
	"time"

	"gnatsd/conf"
)

// This file finds out how a client begins, where it may choose: INFO and then TLS,
// TLS and then INFO, or no TLS at all. One byte tells them apart. It is read
// before the connection has its reader's ways, and handed on to whoever reads next.

const (
	// tlsRecordOfHandshake is the first byte of every TLS connection. No operation
	// of the protocol begins with it.
	tlsRecordOfHandshake = 0x16
	// autoFallback is how long handshake_first: auto waits for it.
	autoFallback = 50 * time.Millisecond
)

// firstByte waits for the first byte of the client, at most for limit. It returns
// nothing if none came, whatever the reason: who reads next will learn it.
func (c *client) firstByte(limit time.Duration) []byte {
	c.nc.SetReadDeadline(time.Now().Add(limit))
	defer c.resumeReading()
	if c.ended() { // its deadline, which wakes, came before ours
		return nil
	}
	first := make([]byte, 1)
	n, _ := c.nc.Read(first)
	return first[:n]
}

// resumeReading takes a deadline back, but not that of a connection which ends.
func (c *conn) resumeReading() {
	c.nc.SetReadDeadline(time.Time{})
	if c.ended() {
		c.nc.SetReadDeadline(aLongTimeAgo)
	}
}

// unreadConn is a connection of which something was read already.
type unreadConn struct {
	net.Conn
	first []byte // owned by who reads
}

func (u *unreadConn) Read(b []byte) (int, error) {
	if len(u.first) == 0 {
		return u.Conn.Read(b)
	}
	n := copy(b, u.first)
	u.first = u.first[n:]
	return n, nil
}

// beginsTLS reports whether TLS comes before INFO, and what the client has sent of
// it, if that was waited for.
func (c *client) beginsTLS(g *guard) (first bool, begun []byte) {
	if !g.tlsFirst || g.tlsFallback == 0 {
		return g.tlsFirst, nil
	}
	begun = c.firstByte(g.tlsFallback)
	if g.tlsOptional && len(begun) > 0 && !opensTLS(begun) {
		c.putBack(begun)
		return false, nil
	}
	return len(begun) > 0, begun
}

// opensTLS reports whether a client that has begun so wants TLS.
func opensTLS(begun []byte) bool { return len(begun) > 0 && begun[0] == tlsRecordOfHandshake }

// putBack makes bytes that were read the first that the reader sees.
func (c *conn) putBack(first []byte) {
	if len(first) > 0 {
		n := copy(c.in.space(smallChunk), first)
		c.in.filled(n)
	}
}

// handshakeFirstType is the type of handshake_first: a switch, or how long a client
// may take to begin before INFO is sent in clear after all.
func handshakeFirstType() conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: `boolean, "auto" or duration`,
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			if n.Kind == conf.Boolean {
				o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = n.Bool, 0
				return
			}
			wait, err := autoFallback, error(nil)
			if n.Kind != conf.String || n.Str != "auto" {
				wait, err = conf.ReadDuration(n)
			}
			if err != nil || wait <= 0 || wait > longest {
				c.Want(n, `true, false, "auto" or a duration such as "300ms"`)
				return
			}
			o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, wait
		},
		Text: func(o *Options, _ bool) string {
			switch {
			case !o.TLSHandshakeFirst:
				return "false"
			case o.TLSHandshakeFirstFallback == 0:
				return "true"
			}
			return conf.Quote(o.TLSHandshakeFirstFallback.String())
		},
		Zero: func(o *Options) bool { return !o.TLSHandshakeFirst },
		Copy: func(dst, src *Options) {
			dst.TLSHandshakeFirst, dst.TLSHandshakeFirstFallback = src.TLSHandshakeFirst, src.TLSHandshakeFirstFallback
		},
	})
}
