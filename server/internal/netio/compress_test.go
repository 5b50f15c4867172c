package netio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

// received reads n bytes from a link.
func received(l Link, n int) ([]byte, error) {
	var all []byte
	var b ReadBuffer
	for len(all) < n {
		if _, err := l.Recv(&b, ReadSize); err != nil {
			return all, err
		}
		all = append(all, b.Unread()...)
		b.Consume(len(b.Unread()))
	}
	return all, nil
}

// TestCompressedLinkCarriesBytes sends random segments, with levels that change, after text that is
// not compressed, and checks that they come out as they went in.
func TestCompressedLinkCarriesBytes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			near, far := tcpPair(t)
			shared := new(Shared)
			var want []byte
			var pieces [][]Segment
			for range 40 {
				var segs []Segment
				for range 1 + r.IntN(4) {
					text := bytes.Repeat([]byte(fmt.Sprint("some text ", r.IntN(10))), r.IntN([]int{2, 200, 10000}[r.IntN(3)]))
					if r.IntN(4) == 0 {
						for i := range text {
							text[i] = byte(r.Uint32())
						}
					}
					segs = append(segs, Segment{Bytes: text})
					want = append(want, text...)
				}
				pieces = append(pieces, segs)
			}
			level, levels := CompressFast, make([]CompressionLevel, len(pieces))
			for i := range levels {
				if r.IntN(3) == 0 {
					level = CompressionLevel(r.IntN(4))
				}
				levels[i] = level
			}
			c := NewCompressor(NewLink(near, shared), CompressFast)
			failed := make(chan error, 1)
			go func() {
				for i, segs := range pieces {
					c.SetLevel(levels[i])
					if _, err := c.Send(segs, time.Now().Add(time.Minute)); err != nil {
						failed <- err
						return
					}
				}
				failed <- nil
			}()
			early := make([]byte, 1+r.IntN(1000)) // what was read with the text before the stream
			n, err := far.Read(early)
			if err != nil {
				t.Fatal(err)
			}
			d := NewDecompressor(NewLink(far, shared), early[:n], shared)
			got, err := received(d, len(want))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, %v, want %d, or they differ", len(got), err, len(want))
			}
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			raw, wire := c.Bytes()
			inRaw, inWire := d.Bytes()
			if raw != int64(len(want)) || inRaw != raw || inWire != wire {
				t.Errorf("counted %d (%d) bytes sent, %d (%d) received, want %d", raw, wire, inRaw, inWire, len(want))
			}
		})
	}
}

// TestDecompressorBoundsItsMemory sends what would take much memory, or is no stream.
func TestDecompressorBoundsItsMemory(t *testing.T) {
	t.Parallel()
	var large bytes.Buffer
	w := s2.NewWriter(&large, s2.WriterBlockSize(4<<20), s2.WriterConcurrency(1))
	w.Write(make([]byte, 4<<20))
	w.Close()
	for _, c := range []struct{ name, text string }{
		{"a block of 4 MB in a few bytes", large.String()},
		{"no stream", strings.Repeat("PING\r\n", 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			go near.Write([]byte(c.text))
			shared := new(Shared)
			if got, err := received(NewDecompressor(NewLink(far, shared), nil, shared), 1<<30); !errors.Is(err, s2.ErrCorrupt) && !errors.Is(err, s2.ErrTooLarge) {
				t.Errorf("got %d bytes, %v, want an error at once", len(got), err)
			}
		})
	}
}

// TestCompressorWaitsForProgress has a peer that reads slowly, and one that does not read.
func TestCompressorWaitsForProgress(t *testing.T) {
	t.Parallel()
	near, _ := tcpPair(t)
	c := NewCompressor(NewLink(near, new(Shared)), CompressNone)
	segs := []Segment{{Bytes: make([]byte, 1<<20)}}
	var err error
	for n := 0; err == nil && n < 64; n++ {
		_, err = c.Send(segs, time.Now().Add(50*time.Millisecond))
	}
	if !isTimeout(err) {
		t.Errorf("got %v, want a timeout", err)
	}
}

// hesitantLink sends a few bytes at a time, and times out in between.
type hesitantLink struct {
	Link
	sent bytes.Buffer
	r    *rand.Rand
}

