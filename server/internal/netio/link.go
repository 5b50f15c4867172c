package netio

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// ErrWouldBlock reports that a socket takes no more bytes at the moment.
var ErrWouldBlock = errors.New("would block")

// Link is a socket as a connection uses it. There are two kinds: a direct link (plain TCP on Unix)
// reads without holding a buffer while it waits and writes without waiting; a plain link (TLS,
// other systems, connections in memory) reads and writes through a [net.Conn].
type Link interface {
	// Recv waits for bytes and reads them into b, whose space it asks for with the given limit
	// only once there is something to read, if it can tell.
	Recv(b *ReadBuffer, limit int) (int, error)
	// TrySend writes what the socket takes without waiting. It returns ErrWouldBlock if that is
	// not everything.
	TrySend(segs []Segment) (int, error)
	// Send writes everything, or a good part of it, waiting until deadline at most. Over TLS it is
	// the socket that limits how long nothing may move: see [ProgressConn].
	Send(segs []Segment, deadline time.Time) (int, error)
	// Unsent returns how many bytes are in the socket that the peer has not acknowledged, -1 if
	// that is not known.
	Unsent() int
	// Yield lets other readers go on, in the middle of work.
	Yield()
	// EndTurn says that the reader waits in the middle of work, for something else than this link:
	// others that yield need not wait for it.
	EndTurn()
	// EndWork says that the reader waits for something else than this link, and goes on with it,
	// or with another one, much later: for busy polling it does not work meanwhile.
	EndWork()
	// Conn is the connection underneath: deadlines, addresses.
	Conn() net.Conn
	// Close closes it. The reader calls that, and has then done its work.
	Close() error
}

// work is whether a reader has read something that it still works on. It belongs to the reader.
type work struct {
	shared *Shared
	begun  bool
	turn   bool // it may have one of shared.turns
}

func (w *work) begin() {
	if !w.begun {
		w.begun = true
		w.shared.BusyPoll.begin()
	}
}

func (w *work) end() {
	if w.begun {
		w.begun = false
		w.shared.BusyPoll.end()
	}
	w.endTurn()
}

// endTurn gives back the turn that the reader may have.
func (w *work) endTurn() { w.shared.turns.end(w) }

// yield lets others go on until it is the reader's turn again.
func (w *work) yield() {
	w.shared.turns.next(w)
	w.shared.yielders.yield()
}

// tryWriter is a connection in memory, which can tell what it takes without waiting.
type tryWriter interface {
	// TryWrite writes what there is room for. It returns ErrWouldBlock if that is not all of b.
	TryWrite(b []byte) (int, error)
}

// plainLink is a link over any net.Conn.
type plainLink struct {
	nc   net.Conn
	try  tryWriter // nc, if it is one; else nil
	work work
	size int // of the next buffer; 0 = minPlainRead
}

// newPlainLink returns the link that fits any connection.
func newPlainLink(nc net.Conn, shared *Shared) Link {
	l := plainLink{nc: nc, work: work{shared: shared}}
	l.try, _ = nc.(tryWriter)
	if _, secure := nc.(*tls.Conn); secure {
		return &tlsLink{plainLink: l, socket: progressConnOf(nc)}
	}
	return &l
}

func (l *plainLink) Conn() net.Conn { return l.nc }

func (l *plainLink) Close() error {
	l.work.end()
	return l.nc.Close()
}

func (l *plainLink) EndWork() { l.work.end() }

func (l *plainLink) Yield() { l.work.yield() }

func (l *plainLink) EndTurn() { l.work.endTurn() }

// minPlainRead is the smallest buffer of a link that has to hold one while it waits.
const minPlainRead = SmallSize

// Recv holds a buffer while it waits, so it starts small: a read that fills the buffer makes the
// next one twice as large, one that uses little of it half.
func (l *plainLink) Recv(b *ReadBuffer, limit int) (int, error) {
	b.Shrink()
	l.work.end()
	l.size = min(limit, ReadSize, max(minPlainRead, l.size))
	space := b.Space(l.size)
	l.work.shared.Hold(b)
	n, err := l.nc.Read(space)
	b.Filled(n)
	switch {
	case n == len(space):
		l.size *= 2
	case n < l.size/growthFactor:
		l.size /= 2
	}
	if n > 0 {
		l.work.begin()
		return n, nil
	}
	return 0, err
}

func (l *plainLink) Unsent() int { return -1 }

