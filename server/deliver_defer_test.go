package server

import (
	"strings"
	"testing"
	"testing/synctest"

	"gnatsd/test/wire"
)

// TestOnlyThePongWaitsForOtherBatches holds a batch that has chosen a subscription, which ends: its
// client is answered later, but what it publishes meanwhile is delivered at once.
func TestOnlyThePongWaitsForOtherBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := broker(t, func(o *Options) { o.network = newPipeNet() })
		a, other := dialClient(t, s), dialClient(t, s)
		okay(t, a.Send("SUB work 1\r\n"))
		a.Drain()
		okay(t, other.Send("SUB news 1\r\n"))
		other.Drain()

		c := onFake(t, s, new(fakeLink))
		b := batchOf(c, "PUB work 2\r\nhi\r\n")
		b.pin()
		okay(t, a.Send("UNSUB 1\r\nPING\r\nPUB news 2\r\nho\r\n"))
		if d, err := other.Next(); err != nil || d == nil {
			t.Fatalf("got %v, %v, want a message while the PONG waits", d, err)
		}
		// More replies than may wait: the reader does then, and goes on when the batch is
		// handed over.
		const pings = 2 * maxDeferred / len("PONG\r\n")
		go a.Say(strings.Repeat("PING\r\n", pings)) // ends when it is read
		synctest.Wait()
		if got := a.In.Buffered(); got > 0 {
			t.Errorf("%d bytes came while a batch was held", got)
		}
		b.end()
		for i := range pings + 1 {
			if d, err := a.Next(); err != nil || d != nil {
				t.Fatalf("answer %d: got %v, %v, want PONG", i, d, err)
			}
		}
	})
}

// TestVerboseAnswersPrecedeMessages has a client in verbose mode publish to itself while its PONG waits.
func TestVerboseAnswersPrecedeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := broker(t, func(o *Options) { o.network = newPipeNet() })
		a := dialClient(t, s)
		okay(t, a.Send("CONNECT {\"verbose\":true}\r\nSUB work 1\r\nSUB own 2\r\nPING\r\n"))
		a.Want("+OK", "+OK", "+OK", "PONG") // only the first PONG is waited for
		c := onFake(t, s, new(fakeLink))
		b := batchOf(c, "PUB work 2\r\nhi\r\n")
		b.pin()
		okay(t, a.Send("UNSUB 1\r\nPING\r\nPUB own 2\r\nho\r\n"))
		a.Want("+OK")
		synctest.Wait()
		if got := a.In.Buffered(); got > 0 {
			t.Errorf("%d bytes came while a batch was held", got)
		}
		b.end()
		a.Want("PONG", "+OK", "MSG own 2 2", "ho")
	})
}

// TestAReaderThatWaitsGivesBackItsTurn lets a reader wait for something else than its connection.
func TestAReaderThatWaitsGivesBackItsTurn(t *testing.T) {
	t.Parallel()
	link := new(fakeLink)
	c := onFake(t, broker(t, nil), link)
	_, done := c.abortable()
	if done(); link.turns != 1 {
		t.Errorf("a wait that a close ends: %d turns are given back, want 1", link.turns)
	}
	c.deferred = &deferredReplies{sent: make(chan struct{})}
	close(c.deferred.sent)
	if c.awaitReplies(); link.turns != 2 {
		t.Errorf("a wait for a grace period: %d turns are given back, want 1 more", link.turns)
	}
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
