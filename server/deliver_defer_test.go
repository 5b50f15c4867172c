package server

import (
	"strings"
	"testing"
	"testing/synctest"
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
