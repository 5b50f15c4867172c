package main

import (
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// eventsBudget is the CPU time of the broker that the two events about a client may take: with 1 000
// clients a second this is 2 % of a core, and the operator needs some, too.
const eventsBudget = 20 * time.Microsecond

// TestSpeedEventsCostLittle counts the CPU time of the broker for clients that connect and leave, in
// turns without and with an operator who listens to the events. What others do on the machine only
// makes them cost more, so the least of each counts.
func TestSpeedEventsCostLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("speed under the race detector says nothing; make test runs this again without it")
	}
	path := filepath.Join(t.TempDir(), "gnatsd")
	if out, err := exec.Command("go", "build", "-o", path, "gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	l := withEvents
	l.path = path
	p, err := l.start()
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	r := newRound(p, &settings{timeout: time.Minute, progress: io.Discard})
	v := startVisits(r, 1000)
	const least, most = 5, 40
	without, with := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for i := 1; i <= most; i++ {
		without = min(without, visitCost(t, r, v, false))
		with = min(with, visitCost(t, r, v, true))
		if i >= least && with-without <= eventsBudget {
			break
		}
	}
	if _, err := v.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("a client costs %v, and %v with its events", without, with)
	if with-without > eventsBudget {
		t.Errorf("the events about a client take %v of the broker, want %v at most", with-without, eventsBudget)
	}
}

// visitCost is the CPU time of the broker for one client that connects and leaves.
func visitCost(t *testing.T, r *round, v *visits, listening bool) time.Duration {
	t.Helper()
	const window = 150 * time.Millisecond
	if listening {
		o, err := newOperator(r, v)
		if err != nil {
			t.Fatal(err)
		}
		defer o.client.close()
		defer func() {
			if err := o.await(v.begun.Load()); err != nil {
				t.Fatal(err)
			}
		}()
	}
	before, begun := r.usage(t), v.begun.Load()
	<-time.After(window)
	return (r.usage(t) - before) / time.Duration(v.begun.Load()-begun)
}

// usage is the CPU time of the broker so far.
func (r *round) usage(t *testing.T) time.Duration {
	t.Helper()
	u, err := readUsage(r.broker.pid())
	if err != nil {
		t.Fatal(err)
	}
	return u.cpu
}
