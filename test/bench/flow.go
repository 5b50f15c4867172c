package main

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// flow is a scenario of streaming: publishers that send as fast as they may, each to subscribers of
// its own.
type flow struct {
	sources  []source
	queue    bool // the subscribers of each are the members of one queue group
	wholeLap bool // the measured window lasts at least one lap, whatever the duration
}

// newFlow publishes short laps in long writes.
func newFlow(sources ...source) *flow {
	for _, s := range sources {
		s.stream.repeat()
	}
	return &flow{sources: sources}
}

// inFlightLimit bounds what the broker may have to hold for all subscribers of a scenario together,
// in bytes.
const inFlightLimit = 256 << 20

// lane is one publisher with its subscribers while a flow runs.
type lane struct {
	stream      *stream
	window      *window
	publisher   *client
	subscribers []*client
	members     []*memberChecker // of a queue group

	next     int   // chunk to be published next
	sent     int64 // bytes of frames that what was published becomes
	messages int64 // published
}

// run is a runner.
func (f *flow) run(r *round) (measures, error) {
	lanes := make([]*lane, len(f.sources))
	for i := range f.sources {
		l, err := f.open(r, i)
		lanes[i] = l
		defer l.close()
		if err != nil {
			return nil, err
		}
	}
	if err := r.interestKnown(); err != nil {
		return nil, err
	}
	if err := publishAll(lanes, r.warmUp, 0); err != nil {
		return nil, err
	}
	var lap int64
	if f.wholeLap {
		lap = int64(f.sources[0].stream.messages)
	}
	before := total(lanes)
	span := beginSpan(r.servers()...)
	if err := publishAll(lanes, r.duration, lap); err != nil {
		return nil, err
	}
	copies := int64(1)
	if !f.queue {
		copies = max(1, int64(len(f.sources[0].subscribers)))
	}
	m := span.end((total(lanes) - before) * copies)
	for _, l := range lanes {
		if err := l.verify(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// total is how many messages all publishers have sent.
func total(lanes []*lane) int64 {
	var n int64
	for _, l := range lanes {
		n += l.messages
	}
	return n
}

// open connects lane i: subscribers first, so that nothing is published before they are known to
// the broker. Also what is returned with an error must be closed.
func (f *flow) open(r *round, i int) (*lane, error) {
	src := f.sources[i]
	limit := min(r.window, inFlightLimit/int64(max(1, len(src.subscribers))*len(f.sources)))
	l := &lane{stream: src.stream, window: newWindow(limit, len(src.subscribers), f.queue)}
	for j, sub := range src.subscribers {
		name := fmt.Sprintf("subscriber %d of publisher %d", j+1, i+1)
		c, err := r.subscribersAt().dial(name, r.deadline, []byte(sub.setup))
		if err != nil {
			return l, err
		}
		l.subscribers = append(l.subscribers, c)
		var check checker = &lapChecker{stream: sub.owed, control: control{handle: c.control}}
		if f.queue {
			member := newMemberChecker(sub.owed, c.control)
			l.members = append(l.members, member)
			check = member
		}
		c.start(check, func(n int) { l.window.deliver(j, n) }, func(err error) { l.window.fail(l.lost(j, err)) })
	}
	c, err := r.broker.dial(fmt.Sprintf("publisher %d", i+1), r.deadline, nil)
	if err != nil {
		return l, err
	}
	l.publisher = c
	c.start(&lapChecker{control: control{handle: c.control}}, nil, l.window.fail)
	return l, nil
}

// lost adds to a subscriber's error how far it had come.
func (l *lane) lost(j int, err error) error {
	return fmt.Errorf("%w (after %d bytes of messages)", err, l.window.received[j].Load())
}

// close ends all connections of the lane.
func (l *lane) close() {
	for _, c := range l.subscribers {
		c.close()
	}
	if l.publisher != nil {
		l.publisher.close()
	}
}

// publishAll lets every lane publish for a while, and at least so many messages each, and returns
// when everything has arrived.
func publishAll(lanes []*lane, d time.Duration, atLeast int64) error {
	until := time.Now().Add(d)
	ended := make(chan error, len(lanes))
	for _, l := range lanes {
		first := l.messages
		go func() { // awaited below; ended by its connections at the latest
			ended <- l.publish(func() bool { return l.messages-first < atLeast || time.Now().Before(until) })
		}()
	}
	var errs []error
	for range lanes {
		if err := <-ended; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// publish sends chunks as long as more says so, then waits until the broker has taken all of them
// in and every subscriber has received what it must.
func (l *lane) publish(more func() bool) error {
	for more() {
		if err := l.window.wait(l.sent); err != nil {
			return err
		}
		if err := l.publishChunk(); err != nil {
			return l.publisher.reason(err)
		}
	}
	if err := l.publisher.fence(); err != nil {
		return err
	}
	return l.window.drain(l.sent)
}

// publishChunk writes the next chunk of the stream.
func (l *lane) publishChunk() error {
	var from chunk
	if l.next > 0 {
		from = l.stream.chunks[l.next-1]
	}
	to := l.stream.chunks[l.next]
	if _, err := l.publisher.conn.Write(l.stream.publish[from.publish:to.publish]); err != nil {
		return err
	}
	l.sent += int64(to.frames - from.frames)
	l.messages += int64(to.messages - from.messages)
	l.next = (l.next + 1) % len(l.stream.chunks)
	return nil
}

// verify makes sure that no subscriber has received more than it should, and of a queue group that
// every message went to exactly one member and every member had its share.
func (l *lane) verify() error {
	for j, c := range l.subscribers {
		if err := c.fence(); err != nil {
			return err
		}
		if got := l.window.received[j].Load(); !l.window.shared && got != l.sent {
			return fmt.Errorf("%s: received %d bytes of messages, want exactly %d", c.name, got, l.sent)
		}
	}
	if len(l.members) == 0 {
		return nil
	}
	published := int64(l.stream.messages)
	return verifyGroup(l.members, l.messages/published, int(l.messages%published))
}

// verifyGroup adds up what the members of a queue group have received, and wants each message of so
// many laps exactly once, and as many as part of the lap after them.
func verifyGroup(members []*memberChecker, laps int64, part int) error {
	shares := make([]int64, len(members))
	for i := range members[0].counts {
		var got int64
		for _, m := range members {
			got += int64(m.counts[i])
		}
		want := laps
		if i < part {
			want++
		}
		if got != want {
			return fmt.Errorf("queue group: message %d of the lap was received %d times, want %d", i, got, want)
		}
	}
	for i, m := range members {
		shares[i] = m.total
	}
	return checkShares(shares)
}

// Bounds of checkShares: how many standard deviations a share may be off, and how much of the fair
// share besides.
const (
	shareDeviations = 6
	shareSlack      = 0.1
)

// checkShares wants the members of a queue group to have received about the same number of
// messages, as uniform random choice would give them, or something fairer.
func checkShares(shares []int64) error {
	var sum int64
	for _, n := range shares {
		sum += n
	}
	fair := float64(sum) / float64(len(shares))
	if fair == 0 {
		return errors.New("queue group: no member received anything")
	}
	slack := shareDeviations*math.Sqrt(fair) + shareSlack*fair
	for i, n := range shares {
		if math.Abs(float64(n)-fair) > slack {
			return fmt.Errorf("queue group: member %d received %d messages, want about %.0f (%v)", i+1, n, fair, shares)
		}
	}
	return nil
}