func (l *hesitantLink) Send(segs []Segment, _ time.Time) (int, error) {
	if l.r.IntN(2) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := 1 + l.r.IntN(len(segs[0].Bytes))
	l.sent.Write(segs[0].Bytes[:n])
	return n, nil
}

// TestCompressorGoesOnInABlock has calls of Send end in the middle of a block, and checks that the
// stream is whole when the rest is sent.
func TestCompressorGoesOnInABlock(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		below := &hesitantLink{r: r}
		c := NewCompressor(below, CompressionLevel(r.IntN(4)))
		want := make([]byte, 4*compressBlock+r.IntN(1000))
		for i := range want {
			want[i] = byte(r.Uint32() >> r.IntN(32))
		}
		for at, tries := 0, 0; at < len(want); tries++ {
			c.SetLevel(CompressionLevel(r.IntN(4)))
			n, err := c.Send([]Segment{{Bytes: want[at : at+(len(want)-at)/2]}, {Bytes: want[at+(len(want)-at)/2:]}}, time.Now().Add(time.Second))
			if at += n; err != nil && !isTimeout(err) || tries > 10000 {
				t.Fatal(err, tries)
			}
		}
		got, err := io.ReadAll(s2.NewReader(&below.sent))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: got %d bytes, %v, want %d, or they differ", seed, len(got), err, len(want))
		}
		if raw, _ := c.Bytes(); raw != int64(len(want)) || c.stream != nil {
			t.Errorf("seed %d: counted %d bytes, want %d; or it holds memory", seed, raw, len(want))
		}
	}
}

// TestQueueSwitchesItsLink pushes from several goroutines while the link is switched, and checks that
// everything comes, before and after the text that marks the place.
func TestQueueSwitchesItsLink(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	shared := new(Shared)
	link := NewLink(near, shared)
	var q WriteQueue
	q.Init(link, new(fakeOwner), shared, &Limits{MaxPending: 1 << 30, HighWater: 1 << 30, WriteDeadline: time.Minute})
	const each, text, mark = 2000, "a message that is pushed\r\n", "SWITCH\r\n"
	for range 2 {
		go func() {
			for range each {
				q.Push(&Delivery{Segments: []Segment{{Bytes: []byte(text)}}, Bytes: len(text)})
			}
		}()
	}
	go switchLink(&q, mark, NewCompressor(link, CompressFast))
	var before []byte
	for b := make([]byte, 4096); !bytes.Contains(before, []byte(mark)); {
		n, err := far.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, b[:n]...)
	}
	plain, rest, _ := bytes.Cut(before, []byte(mark))
	got, err := received(NewDecompressor(NewLink(far, shared), rest, shared), 2*each*len(text)-len(plain))
	if err != nil || string(plain)+string(got) != strings.Repeat(text, 2*each) {
		t.Errorf("got %d and %d bytes, %v, want %d, or they differ", len(plain), len(got), err, 2*each*len(text))
	}
}

// limitedConn is a connection that records how long writes may take.
type limitedConn struct {
	net.Conn
	limits []time.Duration
}

func (c *limitedConn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		c.limits = append(c.limits, time.Until(t))
	}
	return nil
}

func (c *limitedConn) Write(p []byte) (int, error) { return len(p), nil }

// TestACompressorOverTLSHasTheTimeOfItsLink writes over the connection below TLS, which bounds the
// deadlines that TLS sets itself by a second: a compressed route must not be a slow consumer so soon.
func TestACompressorOverTLSHasTheTimeOfItsLink(t *testing.T) {
	t.Parallel()
	below := new(limitedConn)
	socket := NewProgressConn(below)
	c := NewCompressor(&tlsLink{plainLink: plainLink{nc: socket}, socket: socket}, CompressNone)
	new(WriteQueue).Init(c, nil, new(Shared), &Limits{WriteDeadline: time.Hour})
	if _, err := c.Send([]Segment{{Bytes: make([]byte, 100_000)}}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(below.limits) == 0 {
		t.Fatal("a write has no time limit")
	}
	for _, limit := range below.limits {
		if limit <= closeNotifyTime {
			t.Errorf("a write may take %v before what it waits for is looked at, want %v", limit, maxWaitStep)
		}
	}
}