// TrySend writes nothing unless the connection can tell whether a write would wait.
func (l *plainLink) TrySend(segs []Segment) (total int, err error) {
	if l.try == nil {
		return 0, ErrWouldBlock
	}
	for _, s := range segs {
		n, err := l.try.TryWrite(s.Bytes)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// plainBatch is after how many bytes Send of a plainLink returns, so that progress is noticed: on
// Windows a write that a deadline ends does not say how much of it was sent.
const plainBatch = 64 << 10

func (l *plainLink) Send(segs []Segment, deadline time.Time) (int, error) {
	if err := l.nc.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	defer l.nc.SetWriteDeadline(time.Time{})
	bufs := make(net.Buffers, 0, len(segs))
	for room := plainBatch; room > 0 && len(segs) > 0; segs = segs[1:] {
		b := segs[0].Bytes
		b = b[:min(len(b), room)]
		room -= len(b)
		bufs = append(bufs, b)
	}
	n, err := bufs.WriteTo(l.nc)
	return int(n), err
}

// tlsLink is a plainLink over TLS, where every write is a record of its own.
type tlsLink struct {
	plainLink
	socket *ProgressConn // nil if it has no such socket
	streak Streak        // of reads that may have waited
	got    int           // bytes of the last read
	failed error         // behind what has been read: for the next read
}

// Recv is that of a plainLink, and yields now and then. After a long record it reads the others that
// have arrived, too: what it returns is worked on at once. In its turn it tries not to wait.
func (l *tlsLink) Recv(b *ReadBuffer, limit int) (n int, err error) {
	if l.failed != nil {
		return 0, l.failed
	}
	limit = l.work.shared.readLimit(limit)
	due := l.streak.due(l.got, &reads)
	if l.socket != nil && (due || l.work.turn) {
		if n = l.more(b, limit); n == 0 { // it waits
			due, l.streak = false, Streak{}
		}
	}
	if due {
		l.work.shared.Hold(b)
		l.work.yield()
	}
	if n == 0 && l.failed == nil {
		if n, err = l.plainLink.Recv(b, limit); n >= tlsRecord/2 {
			n += l.more(b, limit-n)
		}
	}
	if l.got = n; n == 0 && err == nil {
		err = l.failed
	}
	return n, err
}

// more reads what has arrived, up to so many bytes.
func (l *tlsLink) more(b *ReadBuffer, most int) (total int) {
	if l.socket == nil || most <= 0 {
		return 0
	}
	l.socket.noWait = true
	defer func() { l.socket.noWait = false }()
	space := b.Space(len(b.Unread()) + most)
	for space = space[:min(len(space), most)]; len(space) > 0; {
		n, err := l.nc.Read(space)
		space = space[n:]
		b.Filled(n)
		total += n
		switch {
		case isTimeout(err):
			return total
		case err != nil:
			l.failed = err
			return total
		}
	}
	return total
}

const (
	// tlsRecord is the most that one record holds.
	tlsRecord = 16 << 10
	// tlsBatch is after how many bytes Send returns, so that progress is noticed.
	tlsBatch = 16 * tlsRecord
)

// TrySend writes what fits one record, if the socket takes that at once. A record cannot be divided: it
// writes all of it or nothing. While others are at work it writes nothing, since a writer that begins
// later has more for its record: with 100 publishers and 50 subscribers that takes a tenth of the time.
func (l *tlsLink) TrySend(segs []Segment) (int, error) {
	if l.socket == nil || !l.work.shared.BusyPoll.alone() || sizeOf(segs) > tlsRecord || !writable(l.socket.raw) {
		return 0, ErrWouldBlock
	}
	return l.Send(segs, time.Time{})
}

// Send gathers segments into full records. How long it may wait is up to the limits of the queue, see
// [ProgressConn].
func (l *tlsLink) Send(segs []Segment, _ time.Time) (total int, err error) {
	ck := NewChunk(tlsRecord)
	defer ck.Release()
	for i, s := range segs {
		for text := s.Bytes; len(text) > 0; {
			record := text[:min(len(text), tlsRecord-len(ck.buf))]
			text = text[len(record):]
			last := len(text) == 0 && i == len(segs)-1
			if len(ck.buf) > 0 || len(record) < tlsRecord && !last {
				ck.buf = append(ck.buf, record...)
				record = ck.buf
			}
			if len(record) < tlsRecord && !last {
				continue
			}
			n, err := l.nc.Write(record)
			if total += n; err != nil || total >= tlsBatch {
				return total, err
			}
			ck.buf = ck.buf[:0]
		}
	}
	return total, nil
}
