package netio

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestYieldingEnds lets more goroutines yield than there are processors: each wait ends.
func TestYieldingEnds(t *testing.T) {
	t.Parallel()
	var y yielders
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 200 {
				y.yield()
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }() // ends with them
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a yield does not end")
	}
}

// TestYieldingEndsIfThePipeTakesNothing has a reader yield with a pipe that cannot be written to.
func TestYieldingEndsIfThePipeTakesNothing(t *testing.T) {
	t.Parallel()
	one := newYielder()
	if one == nil {
		t.Skip("pipes cannot be waited for here")
	}
	one.w.Close()
	ended := make(chan bool, 1)
	go func() { ended <- one.wait() }() // ends with it
	select {
	case looked := <-ended:
		if looked {
			t.Error("it reports that the runtime has looked at the network")
		}
	case <-time.After(patience):
		t.Fatal("the yield does not end")
	}
}

func TestYieldingLooksAtTheNetworkOnlyIfSomethingIsReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		source pollSource
		want   bool
	}{
		{"nothing is ready", &fakeSource{}, false},
		{"something is ready", &fakeSource{readyAt: 1}, runtime.GOOS != "windows"},
		{"it is not known", nil, runtime.GOOS != "windows"},
	} {
		y := yielders{source: tt.source}
		if got := y.yield(); got != tt.want {
			t.Errorf("%s: looked: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestReadersYieldAfterAWhileWithoutWaiting(t *testing.T) {
	t.Parallel()
	var s Streak
	for range reads.Steps {
		if s.due(1, &reads) {
			t.Fatal("due at the first look at the clock")
		}
	}
	s.since = time.Now().Add(-reads.Streak)
	n := 1
	for ; !s.due(1, &reads); n++ {
		if n > reads.Steps {
			t.Fatal("not due though the time is over")
		}
	}
	if s.due(reads.Bytes, &reads) || s.since.IsZero() {
		t.Fatal("no look at the clock after a long read")
	}
	s.since = time.Now().Add(-reads.Streak)
	if !s.due(reads.Bytes, &reads) {
		t.Fatal("not due after a long read though the time is over")
	}
	if s != (Streak{}) {
		t.Error("the streak goes on after a yield")
	}
}
