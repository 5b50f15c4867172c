package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// This file is about events of the system account: what others notice of them, while clients
// connect and leave all the time and one operator listens.

// withEvents is how a broker is started that has a system account. The connections of the driver
// are in the other account.
var withEvents = launch{config: `
accounts {
  SYS { users: [{ user: sys, password: sys }] }
  APP { users: [{ user: app, password: app }] }
}
system_account: SYS
no_auth_user: app
`}

const (
	// operatorConnect is what the operator introduces itself with.
	operatorConnect = `CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1,"user":"sys","pass":"sys"}` + "\r\n"
	// operatorSubs are the events that it listens to.
	operatorSubs = "SUB $SYS.ACCOUNT.*.CONNECT 1\r\nSUB $SYS.ACCOUNT.*.DISCONNECT 2\r\nSUB $SYS.SERVER.> 3\r\n"
	// visitors is how many clients may connect at the same time.
	visitors = 4
)

// besideEvents measures a flow while clients connect, introduce themselves and leave, perSecond of
// them. An operator listens to the events about them in every other window of the flow, and must
// receive each. What is measured is how much of the throughput without the operator is left with
// it: the median over pairs of windows, one after the other, in turns the one or the other first.
func besideEvents(perSecond, pairs int, load func() *flow) func() runner {
	return func() runner {
		f := load()
		return func(r *round) (measures, error) {
			lane, err := f.open(r, 0)
			defer lane.close()
			if err != nil {
				return nil, err
			}
			v := startVisits(r, perSecond)
			e := &eventWindows{round: r, lane: lane, visits: v}
			m, err := e.run(pairs)
			rate, visitErr := v.stop()
			if err := errors.Join(err, visitErr, lane.verify()); err != nil {
				return nil, err
			}
			m[loadRate] = rate
			return m, nil
		}
	}
}

// eventWindows are the windows of one round.
type eventWindows struct {
	round  *round
	lane   *lane
	visits *visits
}

// run measures pairs of windows, without and with the operator.
func (e *eventWindows) run(pairs int) (measures, error) {
	if err := publishAll([]*lane{e.lane}, e.round.warmUp, 0); err != nil {
		return nil, err
	}
	var without, kept []float64
	for pair := range pairs {
		var rates [2]float64
		for i := range rates {
			listening := (i + pair) % 2
			rate, err := e.window(listening == 1)
			if err != nil {
				return nil, err
			}
			rates[listening] = rate
		}
		without = append(without, rates[0])
		kept = append(kept, 100*rates[1]/rates[0])
	}
	return measures{throughput: median(without), keptShare: median(kept)}, nil
}

// window returns how many messages per second there were in one window. An operator is connected;
// one that listens must receive the events about every client that connected in the window.
func (e *eventWindows) window(listening bool) (float64, error) {
	o, err := newOperator(e.round, e.visits, listening)
	if err != nil {
		return 0, err
	}
	defer o.client.close()
	begun, before := time.Now(), e.lane.messages
	err = publishAll([]*lane{e.lane}, e.round.duration, 0)
	rate := float64(e.lane.messages-before) / time.Since(begun).Seconds()
	if err != nil || !listening {
		return rate, err
	}
	return rate, o.await(e.visits.begun.Load())
}

// operator is a connection that may listen to events.
type operator struct {
	client *client
	events *eventChecker
}

// newOperator connects one. If it listens it must receive the events about each visit that begins
// from now on.
func newOperator(r *round, v *visits, listening bool) (*operator, error) {
	c, err := r.broker.dialAs(operatorConnect, &net.Dialer{}, "operator", r.deadline, nil)
	if err != nil {
		return nil, err
	}
	o := &operator{c, &eventChecker{control: control{handle: c.control}, first: math.MaxInt64, moved: make(chan struct{}, 1)}}
	c.start(o.events, nil, func(error) {})
	if !listening {
		return o, nil
	}
	_, err = io.WriteString(c.conn, operatorSubs)
	if err != nil {
		err = c.reason(err)
	} else if err = c.fence(); err == nil {
		o.events.from(v.begun.Load())
		return o, nil
	}
	c.close()
	return nil, err
}

// await returns when the operator has received the events about all visits before the one with
// number end.
func (o *operator) await(end int64) error {
	for {
		missing := o.events.missing(end)
		if missing == "" {
			return nil
		}
		select {
		case <-o.events.moved:
		case <-o.client.done:
			return fmt.Errorf("%w (%s)", o.client.err, missing)
		}
	}
}

