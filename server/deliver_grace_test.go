package server

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"gnatsd/test/wire"
)

func TestGracePeriodWaitsForPinnedBatchesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGracePeriods()
		g.wait(nil) // none is pinned
		a, b := g.pin(1), g.pin(2)
		var over atomic.Int32
		for range 3 {
			go func() { g.wait(nil); over.Add(1) }()
		}
		synctest.Wait()
		late := g.pin(1)
		g.unpin(a)
		synctest.Wait()
		if n := over.Load(); n != 0 {
			t.Errorf("%d waits are over while a batch is pinned, want 0", n)
		}
		g.unpin(b)
		synctest.Wait()
		// The two that came while the first was waiting need a period that begins after
		// they came.
		if n := over.Load(); n != 1 {
			t.Errorf("%d waits are over while a batch is pinned that began after the first, want 1", n)
		}
		g.unpin(late)
		synctest.Wait()
		if n := over.Load(); n != 3 {
			t.Errorf("%d waits are over when none is pinned, want 3", n)
		}
	})
}

// TestGracePeriodsAgainstPublication has readers use what was published before a wait began, and
// wants none to use it once the wait is over.
func TestGracePeriodsAgainstPublication(t *testing.T) {
	t.Parallel()
	type thing struct{ dead atomic.Bool }
	g := newGracePeriods()
	var current atomic.Pointer[thing]
	current.Store(new(thing))
	stop := make(chan bool)
	var readers, writers sync.WaitGroup
	for n := range uint32(3) {
		readers.Go(func() {
			var long longFlush
			for {
				select {
				case <-stop:
					return
				default:
				}
				k := g.pin(n)
				th := current.Load()
				g.begin(&long, []target{{c: &conn{slot: n}}, {c: &conn{slot: 100}}})
				g.unpin(k)
				for i := 0; i < 20; i++ {
					if th.dead.Load() {
						t.Error("used in a long flush after the wait was over")
						i = 20
					}
				}
				g.end(&long)
				k = g.pin(n)
				for th, i := current.Load(), 0; i < 20; i++ {
					if th.dead.Load() {
						t.Error("used after the wait was over")
						i = 20
					}
				}
				g.unpin(k)
			}
		})
	}
	for range 2 {
		writers.Go(func() {
			for range 200 {
				old := current.Swap(new(thing))
				g.wait(&conn{slot: 100})
				old.dead.Store(true)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// TestNoMessageAfterThePongThatFollowsUnsub holds a batch that has chosen a queue member between
// choice and push, while the member drains. Its subscription may have ended already: it has got as many
// as it wanted, or a reload forbids it.
func TestNoMessageAfterThePongThatFollowsUnsub(t *testing.T) {
	for _, c := range []struct{ before, words string }{
		{"SUB work q 1\r\n", "UNSUB 1\r\nPING\r\n"},
		{"SUB work q 1\r\n", "UNSUB 1 1\r\nPING\r\n"},
		{"SUB work q 1\r\nUNSUB 1 1\r\n", "UNSUB 1\r\nPING\r\n"},
		{"SUB work q 1\r\nUNSUB 1 1\r\n", "UNSUB 1 1\r\nPING\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := broker(t, func(o *Options) { o.network = newPipeNet() })
			member := dialClient(t, s)
			okay(t, member.Send(c.before))
			member.Drain()

			p := onFake(t, s, new(fakeLink))
			b := batchOf(p, "PUB work 2\r\nhi\r\n")
			var o op
			limits := p.frameLimits()
			limits.next(p.in.Unread(), &o)
			if p.pub(&o, b); len(b.entries) != 1 {
				t.Fatal("the member was not chosen")
			}
			okay(t, member.Send(c.words))
			got := make(chan []*wire.Message, 1)
			go func() { // ends with the PONG
				before, err := member.UntilPong()
				if err != nil {
					t.Error(err)
				}
				got <- before
			}()
			synctest.Wait()
			b.end()
			if before := <-got; len(before) != 1 {
				t.Errorf("%q: %d messages came before the PONG, want 1", c.before+c.words, len(before))
			}
		})
	}
}

// TestLongFlushesHoldUpThoseTheyReachOnly has a flush that takes long: only connections that it may hold
// messages for wait for it, and the pool that one of them is a member of.
func TestLongFlushesHoldUpThoseTheyReachOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGracePeriods()
		in, out := &conn{slot: 130}, &conn{slot: 129}
		first, second := new(longFlush), new(longFlush)
		for range 2 { // the memory of one before is used
			g.begin(first, []target{{c: out}})
			g.end(first)
		}
		g.begin(first, []target{{c: in}, {c: &conn{slot: 2}}})
		p := &pool{anchor: conn{slot: 131}}
		g.begin(second, []target{{c: in, path: &path{pool: p}}})
		if !g.mayHold(in) || g.mayHold(out) || g.mayHold(&conn{slot: 1000}) || g.busy() != 2 {
			t.Errorf("who may be sent something is not known, or not that %d are busy", g.busy())
		}
		g.wait(out)
		var over atomic.Int32
		for _, c := range []*conn{in, &p.anchor} {
			go func() { g.wait(c); over.Add(1) }()
		}
		synctest.Wait()
		g.end(first)
		synctest.Wait()
		if n := over.Load(); n != 0 {
			t.Errorf("%d waits are over during a long flush", n)
		}
		g.end(second)
		synctest.Wait()
		if n := over.Load(); n != 2 || g.mayHold(in) || g.busy() != 0 {
			t.Errorf("%d waits are over after the flushes, want 2; %d are busy", n, g.busy())
		}
	})
}

// TestUnsubDoesNotWaitForALongFlush stops a flush to many clients at the first of them: a PONG after an
// UNSUB waits for it if the client is one of them, and not if it is another one.
func TestUnsubDoesNotWaitForALongFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := broker(t, func(o *Options) { o.network = newPipeNet() })
		held := make(chan bool)
		deliverTo(t, onFake(t, s, &fakeLink{try: func(n int) (int, error) { <-held; return n, nil }}), "SUB work 1\r\n")
		member, other := dialClient(t, s), dialClient(t, s)
		for _, c := range []*wire.Client{member, other} {
			okay(t, c.Send("SUB rest 1\r\n"))
			c.Drain()
		}
		okay(t, member.Send("SUB work 2\r\n"))
		member.Drain()
		for range longWork / targetWork {
			handle(t, sunk(t, s), "SUB work 1\r\n")
		}
		p := onFake(t, s, new(fakeLink))
		published := make(chan bool)
		go func() { // ends when the flush goes on
			deliverTo(t, p, "PUB work 2\r\nhi\r\n")
			close(published)
		}()
		synctest.Wait()
		got := make(chan []*wire.Message, 1)
		okay(t, member.Send("UNSUB 2\r\nPING\r\n"))
		go func() { // ends with the PONG
			before, err := member.UntilPong()
			if err != nil {
				t.Error(err)
			}
			got <- before
		}()
		okay(t, other.Send("UNSUB 1\r\n"))
		other.Drain()
		synctest.Wait()
		select {
		case <-got:
			t.Error("the PONG of a client that is to get a message does not wait for that")
		default:
		}
		close(held)
		if before := <-got; len(before) != 1 {
			t.Errorf("%d messages came before the PONG, want 1", len(before))
		}
		<-published
	})
}

// TestAFlushThatWaitsIsNotBusy has a long flush that waits for room: it needs no core meanwhile.
func TestAFlushThatWaitsIsNotBusy(t *testing.T) {
	t.Parallel()
	g, f := newGracePeriods(), new(longFlush)
	want := func(when string, n int) {
		t.Helper()
		if got := g.busy(); got != n {
			t.Errorf("%s: %d readers are busy, want %d", when, got, n)
		}
	}
	g.begin(f, nil)
	want("a long flush", 1)
	g.stalled.Add(1)
	want("while it waits", 0)
	g.stalled.Add(-1)
	want("when it goes on", 1)
	g.end(f)
	want("at its end", 0)
}
