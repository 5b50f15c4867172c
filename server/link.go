package server

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// errWouldBlock says that a socket takes no more bytes at the moment.
var errWouldBlock = errors.New("would block")

// link is a socket as a connection uses it. There are two kinds: directLink
// (plain TCP on Unix) reads without holding a buffer while it waits and writes
// without waiting; plainLink (TLS, other systems, connections in memory) does
// both through plain Read and Write.
type link interface {
	// recv waits for bytes and reads them into in, whose space it asks for with
	// the given limit only once there is something to read, where it can tell.
	recv(in *inbuf, limit int) (int, error)
	// trySend writes what the socket takes without waiting. It returns
	// errWouldBlock if that is not everything.
	trySend(segs []seg) (int, error)
	// send writes everything, waiting until deadline at most.
	send(segs []seg, deadline time.Time) (int, error)
	// conn is the connection underneath: deadlines, addresses, closing.
	conn() net.Conn
}

// plainLink is a link over any net.Conn.
type plainLink struct {
	nc   net.Conn
	size int // of the next buffer; 0 = plainRead
}

// newPlainLink returns the link that fits any connection.
func newPlainLink(nc net.Conn) link {
	if _, secure := nc.(*tls.Conn); secure {
		return &tlsLink{plainLink{nc: nc}}
	}
	return &plainLink{nc: nc}
}

func (l *plainLink) conn() net.Conn { return l.nc }

// plainRead is the first buffer of a link that has to hold one while it waits.
const plainRead = 4 << 10

// recv holds a buffer while it waits, so it starts small: a read that fills the
// buffer makes the next one twice as large, one that uses little of it half.
func (l *plainLink) recv(in *inbuf, limit int) (int, error) {
	in.rest()
	l.size = min(limit, max(plainRead, l.size))
	space := in.space(l.size)
	n, err := l.nc.Read(space)
	in.filled(n)
	switch {
	case n == len(space):
		l.size *= 2
	case n < l.size/grow:
		l.size /= 2
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// tlsLink is a plainLink over TLS, where every write is a record of its own.
type tlsLink struct{ plainLink }

// tlsRecord is the most that one record holds.
const tlsRecord = 16 << 10

// send gathers segments into full records.
func (l *tlsLink) send(segs []seg, deadline time.Time) (total int, err error) {
	if err := l.nc.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	defer l.nc.SetWriteDeadline(time.Time{})
	ck := newChunk(tlsRecord)
	defer ck.release()
	for _, s := range segs {
		for text := s.b; len(text) > 0; {
			k := min(len(text), tlsRecord-len(ck.b))
			ck.b = append(ck.b, text[:k]...)
			text = text[k:]
			if len(ck.b) < tlsRecord {
				continue
			}
			n, err := l.nc.Write(ck.b)
			total += n
			if err != nil {
				return total, err
			}
			ck.b = ck.b[:0]
		}
	}
	if len(ck.b) == 0 {
		return total, nil
	}
	n, err := l.nc.Write(ck.b)
	return total + n, err
}

func (l *plainLink) trySend([]seg) (int, error) { return 0, errWouldBlock }

func (l *plainLink) send(segs []seg, deadline time.Time) (int, error) {
	if err := l.nc.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	defer l.nc.SetWriteDeadline(time.Time{})
	if len(segs) == 1 {
		return l.nc.Write(segs[0].b)
	}
	bufs := make(net.Buffers, 0, len(segs))
	for _, s := range segs {
		bufs = append(bufs, s.b)
	}
	n, err := bufs.WriteTo(l.nc)
	return int(n), err
}
