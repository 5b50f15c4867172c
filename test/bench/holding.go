package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// firstConnections are made and closed before memory is read for the first time, so that code and
// tables a broker loads once are not shared out among what it holds.
const firstConnections = 10

// baseline is the memory of a broker that holds nothing, bytes; 0 where the system does not say.
func baseline(r *round) (int64, error) {
	for range firstConnections {
		c, err := r.broker.dial("first connection", r.deadline, nil)
		if err != nil {
			return 0, err
		}
		c.close()
	}
	rss, err := settledMemory(r.broker.pid())
	if err != nil {
		return 0, nil // not known
	}
	return rss, nil
}

// memoryEach adds what each of the n things that the broker holds by now weighs.
func memoryEach(r *round, m measures, before int64, n int) {
	rss, err := settledMemory(r.broker.pid())
	if err != nil {
		return // not known
	}
	m[bytesEach] = float64(rss-before) / float64(n)
}

// dialers is how many connections are opened at the same time.
const dialers = 4

// idle measures what n connections cost that have shaken hands and then do nothing.
func idle(n int) runner {
	return func(r *round) (measures, error) {
		before, err := baseline(r)
		if err != nil {
			return nil, err
		}
		span := beginSpan(r.broker)
		clients, err := dialMany(r, n)
		defer func() {
			for _, c := range clients {
				c.close()
			}
		}()
		if err != nil {
			return nil, err
		}
		m := span.end(int64(n))
		memoryEach(r, m, before, n)
		if err := r.whileHolding(); err != nil {
			return nil, err
		}
		for _, c := range clients { // all of them must still be there
			c.start(&lapChecker{control: control{handle: c.control}}, nil, func(error) {})
			if err := c.fence(); err != nil {
				return nil, err
			}
			c.close()
		}
		return m, nil
	}
}

// dialMany opens n connections. Those it returns must be closed, also with an error.
func dialMany(r *round, n int) ([]*client, error) {
	type opened struct {
		client *client
		err    error
	}
	var next atomic.Int64
	results := make(chan opened, dialers)
	for range dialers { // all results are awaited below; a dial ends at the deadline of the round
		go func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				c, err := r.broker.dial(fmt.Sprintf("idle connection %d", i), r.deadline, nil)
				results <- opened{c, err}
			}
		}()
	}
	var clients []*client
	var first error
	for range n {
		o := <-results
		if o.err == nil {
			clients = append(clients, o.client)
			continue
		}
		if first == nil {
			first = o.err
		}
	}
	return clients, first
}

// holder is a connection with subscriptions.
type holder struct {
	n      int     // how many
	subs   []byte  // the SUB operations that make them
	checks *stream // messages to some of them

	client   *client // of this round
	received *window // bytes of checks
}

// probesEach is how many subscriptions of each holder are tried afterwards.
const probesEach = 100

// newHolder has n literal subscriptions, numbered from first.
func newHolder(first, n int) holder {
	h := holder{n: n, checks: &stream{}}
	every := max(1, n/probesEach)
	for i := range n {
		subject := fmt.Sprintf("device.%d.%d.state", (first+i)/1000, (first+i)%1000)
		h.subs = fmt.Appendf(h.subs, "SUB %s %d\r\n", subject, i+1)
		if i%every == 0 {
			h.checks.add([]byte(subject), strconv.Itoa(i+1), appendPayload(nil, i, 16))
		}
	}
	h.checks.endChunk()
	return h
}

// subscriptions measures what n subscriptions cost, shared out among a number of connections that
// divides n.
func subscriptions(n, connections int) runner {
	holders := make([]holder, connections)
	for i := range holders {
		holders[i] = newHolder(i*(n/connections), n/connections)
	}
	return func(r *round) (measures, error) { return hold(r, holders, n) }
}

// hold makes the n subscriptions of all holders, one connection after the other, and then tries
// some of each.
func hold(r *round, holders []holder, n int) (measures, error) {
	before, err := baseline(r)
	if err != nil {
		return nil, err
	}
	for i := range holders {
		h := &holders[i]
		if err := h.connect(r, i); err != nil {
			return nil, err
		}
		defer h.client.close()
	}
	span := beginSpan(r.broker)
	for _, h := range holders {
		if err := h.send(h.subs); err != nil {
			return nil, err
		}
	}
	m := span.end(int64(n))
	m[timeEach] = float64(time.Second) / m[throughput]
	memoryEach(r, m, before, n)
	if err := r.whileHolding(); err != nil {
		return nil, err
	}
	for _, h := range holders {
		if err := h.check(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// connect opens the holder's connection, the i-th.
func (h *holder) connect(r *round, i int) error {
	c, err := r.broker.dial(fmt.Sprintf("subscriber %d", i+1), r.deadline, nil)
	if err != nil {
		return err
	}
	h.client = c
	h.received = newWindow(0, 1, false)
	check := &lapChecker{stream: h.checks, control: control{handle: c.control}}
	c.start(check, func(n int) { h.received.deliver(0, n) }, h.received.fail)
	return nil
}

// send writes operations and returns when the broker has answered the PING behind them.
func (h *holder) send(ops []byte) error {
	if _, err := h.client.conn.Write(ops); err != nil {
		return h.client.reason(err)
	}
	return h.client.fence()
}

// check publishes to some of the holder's subscriptions, evenly spread, and wants each message back
// exactly once.
func (h *holder) check() error {
	if err := h.send(h.checks.publish); err != nil {
		return err
	}
	if got, want := h.received.done(), int64(len(h.checks.frames)); got != want {
		return fmt.Errorf("%s: received %d bytes of messages, want exactly %d", h.client.name, got, want)
	}
	return nil
}
