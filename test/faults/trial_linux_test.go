package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/check"
)

// This file has a mesh with its clients during one fault: what is waited for, and what is judged.

const (
	// patience bounds every wait. It is long, because only a failure uses it up.
	patience = 2 * time.Minute
	// warmUp is how long messages flow before a fault, and after it.
	warmUp = time.Second
	// quietFor is how long nothing arrives before the messages that have not arrived are lost.
	quietFor = time.Second
	// servers is how many there are.
	servers = 3
)

// broker is a program that is tried.
type broker struct {
	name, program string
	peer          bool // it is another one: no promise of ours is expected of it
}

// trial is a mesh with its clients during one fault.
type trial struct {
	*lab
	row     *row
	log     *check.Log
	persons []*person
	settled int // times
	mesh    time.Duration
	never   bool // the mesh was not complete again in time
}

// run runs a fault on a mesh of a broker.
func (f *row) run(t *testing.T, b broker) *result {
	t.Helper()
	r := &trial{lab: newLab(t, servers), row: f, log: new(check.Log)}
	r.program = b.program
	r.settings = f.settings
	r.parted = func(server, peer int, line string) {
		r.log.Add(check.Event{Kind: check.Parted, Server: server, Peer: peer, Text: line})
	}
	for _, m := range r.machines {
		m.routes, m.stepped = []int{0}, f.clock
		if m.index == 0 {
			m.routes = f.seeds
		}
	}
	r.network.setAll(f.network)
	start := time.Now()
	for _, m := range r.machines {
		m.boot()
		t.Cleanup(func() { m.kill(syscall.SIGKILL) })
	}
	t.Cleanup(func() { r.showLogs(b) })
	r.meshed(start)
	if f.do != nil {
		r.mesh = 0 // it is the time after the fault that counts
	}
	var working, staying sync.WaitGroup
	enough := make(chan struct{})
	for i := range servers * kinds {
		p := &person{run: r, number: i + 1, kind: i % kinds, home: i / kinds}
		r.persons = append(r.persons, p)
		p.connect()
		staying.Go(p.stay) // ends with leave
	}
	r.settle()
	for _, p := range r.persons {
		working.Go(func() { p.work(enough) }) // ends with enough
	}
	r.wait(warmUp)
	from := len(r.log.Events())
	if f.do != nil {
		f.do(r)
	} else {
		r.wait(f.lasts)
	}
	to := len(r.log.Events())
	r.network.setAll(path{})
	r.settle()
	r.wait(warmUp)
	close(enough)
	working.Wait()
	r.settle()
	r.quiet()
	for _, p := range r.persons {
		p.leave()
	}
	staying.Wait()
	r.explain()
	return r.result(from, to, b)
}

// result counts, and judges if the broker is ours.
func (r *trial) result(from, to int, b broker) *result {
	got := &result{mesh: r.mesh, clients: len(r.persons)}
	if r.never {
		got.mesh = 0
	}
	for _, m := range r.machines {
		m.noteMemory()
		got.memory = max(got.memory, m.peak)
	}
	events := r.log.Events()
	got.count(events, from, to, r.byNumber())
	if b.peer {
		return got
	}
	for _, f := range check.Judge(events).Faults {
		r.t.Errorf("%s: %v", r.row.name, f)
	}
	for _, e := range events {
		if e.Kind == check.Dropped && !slices.Contains(r.row.hurt, r.serverOf(e.Client)) {
			r.t.Errorf("%s: a client of n%d, which was healthy, was disconnected", r.row.name, r.serverOf(e.Client))
		}
	}
	if got.mesh == 0 || got.mesh > r.row.bound {
		r.t.Errorf("%s: the mesh was complete after %v (0s is never), want %v at most", r.row.name, got.mesh, r.row.bound)
	}
	// Judge has found what came twice over one connection, or in a queue group. A client that moves to
	// another server may get a message from both.
	if r.row.whole && got.lost > 0 || got.dropped == 0 && got.twice > 0 {
		r.t.Errorf("%s: of %d messages %d were lost, %d came twice", r.row.name, got.due, got.lost, got.twice)
	}
	if got.memory > memoryLimit {
		r.t.Errorf("%s: a server occupied %d bytes, want %d at most", r.row.name, got.memory, memoryLimit)
	}
	return got
}

// serverOf returns the server of a client of the log, -1 for one that is no person.
func (r *trial) serverOf(number int) int {
	for _, p := range r.persons {
		for _, c := range p.connections() {
			if c.Number == number {
				return c.Server
			}
		}
	}
	return -1
}

// showLogs shows the end of what the brokers logged, if the test failed, and writes it where it is
// to be.
func (r *trial) showLogs(b broker) {
	if *logs != "" {
		for _, m := range r.machines {
			name := strings.Map(func(c rune) rune {
				if c == ' ' || c == '/' {
					return '-'
				}
				return c
			}, r.row.name+" "+b.name+" "+m.name)
			if err := os.WriteFile(filepath.Join(*logs, name+".log"), []byte(m.tail(len(m.lines))), 0o644); err != nil {
				r.t.Error(err)
			}
		}
	}
	if !r.t.Failed() {
		return
	}
	for _, m := range r.machines {
		r.t.Logf("%s: end of the log of %s:\n%s", r.row.name, m.name, m.tail(60))
	}
}

