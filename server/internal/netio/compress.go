package netio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
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
	stream *s2.Writer // nil before the first write
	used   CompressionLevel
	out    bytes.Buffer // compressed, not written yet
	text   [1]Segment   // what is being written of out
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

// Send implements Link. A wait is one without progress of the compressed bytes.
func (l *Compressor) Send(segs []Segment, deadline time.Time) (total int, err error) {
	wait := time.Until(deadline)
	block := 0
	for _, s := range segs {
		for text := s.Bytes; len(text) > 0; {
			part := text[:min(len(text), compressBlock-block)]
			if block == 0 {
				l.renew()
			}
			if _, err := l.stream.Write(part); err != nil {
				return total, err
			}
			text = text[len(part):]
			if block += len(part); block == compressBlock {
				if err := l.flush(wait, block); err != nil {
					return total, err
				}
				total, block = total+block, 0
			}
		}
	}
	if block > 0 {
		if err := l.flush(wait, block); err != nil {
			return total, err
		}
	}
	return total + block, nil
}

// renew begins another stream if the level has changed. A reader goes on with it.
func (l *Compressor) renew() {
	level := l.Level()
	if l.stream != nil && l.used == level {
		return
	}
	options := []s2.WriterOption{s2.WriterConcurrency(1), s2.WriterBlockSize(compressBlock)}
	switch level {
	case CompressNone:
		options = append(options, s2.WriterUncompressed())
	case CompressBetter:
		options = append(options, s2.WriterBetterCompression())
	case CompressBest:
		options = append(options, s2.WriterBestCompression())
	}
	l.stream, l.used = s2.NewWriter(&l.out, options...), level
}

// flush writes what stands for n bytes of the stream.
func (l *Compressor) flush(wait time.Duration, n int) error {
	if err := l.stream.Flush(); err != nil {
		return err
	}
	text := l.out.Bytes()
	for len(text) > 0 {
		l.text[0].Bytes = text
		k, err := l.Link.Send(l.text[:], time.Now().Add(wait)) // the link knows how its connection is given time
		l.text[0].Bytes = nil
		text = text[k:]
		l.wire.Add(int64(k))
		if err != nil && !(k > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	l.out.Reset()
	l.raw.Add(int64(n))
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
	source := io.MultiReader(bytes.NewReader(bytes.Clone(read)), &countedReader{from.Conn(), &d.conn.wire})
	d.conn.wire.Store(int64(len(read)))
	d.conn.stream = s2.NewReader(bufio.NewReaderSize(source, compressBlock/2),
		s2.ReaderMaxBlockSize(compressBlock), s2.ReaderAllocBlock(minPlainRead))
	d.tlsLink = tlsLink{plainLink: plainLink{nc: &d.conn, work: work{shared: shared}}}
	return d
}

// Bytes returns how many bytes were received, after and before decompression.
func (d *Decompressor) Bytes() (raw, wire int64) { return d.conn.raw.Load(), d.conn.wire.Load() }

// Conn returns the connection underneath.
func (d *Decompressor) Conn() net.Conn { return d.conn.Conn }

// Close closes it.
func (d *Decompressor) Close() error {
	d.work.end()
	return d.conn.below.Close()
}

// inflatedConn is a connection from which a decompressed stream is read.
type inflatedConn struct {
	net.Conn
	below  Link
	stream *s2.Reader
	raw    atomic.Int64
	wire   atomic.Int64
}

// Read reads from the stream.
func (c *inflatedConn) Read(b []byte) (int, error) {
	n, err := c.stream.Read(b)
	c.raw.Add(int64(n))
	return n, err
}

// countedReader counts what is read.
type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n.Add(int64(n))
	return n, err
}