// visits are clients that connect and leave.
type visits struct {
	round    *round
	interval time.Duration
	since    time.Time
	begun    atomic.Int64 // how many have begun to connect
	stopped  atomic.Bool
	ended    chan error // from each visitor
}

func startVisits(r *round, perSecond int) *visits {
	v := &visits{round: r, interval: time.Second / time.Duration(perSecond), since: time.Now(), ended: make(chan error, visitors)}
	for range visitors {
		go func() { v.ended <- v.run() }() // stop waits for it
	}
	return v
}

// run connects one client after the other, each when its time has come.
func (v *visits) run() error {
	for !v.stopped.Load() {
		n := v.begun.Add(1) - 1
		time.Sleep(time.Until(v.since.Add(time.Duration(n) * v.interval)))
		hello := strings.Replace(connectLine, "{", fmt.Sprintf(`{"name":"%s%d",`, visitName, n), 1)
		c, err := v.round.broker.dialAs(hello, &net.Dialer{}, fmt.Sprintf("visit %d", n), v.round.deadline, nil)
		if err != nil {
			return err
		}
		c.close()
	}
	return nil
}

// stop ends the visits, and returns how many there were per second.
func (v *visits) stop() (perSecond float64, err error) {
	v.stopped.Store(true)
	for range visitors {
		err = errors.Join(err, <-v.ended)
	}
	return float64(v.begun.Load()) / time.Since(v.since).Seconds(), err
}

// visitName begins the names of clients.
const visitName = "visit-"

// Kinds of events about a client.
const (
	connects = iota
	disconnects
	eventKinds
)

// eventChecker wants both events about each client from the first on, once.
type eventChecker struct {
	control control
	held    []byte        // the part of a message that has arrived; owned by the reader
	moved   chan struct{} // holds a token when there are more events

	mu    sync.Mutex // guards what follows
	first int64
	seen  [][eventKinds]int // events about each, from the first on
}

// from says who is the first client whose events it must receive.
func (c *eventChecker) from(first int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = first
}

// feed checks the next bytes; see checker.
func (c *eventChecker) feed(data []byte) (frames int, err error) {
	data = append(c.held, data...)
	for len(data) > 0 {
		if c.control.begun() || startsControl(data[0]) {
			if data, err = c.control.take(data); err != nil {
				return frames, err
			}
			continue
		}
		line := bytes.IndexByte(data, '\n') + 1
		if line == 0 {
			break
		}
		head := bytes.TrimSpace(data[:line])
		subject, rest, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("MSG ")), []byte(" "))
		size, err := strconv.Atoi(string(rest[bytes.LastIndexByte(rest, ' ')+1:]))
		if err != nil {
			return frames, fmt.Errorf("got header %s, want that of an event: %w", excerpt(head), err)
		}
		end := line + size + 2
		if len(data) < end {
			break
		}
		if err := c.event(subject, data[line:end-2]); err != nil {
			return frames, err
		}
		frames, data = frames+end, data[end:]
	}
	c.held = append(c.held[:0], data...)
	return frames, nil
}

// event counts an event if it is about a client that was asked for.
func (c *eventChecker) event(subject, text []byte) error {
	kind := connects
	switch _, last, _ := bytes.Cut(subject, []byte("$SYS.ACCOUNT.APP.")); string(last) {
	case "CONNECT":
	case "DISCONNECT":
		kind = disconnects
	default:
		return nil
	}
	_, name, _ := bytes.Cut(text, []byte(`"`+visitName))
	digits, _, _ := bytes.Cut(name, []byte(`"`))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return fmt.Errorf("an event about a client that is none of ours: %s", excerpt(text))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < c.first {
		return nil
	}
	for int64(len(c.seen)) <= n-c.first {
		c.seen = append(c.seen, [eventKinds]int{})
	}
	if c.seen[n-c.first][kind]++; c.seen[n-c.first][kind] > 1 {
		return fmt.Errorf("%s: client %d: the event came twice", subject, n)
	}
	select {
	case c.moved <- struct{}{}:
	default:
	}
	return nil
}

// missing says which event is still to come, of clients before the one with number end.
func (c *eventChecker) missing(end int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := c.first; n < end; n++ {
		for kind, name := range [eventKinds]string{"CONNECT", "DISCONNECT"} {
			if i := n - c.first; i >= int64(len(c.seen)) || c.seen[i][kind] == 0 {
				return fmt.Sprintf("client %d: no event %s has come", n, name)
			}
		}
	}
	return ""
}
