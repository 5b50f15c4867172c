package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// requestSize is the payload of a request and of its reply, in bytes.
const requestSize = 16

// exchange measures request and reply: one requester that waits for each reply before the next request, and one
// responder that stays. Both use blocking system calls where the system has them, so that what is measured is the
// broker and not the driver's scheduler.
func exchange(r *round) (measures, error) {
	responder, err := newBlocking(r, "responder", "SUB bench.service 1\r\n")
	if err != nil {
		return nil, err
	}
	defer responder.close()
	requester, err := newBlocking(r, "requester", "SUB _INBOX.bench.* 1\r\n")
	if err != nil {
		return nil, err
	}
	defer requester.close()

	ended := make(chan error, 1)
	go func() { ended <- responder.respond() }() // awaited below; ends when its connection does
	samples, m, err := requester.measure(r)
	responder.rw.shut()
	responderErr := <-ended
	if err != nil {
		return nil, errors.Join(err, responderErr)
	}
	slices.Sort(samples)
	m[latency50] = float64(percentile(samples, 50)) / float64(time.Microsecond)
	m[latency99] = float64(percentile(samples, 99)) / float64(time.Microsecond)
	return m, nil
}

// blocking is a connection that one goroutine reads and writes in turn.
type blocking struct {
	name  string // for error messages
	rw    blockingSocket
	in    *bufio.Reader
	timer *time.Timer // ends the connection at the deadline: blocking system calls know none
}

// newBlocking connects like dial.
func newBlocking(r *round, name, setup string) (*blocking, error) {
	c, err := dial(r.broker.addr, name, r.deadline, []byte(setup))
	if err != nil {
		return nil, err
	}
	rw, err := newBlockingSocket(c.conn.(*net.TCPConn))
	if err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b := &blocking{name: name, rw: rw}
	b.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(c.rest), b.rw), 64<<10)
	b.timer = time.AfterFunc(time.Until(r.deadline), rw.shut)
	return b, nil
}

// close releases the connection; the reader must have ended.
func (b *blocking) close() {
	b.timer.Stop()
	b.rw.Close()
}

// header reads the line a message begins with, without its line end, answering whatever else comes before it. It is
// valid until the next read.
func (b *blocking) header() ([]byte, error) {
	for {
		line, err := b.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if !startsControl(line[0]) {
			return line, nil
		}
		if err := b.control(string(line)); err != nil {
			return nil, err
		}
	}
}

// control answers a line that is no message.
func (b *blocking) control(line string) error {
	switch {
	case line == "PING":
		_, err := io.WriteString(b.rw, "PONG\r\n")
		return err
	case strings.HasPrefix(line, "INFO "):
		return nil
	default:
		return fmt.Errorf("%s: the broker says %s", b.name, excerpt([]byte(line)))
	}
}

// respond answers requests with their own payload, until the connection is shut.
func (b *blocking) respond() error {
	prefix, suffix := []byte("MSG bench.service 1 "), fmt.Appendf(nil, " %d", requestSize)
	var reply []byte
	for {
		line, err := b.header()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("responder: %w", err)
		}
		inbox, isRequest := bytes.CutPrefix(line, prefix)
		inbox, sized := bytes.CutSuffix(inbox, suffix)
		if !isRequest || !sized {
			return fmt.Errorf("responder: got header %s, want %q, an inbox and %q", excerpt(line), prefix, suffix)
		}
		reply = append(append(append(reply[:0], "PUB "...), inbox...), suffix...)
		reply = append(reply, "\r\n"...)
		start := len(reply)
		reply = append(reply, make([]byte, requestSize+2)...)
		if _, err := io.ReadFull(b.in, reply[start:]); err != nil {
			return fmt.Errorf("responder: %w", err)
		}
		if _, err := b.rw.Write(reply); err != nil {
			return fmt.Errorf("responder: %w", err)
		}
	}
}

// measure makes requests for the length of the window, after the warm-up, and times each.
func (b *blocking) measure(r *round) ([]time.Duration, measures, error) {
	if _, err := b.requests(0, time.Now().Add(r.warmUp), nil); err != nil {
		return nil, nil, err
	}
	samples := make([]time.Duration, 0, 1<<20)
	span := beginSpan(r.broker)
	samples, err := b.requests(1, time.Now().Add(r.duration), samples)
	if err != nil {
		return nil, nil, err
	}
	return samples, span.end(int64(len(samples))), nil
}

// requests makes one request after another until the time has come; each has an inbox of its own, under a phase that
// keeps warm-up and measurement apart.
func (b *blocking) requests(phase int, until time.Time, samples []time.Duration) ([]time.Duration, error) {
	var request, want, got, payload []byte
	for i := 0; ; i++ {
		payload = appendPayload(payload[:0], i, requestSize)
		request = appendFrame(fmt.Appendf(request[:0], "PUB bench.service _INBOX.bench.%d%08d", phase, i), payload)
		want = appendFrame(fmt.Appendf(want[:0], "MSG _INBOX.bench.%d%08d 1", phase, i), payload)
		start := time.Now()
		if start.After(until) && i > 0 {
			return samples, nil
		}
		if _, err := b.rw.Write(request); err != nil {
			return nil, fmt.Errorf("requester: request %d: %w", i, err)
		}
		var err error
		if got, err = b.frame(got[:0]); errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("requester: reply %d: the broker closed the connection, or the time for the round is over", i)
		}
		if err != nil {
			return nil, fmt.Errorf("requester: reply %d: %w", i, err)
		}
		samples = append(samples, time.Since(start))
		if !bytes.Equal(got, want) {
			return nil, fmt.Errorf("requester: reply %d: %w", i, diagnose(got, want))
		}
	}
}

// frame reads one message of requestSize, as it came, into dst.
func (b *blocking) frame(dst []byte) ([]byte, error) {
	line, err := b.header()
	if err != nil {
		return nil, err
	}
	dst = append(append(dst, line...), "\r\n"...)
	start := len(dst)
	dst = append(dst, make([]byte, requestSize+2)...)
	_, err = io.ReadFull(b.in, dst[start:])
	return dst, err
}
