package storm

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// requestInterval is the mean time between two requests of one regular.
const requestInterval = 100 * time.Millisecond

// regulars are connected clients, each of which asks its neighbour something all the time.
type regulars struct {
	t    *testing.T
	quit chan struct{}
	mu   sync.Mutex
	more sync.Cond
	took []time.Duration // of the answers since during began
}

// regular is one of them.
type regular struct {
	of   *regulars
	id   int
	n    int
	nc   net.Conn
	mu   sync.Mutex // held while nc is written to
	born time.Time
}

// startRegulars connects n clients. They work until the test ends.
func startRegulars(t *testing.T, b *broker, n int) *regulars {
	t.Helper()
	config, err := trusting(b.path("ca.pem"))
	must(t, err)
	all := &regulars{t: t, quit: make(chan struct{})}
	all.more.L = &all.mu
	var wg sync.WaitGroup
	var list []*regular
	for i := range n {
		nc, err := enter(b.addr, 0, config, func() {})
		must(t, err)
		r := &regular{of: all, id: i, n: n, nc: nc, born: time.Now()}
		must(t, nc.SetDeadline(time.Time{}))
		must(t, r.send(fmt.Sprintf("SUB ask.%d 1\r\nSUB answer.%d 2\r\nPING\r\n", i, i)))
		list = append(list, r)
	}
	for _, r := range list {
		wg.Go(r.listen)
		wg.Go(r.ask)
	}
	t.Cleanup(func() {
		close(all.quit)
		for _, r := range list {
			r.nc.Close()
		}
		wg.Wait()
	})
	return all
}

// during returns how long the requests took that were answered while f ran.
func (all *regulars) during(f func()) spread {
	all.mu.Lock()
	all.took = nil
	all.mu.Unlock()
	f()
	all.mu.Lock()
	defer all.mu.Unlock()
	slices.Sort(all.took)
	return spreadOf(all.took)
}

// answers waits until that many requests have been answered.
func (all *regulars) answers(n int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for len(all.took) < n && !all.t.Failed() {
		all.more.Wait()
	}
}

func (r *regular) send(text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := io.WriteString(r.nc, text)
	return err
}

// ended reports whether the test is over, so that errors do not matter.
func (all *regulars) ended() bool {
	select {
	case <-all.quit:
		return true
	default:
		return false
	}
}

// ask asks the neighbour again and again, what time it was when it asked.
func (r *regular) ask() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.of.quit:
			return
		case <-timer.C:
		}
		timer.Reset(rand.N(2 * requestInterval))
		if err := r.send(fmt.Sprintf("PUB ask.%d answer.%d 16\r\n%016x\r\n", (r.id+1)%r.n, r.id, uint64(time.Since(r.born)))); err != nil && !r.of.ended() {
			r.of.t.Errorf("regular %d: %v", r.id, err)
			return
		}
	}
}

// listen answers what it is asked, and notes how long its own requests took.
func (r *regular) listen() {
	if err := r.converse(bufio.NewReader(r.nc)); err != nil && !r.of.ended() {
		r.of.t.Errorf("regular %d: %v", r.id, err)
	}
}

func (r *regular) converse(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		word := strings.Fields(line)
		switch {
		case word[0] == "PONG":
			continue
		case word[0] == "PING":
			if err := r.send("PONG\r\n"); err != nil {
				return err
			}
			continue
		case word[0] != "MSG":
			return fmt.Errorf("got %q", line)
		}
		payload, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		payload = strings.TrimSpace(payload)
		if word[2] == "2" {
			r.answered(payload)
			continue
		}
		if err := r.send(fmt.Sprintf("PUB %s %d\r\n%s\r\n", word[3], len(payload), payload)); err != nil {
			return err
		}
	}
}

// answered notes an answer to a request of this one.
func (r *regular) answered(when string) {
	now := time.Since(r.born)
	began, err := strconv.ParseInt(when, 16, 64)
	if err != nil {
		r.of.t.Errorf("regular %d: answer %q: %v", r.id, when, err)
		return
	}
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.of.took = append(r.of.took, now-time.Duration(began))
	r.of.more.Broadcast()
}
