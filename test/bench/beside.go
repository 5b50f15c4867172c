package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"
)

// This file is about fairness: what others notice of publishers that send as fast as they may.

// beside measures while the publishers of a flow send as fast as they may, and adds how much they
// sent. What the broker and the driver use is not shared out: most of it is the flow's.
func beside(load func() *flow, prepare func() runner) func() runner {
	return func() runner {
		f, run := load(), prepare()
		return func(r *round) (measures, error) {
			// Goroutines that wait in system calls go on at once when there are more
			// threads than publishers; that is for the kernel to decide then.
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + spareThreads))
			running, err := f.start(r)
			if err != nil {
				return nil, err
			}
			m, err := run(r)
			sent, loadErr := running.stop()
			if err := errors.Join(err, loadErr); err != nil {
				return nil, err
			}
			m[loadRate] = sent
			delete(m, serverCPU)
			delete(m, driverCPU)
			return m, nil
		}
	}
}

// spareThreads is how many goroutines of the driver may run at the same time, in addition to one
// for each CPU.
const spareThreads = 8

// runningFlow is a flow that goes on until it is stopped.
type runningFlow struct {
	lanes   []*lane
	begun   time.Time
	stopped atomic.Bool
	ended   chan error // from each lane
}

// start connects everything and begins to publish.
func (f *flow) start(r *round) (*runningFlow, error) {
	run := &runningFlow{begun: time.Now(), ended: make(chan error, len(f.sources))}
	for i := range f.sources {
		l, err := f.open(r, i)
		run.lanes = append(run.lanes, l)
		if err != nil {
			run.close()
			return nil, err
		}
	}
	for _, l := range run.lanes {
		go func() { // stop waits for it; ended by its connections at the latest
			run.ended <- l.publish(func() bool { return !run.stopped.Load() })
		}()
	}
	return run, nil
}

// stop ends the publishers, and returns how many messages they have sent per second once all of
// them have arrived.
func (f *runningFlow) stop() (perSecond float64, err error) {
	defer f.close()
	f.stopped.Store(true)
	for range f.lanes {
		err = errors.Join(err, <-f.ended)
	}
	perSecond = float64(total(f.lanes)) / time.Since(f.begun).Seconds()
	for _, l := range f.lanes {
		if err == nil {
			err = l.verify()
		}
	}
	return perSecond, err
}

// close ends all connections.
func (f *runningFlow) close() {
	for _, l := range f.lanes {
		l.close()
	}
}

// onePublisher sends 128 bytes to one subscriber.
func onePublisher() *flow {
	return newFlow(ownSids("bench.load", "SUB bench.load %s\r\n", 1, 128, lapBytes))
}

// emptyMessages are n publishers of messages of 0 bytes without subscribers: they write faster than
// a broker reads, so that what it reads from them never runs dry.
func emptyMessages(n int) func() *flow {
	return func() *flow {
		var sources []source
		for range n {
			sources = append(sources, source{stream: subjectStream("bench.void", 0)})
		}
		return newFlow(sources...)
	}
}

// paced is n publishers that send a message every interval each, to one subscriber.
type paced struct {
	n        int
	interval time.Duration

	begun time.Time
	sent  []atomic.Int64 // when each message was sent, nanoseconds since begun
	next  []int          // message of each publisher that is due; owned by the receiver
}

// pacedPublishers measures how long messages take.
func pacedPublishers(n int, interval time.Duration) func() runner {
	return func() runner {
		return func(r *round) (measures, error) {
			p := &paced{n: n, interval: interval, begun: time.Now(), next: make([]int, n)}
			p.sent = make([]atomic.Int64, max(n, int(r.duration*time.Duration(n)/interval)))
			for i := range p.next {
				p.next[i] = i
			}
			return p.run(r)
		}
	}
}

// run sends all messages and receives them.
func (p *paced) run(r *round) (measures, error) {
	receiver, err := newTalker(r, "subscriber", "SUB bench.paced.* 1\r\n", false)
	if err != nil {
		return nil, err
	}
	defer receiver.close()
	var publishers []*client
	defer func() {
		for _, c := range publishers {
			c.close()
		}
	}()
	for i := range p.n {
		c, err := r.broker.dial(fmt.Sprintf("paced publisher %d", i+1), r.deadline, nil)
		if err != nil {
			return nil, err
		}
		c.start(&lapChecker{control: control{handle: c.control}}, nil, func(error) { receiver.socket.shut() })
		publishers = append(publishers, c)
	}
	span := beginSpan(r.broker)
	ended := make(chan error, 1)
	go func() { ended <- p.send(publishers) }() // awaited below; ends after the last message
	samples, err := p.receive(receiver)
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	m := span.end(int64(len(samples)))
	m.addLatency(samples)
	return m, nil
}

// send lets the publishers send in turn, evenly spread over the interval.
func (p *paced) send(publishers []*client) error {
	ticker := time.NewTicker(p.interval / time.Duration(p.n))
	defer ticker.Stop()
	var text []byte
	for i := range p.sent {
		<-ticker.C
		c := publishers[i%p.n]
		text = p.frame(text[:0], "PUB", "", i)
		p.sent[i].Store(int64(time.Since(p.begun)))
		if _, err := c.conn.Write(text); err != nil {
			return c.reason(err)
		}
	}
	return nil
}

// frame appends message i as it is published, or as sid receives it.
func (p *paced) frame(dst []byte, verb, sid string, i int) []byte {
	head := fmt.Appendf(dst, "%s bench.paced.%d%s", verb, i%p.n, sid)
	return appendFrame(head, appendPayload(nil, i, requestSize))
}

// receive wants every message once, those of each publisher in order, and returns how long they
// took.
func (p *paced) receive(t *talker) (samples []time.Duration, err error) {
	var got, want []byte
	for range p.sent {
		if got, err = t.frame(got[:0]); errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("subscriber: message %d: the broker closed the connection, or the time for the round is over", len(samples))
		}
		if err != nil {
			return nil, fmt.Errorf("subscriber: message %d: %w", len(samples), err)
		}
		at := time.Since(p.begun)
		i, _ := payloadIndex(got[bytes.IndexByte(got, '\n')+1:])
		due := p.next[i%p.n]
		want = p.frame(want[:0], "MSG", " 1", due)
		if !bytes.Equal(got, want) {
			return nil, fmt.Errorf("subscriber: message %d: %w", len(samples), diagnose(got, want))
		}
		p.next[i%p.n] += p.n
		samples = append(samples, at-time.Duration(p.sent[due].Load()))
	}
	return samples, nil
}
