package netio

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
)

// This file compresses what a link sends, and decompresses what it receives, as a stream of s2 (an
// extension of snappy). Each direction is a link of its own: a connection may begin to use either at
// any place in its stream.

// CompressionLevel is how well, and how slowly, a link compresses.
type CompressionLevel uint32

// The levels of s2.
const (
	CompressNone CompressionLevel = iota // a stream whose blocks are not compressed
	CompressFast
	CompressBetter
	CompressBest
)

// compressBlock is the size of the blocks of a stream, before compression. A block of the peer that
// is larger is an error, so that no peer decides how much memory it takes to decompress it.
const compressBlock = 64 << 10

// Compressor is a link that compresses what is sent.
type Compressor struct {
	Link
	level atomic.Uint32
	raw   atomic.Int64 // bytes sent, before compression
	wire  atomic.Int64 // and after it

	// Owned by the goroutine that writes.
	stream *deflated // nil between two calls of Send, unless a part of a block has been sent
}

// deflated is a stream of one level. It is borrowed, so that a route that has nothing to send holds
// no memory for it.
type deflated struct {
	writer *s2.Writer
	level  CompressionLevel
	out    bytes.Buffer // compressed
	rest   []byte       // of out, not sent yet
	block  int          // bytes, before compression, that out stands for
	sum    uint32       // of these bytes, if a call of Send has ended before they were sent
}

// deflatedStreams has streams of each level.
var deflatedStreams [CompressBest + 1]sync.Pool

// borrowStream returns a new stream.
func borrowStream(level CompressionLevel) *deflated {
	d, _ := deflatedStreams[level].Get().(*deflated)
	if d == nil {
		d = &deflated{level: level}
		options := []s2.WriterOption{s2.WriterConcurrency(1), s2.WriterBlockSize(compressBlock)}
		switch level {
		case CompressNone:
			options = append(options, s2.WriterUncompressed())
		case CompressBetter:
			options = append(options, s2.WriterBetterCompression())
		case CompressBest:
			options = append(options, s2.WriterBestCompression())
		}
		d.writer = s2.NewWriter(nil, options...)
	}
	d.writer.Reset(&d.out)
	return d
}

// NewCompressor returns a link that compresses what is sent over another one.
func NewCompressor(to Link, level CompressionLevel) *Compressor {
	l := &Compressor{Link: to}
	l.SetLevel(level)
	return l
}

// SetLevel sets the level for what is sent from now on.
func (l *Compressor) SetLevel(level CompressionLevel) { l.level.Store(uint32(level)) }

// Level returns the level.
func (l *Compressor) Level() CompressionLevel { return CompressionLevel(l.level.Load()) }

// Bytes returns how many bytes were sent, before and after compression.
func (l *Compressor) Bytes() (raw, wire int64) { return l.raw.Load(), l.wire.Load() }

// TrySend sends nothing: a goroutine compresses, and finds more to compress at a time.
func (l *Compressor) TrySend([]Segment) (int, error) { return 0, ErrWouldBlock }

// errOtherBytes reports that a part of a block has been sent, and what follows is something else.
var errOtherBytes = errors.New("compressed stream: the rest of a block is missing")

// Send implements Link. A wait is one without progress of the compressed bytes. Each call sends a
// stream of its own, after the rest of the block that the call before has sent a part of: its bytes
// must come first again.
func (l *Compressor) Send(segs []Segment, deadline time.Time) (total int, err error) {
	if l.stream == nil {
		l.stream = borrowStream(min(l.Level(), CompressBest))
	}
	d, before := l.stream, l.raw.Load()
	err = l.send(segs, time.Until(deadline))
	if total = int(l.raw.Load() - before); err != nil {
		d.sum = checksum(skip(segs, total), d.block)
		return total, err
	}
	l.stream = nil
	deflatedStreams[d.level].Put(d)
	return total, nil
}

func (l *Compressor) send(segs []Segment, wait time.Duration) error {
	d := l.stream
	if rest := d.block; rest > 0 {
		if checksum(segs, rest) != d.sum {
			return errOtherBytes
		}
		if err := l.flush(wait); err != nil {
			return err
		}
		segs = skip(segs, rest)
	}
	for _, s := range segs {
		for text := s.Bytes; len(text) > 0; {
			part := text[:min(len(text), compressBlock-d.block)]
			if _, err := d.writer.Write(part); err != nil {
				return err
			}
			text = text[len(part):]
			if d.block += len(part); d.block == compressBlock {
				if err := l.flush(wait); err != nil {
					return err
				}
			}
		}
	}
	return l.flush(wait)
}

// checksum returns that of the first n bytes of segments.
func checksum(segs []Segment, n int) (sum uint32) {
	for _, s := range segs {
		part := s.Bytes[:min(n, len(s.Bytes))]
		sum = crc32.Update(sum, crc32.IEEETable, part)
		n -= len(part)
	}
	return sum
}

// flush sends what the stream has of a block.
func (l *Compressor) flush(wait time.Duration) error {
	d := l.stream
	if len(d.rest) == 0 {
		if err := d.writer.Flush(); err != nil {
			return err
		}
		d.rest = d.out.Bytes()
	}
	for len(d.rest) > 0 {
		k, err := l.Link.Send([]Segment{{Bytes: d.rest}}, time.Now().Add(wait)) // the link knows how its connection is given time
		d.rest = d.rest[k:]
		l.wire.Add(int64(k))
		if err != nil && !(k > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	d.out.Reset()
	l.raw.Add(int64(d.block))
	d.block = 0
	return nil
}

// Decompressor is a link that decompresses what is received. It is not used to send.
type Decompressor struct {
	tlsLink
	conn inflatedConn
}

// NewDecompressor returns a link that decompresses what is received over another one, beginning with
// bytes that were read already.
func NewDecompressor(from Link, read []byte, shared *Shared) *Decompressor {
	from.EndWork()
	d := &Decompressor{conn: inflatedConn{Conn: from.Conn(), below: from}}
	d.conn.wire.Reader = from.Conn()
	d.conn.wire.n.Store(int64(len(read)))
	source := io.MultiReader(bytes.NewReader(bytes.Clone(read)), &d.conn.wire)
	d.conn.stream.Reader = s2.NewReader(bufio.NewReaderSize(source, compressBlock/2),
		s2.ReaderMaxBlockSize(compressBlock), s2.ReaderAllocBlock(minPlainRead))
	d.tlsLink = tlsLink{plainLink: plainLink{nc: &d.conn, work: work{shared: shared}}}
	return d
}

// Bytes returns how many bytes were received, after and before decompression.
func (d *Decompressor) Bytes() (raw, wire int64) { return d.conn.stream.n.Load(), d.conn.wire.n.Load() }

// Conn returns the connection underneath.
func (d *Decompressor) Conn() net.Conn { return d.conn.Conn }

// Close closes it, and gives up the memory: what refers to a connection that has ended should not
// hold that.
func (d *Decompressor) Close() error {
	d.work.end()
	d.conn.stream.Reader = nil
	return d.conn.below.Close()
}

// inflatedConn is a connection from which a decompressed stream is read.
type inflatedConn struct {
	net.Conn
	below        Link
	wire, stream countedReader
}

// Read reads from the stream.
func (c *inflatedConn) Read(b []byte) (int, error) { return c.stream.Read(b) }

// countedReader counts what is read.
type countedReader struct {
	io.Reader
	n atomic.Int64
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n.Add(int64(n))
	return n, err
}
