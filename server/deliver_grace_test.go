package server

import (
	"testing"
	"testing/synctest"

	"gnatsd/test/wire"
)

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
