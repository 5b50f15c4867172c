package storm

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var long = flag.Bool("storm.long", false, "the whole storm: 5 000 clients with the broker's own time limits, and a bound on how long requests take meanwhile")

// size is how large a storm is, and what it must not do.
type size struct {
	arrivals int     // clients that connect at once
	users    int     // their users
	cost     int     // of the users' bcrypt hashes
	regulars int     // clients that work meanwhile
	quiet    int     // requests that are measured before the storm
	limit    string  // of the handshake and of the login in the configuration; none are the broker's own
	slowdown float64 // p99 of requests during the storm, as a multiple of the quiet time; 0 = any
}

var (
	wholeStorm = size{arrivals: 5000, users: 50, cost: 11, regulars: 100, quiet: 10000, slowdown: 10}
	// A breeze is for machines that are busy with something else: its limit allows for clients
	// that are slow themselves.
	breeze = size{arrivals: 250, users: 5, cost: 10, regulars: 20, quiet: 200, limit: ", timeout: 60"}
)

// patience bounds every wait of a client.
const patience = 2 * time.Minute

// TestMain is also the arriving clients, when the test starts this program as such.
func TestMain(m *testing.M) {
	if target := os.Getenv(arrivalsTarget); target != "" {
		os.Exit(runArrivals(target))
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestStorm has many clients connect at once.
func TestStorm(t *testing.T) {
	s := breeze
	if *long {
		s = wholeStorm
	}
	b := startBroker(t, s)
	r := startRegulars(t, b, s.regulars)
	quiet := r.during(func() { r.answers(s.quiet) })
	var c *report
	stormy := r.during(func() { c = arrivals(t, b, s) })
	t.Logf("arrivals: %v", c)
	t.Logf("quiet: %v", quiet)
	t.Logf("storm: %v", stormy)
	t.Logf("broker: %s", b.usage())
	for text, n := range c.Failures {
		t.Errorf("%d of the arriving clients failed: %s", n, text)
	}
	if c.In != s.arrivals {
		t.Errorf("%d of %d are in", c.In, s.arrivals)
	}
	if bad := b.complaints(t); len(bad) > 0 {
		t.Errorf("the broker complains %d times, first: %s", len(bad), bad[0])
	}
	if got := stormy.p99.Seconds() / quiet.p99.Seconds(); s.slowdown > 0 && got > s.slowdown {
		t.Errorf("requests take %.1f times as long as in quiet (p99), want at most %.0f times", got, s.slowdown)
	}
}

// spread is how long requests took.
type spread struct {
	n                   int
	p50, p90, p99, most time.Duration
}

func (s spread) String() string {
	return fmt.Sprintf("%d requests, p50 %v, p90 %v, p99 %v, longest %v", s.n, s.p50, s.p90, s.p99, s.most)
}

// spreadOf sums up samples, which are sorted.
func spreadOf(sorted []time.Duration) spread {
	if len(sorted) == 0 {
		return spread{}
	}
	at := func(percent int) time.Duration {
		return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(time.Microsecond)
	}
	return spread{len(sorted), at(50), at(90), at(99), at(100)}
}
