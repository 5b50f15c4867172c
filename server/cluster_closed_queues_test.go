package server

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClosedQueueSubscriptionsAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed closedQueues
		closed.remember(newSubscription(&conn{id: 1}, []byte("foo"), []byte("g"), []byte("2")))
		closed.remember(newSubscription(&conn{id: 1}, []byte("foo"), []byte("h"), []byte("3")))
		if _, known := closed.group([]byte("QRSID:1:4")); known {
			t.Error("one that never was is known")
		}
		time.Sleep(30 * time.Second)
		if name, known := closed.group([]byte("QRSID:1:2")); !known || name != "g" {
			t.Errorf("after 30s: got %q, %v, want g", name, known)
		}
		time.Sleep(30 * time.Second)
		if _, known := closed.group([]byte("QRSID:1:2")); known {
			t.Error("it is known after a minute")
		}
		closed.remember(newSubscription(&conn{id: 1}, []byte("foo"), []byte("i"), []byte("5")))
		time.Sleep(time.Hour)
		if _, known := closed.group([]byte("QRSID:1:5")); known {
			t.Error("it is known after an hour")
		}
	})
}
