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

// requestSizeText ends the line of a request and of its reply.
var requestSizeText = fmt.Sprintf(" %d", requestSize)

// exchange measures request and reply: one requester that waits for each reply before the next
// request, and one responder that stays. Both wait in system calls where the system has them, so
// that what is measured is the broker and not the driver's scheduler. Their own wake-ups are
// measured too, unless they are awake: then one thread is both, and never sleeps.
func exchange(awake bool) func() runner {
	return func() runner {
		return func(r *round) (measures, error) {
			responder, err := newTalker(r, "responder", "SUB bench.service 1\r\n", awake)
			if err != nil {
				return nil, err
			}
			defer responder.close()
			requester, err := newTalker(r, "requester", "SUB _INBOX.bench.* 1\r\n", awake)
			if err != nil {
				return nil, err
			}
			defer requester.close()
			if awake {
				return requester.measure(r, responder.answer)
			}
			ended := make(chan error, 1)
			go func() { ended <- responder.respond() }() // awaited below; ends when its connection does
			m, err := requester.measure(r, func() error { return nil })
			responder.socket.shut()
			if responderErr := <-ended; err != nil {
				return nil, errors.Join(err, responderErr)
			}
			return m, nil
		}
	}
}

// talker is a connection that one goroutine reads and writes in turn.
type talker struct {
	name   string // for error messages
	socket *socket
	in     *bufio.Reader
	out    []byte      // the latest answer
	timer  *time.Timer // ends the connection at the deadline: system calls know none
}

// newTalker connects like dial.
func newTalker(r *round, name, setup string, awake bool) (*talker, error) {
	c, err := r.broker.dial(name, r.deadline, []byte(setup))
	if err != nil {
		return nil, err
	}
	s, err := newSocket(c.conn.(*net.TCPConn), awake)
	if err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := &talker{name: name, socket: s}
	t.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(c.rest), s), 64<<10)
	t.timer = time.AfterFunc(time.Until(r.deadline), s.shut)
	return t, nil
}

// close releases the connection; the reader must have ended.
func (t *talker) close() {
	t.timer.Stop()
	t.socket.Close()
}

// header reads the line a message begins with, without its line end, answering whatever else comes
// before it. It is valid until the next read.
func (t *talker) header() ([]byte, error) {
	for {
		line, err := t.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if !startsControl(line[0]) {
			return line, nil
		}
		if err := t.control(string(line)); err != nil {
			return nil, err
		}
	}
}

// control answers a line that is no message.
func (t *talker) control(line string) error {
	switch {
	case line == "PING":
		_, err := io.WriteString(t.socket, "PONG\r\n")
		return err
	case strings.HasPrefix(line, "INFO "):
		return nil
	default:
		return fmt.Errorf("%s: the broker says %s", t.name, excerpt([]byte(line)))
	}
}

// respond answers requests, until the connection is shut.
func (t *talker) respond() error {
	for {
		switch err := t.answer(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// answer answers one request with its own payload.
func (t *talker) answer() error {
	line, err := t.header()
	if err != nil {
		return fmt.Errorf("responder: %w", err)
	}
	inbox, isRequest := bytes.CutPrefix(line, []byte("MSG bench.service 1 "))
	inbox, sized := bytes.CutSuffix(inbox, []byte(requestSizeText))
	if !isRequest || !sized {
		return fmt.Errorf("responder: got header %s, want that of a request with %d bytes", excerpt(line), requestSize)
	}
	reply := append(append(append(t.out[:0], "PUB "...), inbox...), requestSizeText+"\r\n"...)
	start := len(reply)
	reply = append(reply, make([]byte, requestSize+2)...)
	t.out = reply
	if _, err := io.ReadFull(t.in, reply[start:]); err != nil {
		return fmt.Errorf("responder: %w", err)
	}
	if _, err := t.socket.Write(reply); err != nil {
		return fmt.Errorf("responder: %w", err)
	}
	return nil
}

// measure makes requests for the length of the window, after the warm-up, and times each. serve
// lets the responder answer one, if no other does.
func (t *talker) measure(r *round, serve func() error) (measures, error) {
	if _, err := t.requests(0, time.Now().Add(r.warmUp), nil, serve); err != nil {
		return nil, err
	}
	samples := make([]time.Duration, 0, 1<<20)
	span := beginSpan(r.broker)
	samples, err := t.requests(1, time.Now().Add(r.duration), samples, serve)
	if err != nil {
		return nil, err
	}
	m := span.end(int64(len(samples)))
	m.addLatency(samples)
	return m, nil
}

// addLatency adds percentiles of the samples, and sorts them.
func (m measures) addLatency(samples []time.Duration) {
	slices.Sort(samples)
	m[latency50] = float64(percentile(samples, 50)) / float64(time.Microsecond)
	m[latency99] = float64(percentile(samples, 99)) / float64(time.Microsecond)
	m[latency999] = float64(percentile(samples, 99.9)) / float64(time.Microsecond)
}

// requests makes one request after another until the time has come; each has an inbox of its own,
// under a phase that keeps warm-up and measurement apart.
func (t *talker) requests(phase int, until time.Time, samples []time.Duration, serve func() error) ([]time.Duration, error) {
	var request, want, got, payload []byte
	for i := 0; ; i++ {
		payload = appendPayload(payload[:0], i, requestSize)
		request = appendFrame(fmt.Appendf(request[:0], "PUB bench.service _INBOX.bench.%d%08d", phase, i), payload)
		want = appendFrame(fmt.Appendf(want[:0], "MSG _INBOX.bench.%d%08d 1", phase, i), payload)
		start := time.Now()
		if start.After(until) && i > 0 {
			return samples, nil
		}
		if _, err := t.socket.Write(request); err != nil {
			return nil, fmt.Errorf("requester: request %d: %w", i, err)
		}
		if err := serve(); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		var err error
		if got, err = t.frame(got[:0]); errors.Is(err, io.EOF) {
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
func (t *talker) frame(dst []byte) ([]byte, error) {
	line, err := t.header()
	if err != nil {
		return nil, err
	}
	dst = append(append(dst, line...), "\r\n"...)
	start := len(dst)
	dst = append(dst, make([]byte, requestSize+2)...)
	_, err = io.ReadFull(t.in, dst[start:])
	return dst, err
}
