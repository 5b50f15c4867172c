package test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"gnatsd/test/wire"
)

// groupLog counts the deliveries of numbered messages to the members of a queue group.
type groupLog struct {
	mu    sync.Mutex
	times map[string]int
}

// take reads what a member gets until the connection ends; pongs gets a value for each PONG.
func (g *groupLog) take(c *wire.Client, pongs chan<- bool) {
	for {
		l, err := c.Line()
		if err != nil {
			close(pongs)
			return
		}
		switch {
		case l == "PONG\r\n":
			pongs <- true
		case strings.HasPrefix(l, "MSG "):
			number, err := c.In.ReadString('\n')
			if err != nil {
				continue
			}
			g.mu.Lock()
			g.times[strings.TrimSpace(number)]++
			g.mu.Unlock()
		}
	}
}

func (g *groupLog) known() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.times)
}

// TestQueueGroupUnderChurn lets members of a group on every server come and go by SUB and UNSUB
// while all servers publish: each message reaches the group exactly once, also if it was on its way
// to a member that had just left.
func TestQueueGroupUnderChurn(t *testing.T) {
	t.Parallel()
	const servers, leaving, rounds, burst = 3, 3, 60, 20
	list := mesh(t, servers, nil)
	g := &groupLog{times: map[string]int{}}
	var members, publishers []*wire.Client
	var answers []chan bool
	for _, s := range list {
		stays := quiet(t, s.Addr().String())
		stays.Say("SUB work g 1\r\nPING\r\n")
		pongs := make(chan bool, 1)
		go g.take(stays, pongs) // as below
		<-pongs
		for range leaving {
			c := quiet(t, s.Addr().String())
			members = append(members, c)
			pongs := make(chan bool, 1)
			answers = append(answers, pongs)
			go g.take(c, pongs) // ends with the connection, at the end of the test
		}
		p := quiet(t, s.Addr().String())
		publishers = append(publishers, p)
	}
	for _, s := range list {
		known(t, s, servers)
	}
	var publishing, churning sync.WaitGroup
	published := make(chan bool)
	for i, c := range members {
		churning.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-published:
					c.Say(fmt.Sprintf("UNSUB a:%d\r\n", n-1))
					return
				default:
				}
				c.Say(fmt.Sprintf("SUB work g a:%d\r\nUNSUB a:%d\r\nPING\r\n", n, n-1))
				<-answers[i]
			}
		})
	}
	for i, p := range publishers {
		publishing.Go(func() {
			for n := range rounds {
				var b strings.Builder
				for k := range burst {
					number := fmt.Sprintf("%d.%d.%d", i, n, k)
					fmt.Fprintf(&b, "PUB work %d\r\n%s\r\n", len(number), number)
				}
				p.Say(b.String())
				p.Sync()
			}
		})
	}
	publishing.Wait()
	close(published)
	churning.Wait()
	const all = servers * rounds * burst
	eventually(t, fmt.Sprintf("%d messages", all), func() bool { return g.known() == all })
	g.mu.Lock()
	defer g.mu.Unlock()
	other := 0
	for number, n := range g.times {
		if n > 1 {
			other++
			t.Logf("message %s came %d times", number, n)
		}
	}
	if other > 0 {
		t.Errorf("%d of %d messages came more than once", other, all)
	}
	for _, s := range list {
		known(t, s, servers)
	}
}
