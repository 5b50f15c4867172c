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
		a, other := dialWire(t, s), dialWire(t, s)
		okay(t, a.send("SUB work 1\r\n"))
		mustFence(t, a)
		okay(t, other.send("SUB news 1\r\n"))
		mustFence(t, other)

		c := onFake(t, s, new(fakeLink))
		b := batchOf(c, "PUB work 2\r\nhi\r\n")
		b.pin()
		okay(t, a.send("UNSUB 1\r\nPING\r\nPUB news 2\r\nho\r\n"))
		if d, err := other.next(); err != nil || d == nil {
			t.Fatalf("got %v, %v, want a message while the PONG waits", d, err)
		}
		// More replies than may wait: the reader does then, and goes on when the batch is handed over.
		const pings = 2 * maxDeferred / len("PONG\r\n")
		go a.send(strings.Repeat("PING\r\n", pings)) // ends when it is read
		synctest.Wait()
		if got := a.r.Buffered(); got > 0 {
			t.Errorf("%d bytes came while a batch was held", got)
		}
		b.end()
		for i := range pings + 1 {
			if d, err := a.next(); err != nil || d != nil {
				t.Fatalf("answer %d: got %v, %v, want PONG", i, d, err)
			}
		}
	})
}
