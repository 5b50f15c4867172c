package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// unread is a scenario whose subscribers cost nothing while it is measured: they do not read, and
// the kernel holds what they are sent. A window lasts from the first publication until the kernel
// holds everything. Then all is read and checked, and the next begins.
type unread struct {
	publishers  []*stream // each sends whole laps
	subscribers []unreadSubscriber
	queue       bool // the subscribers are the members of one queue group
}

// unreadSubscriber is how a connection subscribes, and what it must therefore receive of each
// publisher; in a queue group, some of it.
type unreadSubscriber struct {
	setup string // SUB operations
	owed  []*stream
}

// Bounds of what is published in one window: bytes for all subscribers together, and how much
// larger than its contents a receive buffer is, for the kernel counts its own bookkeeping too.
const (
	unreadLimit = 128 << 20
	bufferSlack = 8
)

// How often the kernel is asked whether it holds everything, and after which part of the time for a
// round, without progress, it never will.
const (
	askEvery   = 100 * time.Microsecond
	stallShare = 20
)

// unreadSource is unread for one publisher.
func unreadSource(src source, queue bool) *unread {
	u := &unread{publishers: []*stream{src.stream}, queue: queue}
	for _, s := range src.subscribers {
		u.subscribers = append(u.subscribers, unreadSubscriber{s.setup, []*stream{s.owed}})
	}
	return u
}

// unreadRound is an unread scenario while it runs.
type unreadRound struct {
	*unread
	*round
	laps    int // of every publisher in one window
	senders []*client
	holders []*unreadHolder
	members []*memberChecker // of a queue group
	failed  chan error       // holds the first error of a publisher
	stalled time.Duration    // without progress: something is missing
}

// unreadHolder is a subscriber while an unread scenario runs.
type unreadHolder struct {
	client *client
	check  checker
	lap    int // bytes it is owed for one lap of each publisher
	held   int // bytes in the kernel when it was asked last in this window
	got    int // bytes of frames of this window that are read
}

// run is a runner.
func (u *unread) run(r *round) (measures, error) {
	w := &unreadRound{unread: u, round: r, failed: make(chan error, 1), stalled: time.Until(r.deadline) / stallShare}
	defer w.close()
	if err := w.open(); err != nil {
		return nil, err
	}
	if err := w.pass(newSpan(r.broker)); err != nil { // warms up
		return nil, err
	}
	windows := 0
	span := newSpan(r.broker)
	for ; span.elapsed < r.duration; windows++ {
		if err := w.pass(span); err != nil {
			return nil, err
		}
	}
	return span.share(int64(windows) * w.deliveries()), w.verify(windows + 1)
}

// pass is one window, and what follows it.
func (w *unreadRound) pass(span *span) error {
	span.resume()
	err := w.send()
	span.pause()
	if err != nil {
		return err
	}
	return w.receive()
}

// perLap is how many bytes all streams have together in one lap.
func perLap(streams []*stream) int {
	n := 0
	for _, s := range streams {
		n += len(s.frames)
	}
	return n
}

// deliveries is how many messages reach subscribers in one window.
func (w *unreadRound) deliveries() (n int64) {
	for _, sub := range w.subscribers {
		for _, s := range sub.owed {
			n += int64(w.laps * s.messages)
		}
	}
	if w.queue {
		return n / int64(len(w.subscribers))
	}
	return n
}

// open connects everything, and decides how much fits into the receive buffers.
func (w *unreadRound) open() error {
	most := 0
	for _, sub := range w.subscribers {
		most = max(most, perLap(sub.owed))
	}
	w.laps = max(1, min(int(w.window), unreadLimit/len(w.subscribers))/most)
	for i, sub := range w.subscribers {
		if err := w.openHolder(sub, fmt.Sprintf("subscriber %d", i+1), w.laps*most*bufferSlack); err != nil {
			return err
		}
	}
	for i := range w.publishers {
		c, err := w.broker.dial(fmt.Sprintf("publisher %d", i+1), w.deadline, nil)
		if err != nil {
			return err
		}
		w.senders = append(w.senders, c)
		c.start(&lapChecker{control: control{handle: c.control}}, nil, w.fail)
	}
	return nil
}

// fail keeps the first error of a publisher.
func (w *unreadRound) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// openHolder connects one subscriber with a receive buffer of so many bytes, or what it may have.
func (w *unreadRound) openHolder(sub unreadSubscriber, name string, buffer int) error {
	c, err := w.broker.dialBy(largeReceiver(buffer), name, w.deadline, []byte(sub.setup))
	if err != nil {
		return err
	}
	h := &unreadHolder{client: c, lap: perLap(sub.owed)}
	w.holders = append(w.holders, h)
	control := control{handle: c.control}
	switch {
	case w.queue:
		member := newMemberChecker(sub.owed[0], c.control)
		w.members = append(w.members, member)
		h.check = member
	case len(sub.owed) == 1:
		h.check = &lapChecker{stream: sub.owed[0], control: control}
	default:
		h.check = newMixedChecker(sub.owed, control)
	}
	if _, err := h.check.feed(c.rest); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.rest = nil
	doubled, err := receiveBuffer(c) // the kernel doubles what it is asked for
	if err != nil {
		return err
	}
	w.laps = max(1, min(w.laps, doubled/2/bufferSlack/h.lap))
	return waitFor(c, math.MaxInt32)
}

