package soak

import (
	"fmt"
	"os"
	"testing"
	"time"
)

const (
	// warmUp is how many rounds pass before anything is compared: buffers, caches and records of
	// closed connections are complete then.
	warmUp = 3
	// growthLimit is by how much memory may grow in an hour, as a part of the resident memory.
	growthLimit = 0.01
	// longRun is the shortest run whose growth is judged. In a shorter one the steps in which the
	// runtime takes memory are larger than the limit.
	longRun = time.Hour
	// settled is when growth begins to count. Until then code runs for the first time, which becomes
	// resident, and the runtime makes its records.
	settled = 30 * time.Minute
	// peak is how much larger than at first a heap is whose profile is kept beside the curve.
	peak = 4 << 20
)

// TestSoak runs rounds for as long as it is told.
func TestSoak(t *testing.T) {
	c := startCluster(t)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("end of the log of n%d:\n%s", n.number, n.tail())
			}
		}
	})
	length := min(10*time.Second, max(time.Second, *duration/5))
	began := time.Now()
	did := map[string]int{}
	var all []sample
	var base [servers]sample
	due, lost, rounds := 0, 0, 0
	for ; rounds <= warmUp || time.Since(began) < *duration; rounds++ {
		report := c.run(*first+uint64(rounds), int(length.Seconds()*float64(*rate)), time.Second/time.Duration(*rate), did)
		due, lost = due+report.Due, lost+report.Lost
		for i, n := range c.nodes {
			s := c.afterRound(n, base[i])
			s.at = time.Since(began)
			if rounds < warmUp {
				base[i] = s
				continue
			}
			all = append(all, s)
			if *profile && s.heap > base[i].heap+peak {
				heap := get(t, n.profiler+"/debug/pprof/heap?gc=1")
				must(t, os.WriteFile(fmt.Sprintf("%s.n%d.heap", *curve, i), heap, 0o644))
			}
		}
		if t.Failed() {
			break
		}
	}
	if *curve != "" {
		must(t, os.WriteFile(*curve, []byte(svg(all)), 0o644))
	}
	t.Logf("%d rounds in %v: %v\n%d messages had to arrive; %d may have been lost with a route that was cut",
		rounds, time.Since(began).Round(time.Second), did, due, lost)
	t.Logf("\n%s", table(all))
	for i := range servers {
		c.judgeGrowth(i, ofServer(all, i), base[i], time.Since(began))
	}
}

// afterRound returns what a server holds when its clients have left, which must be what it held
// before. zero is no such value: it is not compared.
func (c *cluster) afterRound(n *node, before sample) (s sample) {
	c.t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); ; {
		s = n.measure()
		if s.connections == 0 && s.pending == 0 && (before == sample{} || s.within(before)) {
			return s
		}
		select {
		case <-late:
			c.t.Errorf("n%d holds after its clients have left %+v, before %+v", n.number, s, before)
			return s
		case <-again.C: // the end of what clients left behind is no event outside
		}
	}
}

// within reports whether no more is held than before. Routes that are being made again, and
// connections of the test itself to the monitoring port, take some goroutines and descriptors.
func (s sample) within(before sample) bool {
	return s.subscriptions <= before.subscriptions && s.goroutines <= before.goroutines+12 && s.files <= before.files+8
}

// judgeGrowth says how memory grew, and fails if that is too much.
func (c *cluster) judgeGrowth(server int, all []sample, base sample, ran time.Duration) {
	if len(all) == 0 {
		return
	}
	if ran >= longRun {
		all = since(all, settled)
	}
	resident := typical(all, ofResident)
	grows := func(of memory) float64 { return growth(lowest(all, of, periodOf(ran)), of) / resident }
	heap, anonymous, total := grows(ofHeap), grows(ofAnonymous), grows(ofResident)
	last := all[len(all)-1]
	c.t.Logf("n%d: growth an hour, in parts of the resident memory (%.1f MB): heap %+.2f %%, anonymous %+.2f %%, resident %+.2f %%; %.1f %% of a core; before %+v, after %+v",
		server, resident/1e6, 100*heap, 100*anonymous, 100*total, 100*last.cpu.Seconds()/ran.Seconds(), base, last)
	if slope := max(heap, anonymous, total); ran >= longRun && slope > growthLimit {
		c.t.Errorf("n%d: memory grows by %.2f %% an hour, want %.0f %% at most", server, 100*slope, 100*growthLimit)
	}
	heaps := lowest(all, ofHeap, periodOf(ran))
	if first, end := heaps[0].heap, heaps[len(heaps)-1].heap; end > first+8<<20 {
		c.t.Errorf("n%d: the heap has grown from %d to %d bytes", server, first, end)
	}
}