// wait is how long something lasts.
func (r *trial) wait(d time.Duration) { <-time.After(d) }

// stopped records that a server is about to end.
func (r *trial) stopped(m *machine) {
	r.log.Add(check.Event{Kind: check.Stopped, Server: m.index})
}

// meshed waits until what a client of each machine publishes reaches a client of each other one, and
// notes how long after start that was, unless it took longer another time. As messages go one hop
// only, that is a full mesh. It uses clients of its own: others may have moved.
func (r *trial) meshed(start time.Time) {
	r.t.Helper()
	log := new(check.Log)
	var probes []*check.Client
	defer func() {
		for _, c := range probes {
			c.Leave(hangUp)
		}
	}()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	numbers := make([]int, len(r.machines)) // of the probe of each server
	for complete := false; !complete; {
		for i, n := range numbers {
			if n > 0 {
				continue
			}
			if c, err := r.join(log, i, check.Identity{}); err == nil {
				c.Subscribe("mesh", "")
				c.Ping()
				probes, numbers[i] = append(probes, c), c.Number
			}
		}
		for _, c := range probes {
			c.Publish("mesh", 0)
		}
		select {
		case <-late:
			r.never = true
			r.t.Logf("%s: no full mesh %v after the fault", r.row.name, patience)
			return
		case <-again.C: // there is no event for interest that has reached all
		}
		pairs := map[check.ID]bool{}
		for _, e := range log.Events() {
			if e.Kind == check.Received {
				pairs[check.ID{Client: e.Client, N: e.Message.Client}] = true
			}
		}
		complete = len(pairs) == len(r.machines)*len(r.machines)
	}
	r.mesh = max(r.mesh, time.Since(start))
}

// settle waits until each server knows the interest of all clients, and records it: a subscription
// that each client makes now receives what a probe at each server publishes.
func (r *trial) settle() {
	r.t.Helper()
	if r.never {
		return
	}
	r.settled++
	var probes []*check.Client
	for i := range r.machines {
		again := time.NewTicker(reconnectPause)
		defer again.Stop()
		for late := time.Now().Add(patience); ; <-again.C {
			c, err := r.join(r.log, i, check.Identity{})
			if err == nil {
				probes = append(probes, c)
				break
			}
			if time.Now().After(late) {
				r.t.Fatalf("%s: log in at n%d: %v", r.row.name, i, err)
			}
		}
	}
	sids := map[*check.Client]string{}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(patience); ; <-again.C {
		clients := r.connected()
		for _, c := range clients {
			if sids[c] == "" {
				sids[c] = c.Subscribe(r.fence(c), "")
				c.Ping()
			}
		}
		missing := r.missing(clients, probes)
		if len(clients) == len(r.persons) && len(missing) == 0 {
			break
		}
		if time.Now().After(late) {
			r.t.Errorf("%s: %d clients are connected, %d messages of the fence have not arrived: %v", r.row.name, len(clients), len(missing), missing)
			r.never = true
			return
		}
		for _, m := range missing {
			m.from.Publish(m.subject, 0)
		}
	}
	r.log.Add(check.Event{Kind: check.Settled, Servers: []int{0, 1, 2}})
	for c, sid := range sids {
		c.Unsubscribe(sid)
	}
	for _, c := range probes {
		c.Leave(hangUp)
	}
}

func (r *trial) fence(c *check.Client) string {
	return fmt.Sprintf("settle.%d.%d", r.settled, c.Number)
}

// fenceMessage is what a client must receive from a probe.
type fenceMessage struct {
	from    *check.Client
	subject string
}

// missing returns what clients have not received from probes.
func (r *trial) missing(clients, probes []*check.Client) (list []fenceMessage) {
	arrived := map[check.ID]bool{} // a client, and a probe
	for _, e := range r.log.Events() {
		if e.Kind == check.Received && len(e.Subject) > 7 && e.Subject[:7] == "settle." {
			arrived[check.ID{Client: e.Client, N: e.Message.Client}] = true
		}
	}
	for _, c := range clients {
		for _, p := range probes {
			if !arrived[check.ID{Client: c.Number, N: p.Number}] {
				list = append(list, fenceMessage{p, r.fence(c)})
			}
		}
	}
	return list
}

// quiet waits until nothing arrives any more: there is no event for messages that are lost.
func (r *trial) quiet() {
	for _, c := range r.connected() {
		c.Ping()
	}
	before := -1
	for late := time.Now().Add(patience); before != len(r.log.Events()) && time.Now().Before(late); {
		before = len(r.log.Events())
		r.wait(quietFor)
	}
	r.log.Add(check.Event{Kind: check.Quiet})
}