// close ends all connections.
func (w *unreadRound) close() {
	for _, c := range w.senders {
		c.close()
	}
	for _, h := range w.holders {
		h.client.close()
	}
}

// send publishes the laps of one window, and returns when the kernel holds everything.
func (w *unreadRound) send() error {
	for i, c := range w.senders {
		lap := w.publishers[i].publish
		each := min(w.laps, max(1, chunkBytes/len(lap)))
		text := bytes.Repeat(lap, each)
		go func() { // ends with the connection; what it has not written the kernel would lack
			for left := w.laps; left > 0; left -= each {
				if _, err := c.conn.Write(text[:min(left, each)*len(lap)]); err != nil {
					w.fail(c.reason(err))
					return
				}
			}
		}()
	}
	return w.await(w.held)
}

// await calls progress until it has reached what all subscribers together are owed.
func (w *unreadRound) await(progress func() (int, error)) error {
	poll := time.NewTicker(askEvery)
	defer poll.Stop()
	last, since := -1, time.Now()
	for {
		n, err := progress()
		if n >= w.owed() || err != nil {
			return err
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > w.stalled {
			return w.explain(n)
		}
		select {
		case err := <-w.failed:
			return err
		case <-poll.C:
		}
	}
}

// owed is how many bytes of frames all subscribers together receive in one window.
func (w *unreadRound) owed() int {
	if w.queue {
		return w.laps * w.holders[0].lap
	}
	sum := 0
	for _, h := range w.holders {
		sum += w.laps * h.lap
	}
	return sum
}

// held is how many bytes the kernel holds. A subscriber that has all it is owed is not asked again,
// and those after the first that has not only when it is their turn, so that asking costs little;
// of a queue group all are asked.
func (w *unreadRound) held() (sum int, err error) {
	for _, h := range w.holders {
		if h.held < w.laps*h.lap {
			h.held, err = unreadBytes(h.client)
		}
		sum += min(h.held, w.laps*h.lap) // not a PING behind it
		if err != nil || !w.queue && h.held < w.laps*h.lap {
			return sum, err
		}
	}
	return sum, nil
}

// receive reads and checks everything that was published in a window.
func (w *unreadRound) receive() error {
	buf := make([]byte, readBytes)
	err := w.await(func() (sum int, err error) {
		for _, h := range w.holders {
			if err := h.read(buf); err != nil {
				return sum, err
			}
			sum += h.got
		}
		return sum, nil
	})
	if err != nil {
		return err
	}
	for _, h := range w.holders {
		if want := w.laps * h.lap; !w.queue && h.got != want {
			return fmt.Errorf("%s: received %d bytes of messages, want exactly %d", h.client.name, h.got, want)
		}
		h.held, h.got = 0, 0
	}
	return nil
}

// read reads and checks what the kernel holds.
func (h *unreadHolder) read(buf []byte) error {
	n, err := unreadBytes(h.client)
	for n > 0 && err == nil {
		var size, frames int
		if size, err = h.client.conn.Read(buf[:min(n, len(buf))]); err == nil {
			frames, err = h.check.feed(buf[:size])
		}
		n -= size
		h.got += frames
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.client.name, err)
	}
	return nil
}

// explain says why nothing comes any more, after so many bytes.
func (w *unreadRound) explain(n int) error {
	buf := make([]byte, readBytes)
	for _, h := range w.holders {
		if err := h.read(buf); err != nil {
			return err
		}
		if h.got == w.laps*h.lap || w.queue {
			continue
		}
		_ = h.client.conn.SetReadDeadline(time.Now()) // fails only if it is closed
		if _, err := h.client.conn.Read(buf); errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: the broker closed the connection", h.client.name)
		}
		return fmt.Errorf("%s: received %d bytes of messages, want %d", h.client.name, h.got, w.laps*h.lap)
	}
	return fmt.Errorf("all subscribers together received %d bytes of messages, want %d", n, w.owed())
}

// verify makes sure that no subscriber has received more than it should, and of a queue group that
// every message of all windows went to exactly one member.
func (w *unreadRound) verify(windows int) error {
	for _, c := range w.senders {
		if err := c.fence(); err != nil {
			return err
		}
	}
	for _, h := range w.holders {
		extra := 0
		if err := waitFor(h.client, 1); err != nil {
			return err
		}
		h.client.start(h.check, func(n int) { extra += n }, func(error) {})
		if err := h.client.fence(); err != nil {
			return err
		}
		h.client.close()
		if extra > 0 {
			return fmt.Errorf("%s: received %d bytes of messages too many", h.client.name, extra)
		}
	}
	if !w.queue {
		return nil
	}
	return verifyGroup(w.members, int64(windows*w.laps), 0)
}
