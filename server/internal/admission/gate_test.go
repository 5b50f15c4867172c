package admission

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// entering has n peers of a source enter, each of which calls then when it has a pass.
func entering(t *testing.T, g *Gate, from Source, n int, then func(i int, p *Pass)) {
	t.Helper()
	for i := range n {
		go func() { // ends with the test at the latest
			if p, err := g.Acquire(t.Context(), from); err == nil {
				then(i, p)
			}
		}()
		synctest.Wait()
	}
}

// TestAMachineHasTimeForItsHandshakes has many clients on a machine that computes one handshake
// after the other, as quick machines and slow ones do. However slow it is, none takes longer than
// the default time limit once the Gate has seen how slow that is.
func TestAMachineHasTimeForItsHandshakes(t *testing.T) {
	t.Parallel()
	for _, each := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const peers = 1000
			g := NewGate()
			processor := make(chan struct{}, 1)
			var ended, late atomic.Int32
			start, done := time.Now(), make(chan struct{}, peers)
			go entering(t, g, at("10.0.0.1"), peers, func(_ int, p *Pass) {
				began := time.Now()
				p.received()
				processor <- struct{}{}
				time.Sleep(each)
				<-processor
				if took := time.Since(began); took > time.Second/2 && ended.Load() > 2*firstPasses {
					late.Add(1)
				}
				ended.Add(1)
				p.done()
				p.Release()
				done <- struct{}{}
			})
			for range peers {
				<-done
			}
			if took := time.Since(start); took > peers*each*11/10 || late.Load() > 0 || len(g.lines) != 0 {
				t.Errorf("%v each: %d are late, all took %v, %d lines are left", each, late.Load(), took, len(g.lines))
			}
		})
	}
}

// TestPeersThatSayNothingKeepNoneOut has a thousand of them, and then one that speaks, at the same
// address and at another.
func TestPeersThatSayNothingKeepNoneOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		entering(t, g, at("10.0.0.1"), 1000, func(int, *Pass) {})
		for _, ip := range []string{"10.0.0.2", "10.0.0.1"} {
			start := time.Now()
			p, err := g.Acquire(t.Context(), at(ip))
			if err != nil {
				t.Fatal(err)
			}
			p.Release()
			if waited := time.Since(start); waited > passTime {
				t.Errorf("%s waited for %v, want %v at most", ip, waited, passTime)
			}
		}
		time.Sleep(10 * passTime)
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.lines) != 0 {
			t.Error("a thousand wait for longer than 10 of these times")
		}
	})
}

func TestOnesThatGiveUpLeaveTheGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		from := at("10.0.0.1")
		var passes []*Pass
		for range firstPasses {
			p, err := g.Acquire(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			p.received()
			passes = append(passes, p)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { // received below
			_, err := g.Acquire(ctx, from)
			gone <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gone; err == nil {
			t.Error("it has a pass")
		}
		for _, p := range passes {
			p.Release()
			p.Release() // has no effect
		}
		if len(g.lines) != 0 {
			t.Errorf("%d lines are left", len(g.lines))
		}
	})
}
