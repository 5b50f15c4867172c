package faults

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"gnatsd/test/check"
)

// This file has the clients. Each begins at one server, as five kinds do at every server; when its
// connection ends it looks for another server at once, as clients do that know all of them.

const (
	kinds = 5
	// reconnectPause is between two attempts to connect.
	reconnectPause = 20 * time.Millisecond
	// loginWait is how long a server may take to answer a login.
	loginWait = 2 * time.Second
	// tick is between two times that publishers and requesters send something.
	tick = 10 * time.Millisecond
	// requestEvery is between two requests of a requester, in ticks.
	requestEvery = 5
)

// person is a client, whatever connection it has.
type person struct {
	run    *trial
	number int // from 1
	kind   int
	home   int

	mu      sync.Mutex      // guards what follows
	clients []*check.Client // its connections; the last one is in use
	leaving bool
}

// The kinds of clients.
const (
	publisher  = iota
	subscriber // of the subject of each publisher
	wildcard
	member // of a queue group of subscribers, and of one of responders
	requester
)

// connect logs in at the first server that answers, its home first. It reports false if the client
// is to leave.
func (p *person) connect() bool {
	again := time.NewTicker(reconnectPause)
	defer again.Stop()
	for i := 0; ; i++ {
		p.mu.Lock()
		leaving := p.leaving
		p.mu.Unlock()
		if leaving {
			return false
		}
		server := (p.home + i) % len(p.run.machines)
		if c, err := p.run.join(p.run.log, server, check.Identity{}); err == nil {
			p.subscribe(c)
			return p.use(c)
		}
		<-again.C
	}
}

// use makes a connection that of the client, unless that is to leave.
func (p *person) use(c *check.Client) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients = append(p.clients, c)
	if p.leaving {
		c.Leave(hangUp)
	}
	return !p.leaving
}

func (p *person) subscribe(c *check.Client) {
	switch p.kind {
	case subscriber:
		for i := range p.run.machines {
			c.Subscribe(fmt.Sprintf("load.%d", i), "")
		}
	case wildcard:
		c.Subscribe("load.*", "")
	case member:
		c.Subscribe("load.*", "members")
		c.Subscribe("req", "responders")
	case requester:
		c.Subscribe(fmt.Sprintf("in.%d.*", p.number), "")
	}
	c.Ping()
}

// stay keeps the client connected until it is to leave.
func (p *person) stay() {
	for {
		p.current().Wait()
		if !p.connect() {
			return
		}
	}
}

func (p *person) current() *check.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients[len(p.clients)-1]
}

func (p *person) connections() []*check.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.clients)
}

// leave ends the client.
func (p *person) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = true
	p.clients[len(p.clients)-1].Leave(hangUp)
}

func hangUp(nc net.Conn) { nc.Close() }

// work publishes, or sends requests, until the run says that it is enough. What is sent is late
// where the broker does not read, and is not made up for.
func (p *person) work(enough <-chan struct{}) {
	again := time.NewTicker(tick)
	defer again.Stop()
	for n := 1; ; n++ {
		select {
		case <-enough:
			return
		case <-again.C:
		}
		c := p.current()
		switch {
		case !c.Alive():
		case p.kind == publisher:
			for range p.run.row.perTick {
				c.Publish(fmt.Sprintf("load.%d", p.home), p.run.row.size)
			}
			if n%100 == 0 {
				c.Ping()
			}
		case p.kind == requester && n%requestEvery == 0:
			c.Request("req", fmt.Sprintf("in.%d.%d", p.number, n))
		}
	}
}

// join logs a client in.
func (r *trial) join(log *check.Log, server int, who check.Identity) (*check.Client, error) {
	nc, err := net.DialTimeout("tcp", r.machines[server].addr(), time.Second)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(loginWait, func() { nc.Close() })
	defer late.Stop()
	return log.Join(nc, server, who)
}

// connected returns the clients that are.
func (r *trial) connected() (list []*check.Client) {
	for _, p := range r.persons {
		if c := p.current(); c.Alive() {
			list = append(list, c)
		}
	}
	return list
}

// byNumber returns which person each client of the log is.
func (r *trial) byNumber() map[int]int {
	all := map[int]int{}
	for _, p := range r.persons {
		for _, c := range p.connections() {
			all[c.Number] = p.number
		}
	}
	return all
}

// explain records which of the connections that were ended the logs explain.
func (r *trial) explain() {
	for _, p := range r.persons {
		for _, c := range p.connections() {
			if why := r.machines[c.Server].why(c.Addr()); why != "" {
				r.log.Add(check.Event{Kind: check.Explained, Client: c.Number, Text: why})
			}
		}
	}
}
