package server

import (
	"fmt"
	"strings"
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

// TestQueuesOfAClientThatEndsAreKnownAtOnce looks for the subscriptions of a client before they are
// remembered one by one.
func TestQueuesOfAClientThatEndsAreKnownAtOnce(t *testing.T) {
	t.Parallel()
	var closed closedQueues
	var subs subscriptions
	c := &conn{id: 7}
	for _, names := range [][2]string{{"g", "1"}, {"h", "a:b"}, {"", "2"}} {
		subs.add(newSubscription(c, []byte("foo"), []byte(names[0]), []byte(names[1])))
	}
	closed.beginLeaving(7, &subs)
	for _, tt := range []struct{ id, want string }{
		{"QRSID:7:1", "g"}, {"QRSID:7:a:b", "h"}, {"QRSID:7:2", ""}, {"QRSID:7:3", ""}, {"QRSID:8:1", ""}, {"QRSID:7", ""},
	} {
		if name, known := closed.group([]byte(tt.id)); name != tt.want || known != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", tt.id, name, known, tt.want)
		}
	}
	closed.endLeaving(7)
	if name, known := closed.group([]byte("QRSID:7:1")); known {
		t.Errorf("got %q, which was not remembered", name)
	}
}

// TestClosedQueuesAreBoundedInBytes has subscriptions with the longest names come and go.
func TestClosedQueuesAreBoundedInBytes(t *testing.T) {
	for _, tt := range []struct {
		name         string
		queue, sid   string
		subs, latest int // how many there are, and how many of them must be known
	}{
		{"long ids", "g", strings.Repeat("s", 4000), 80_000, 20_000},
		{"long queues", strings.Repeat("q", 4000), "s", 20_000, 1000},
		{"short names", "g", "s", 400_000, 20_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var closed closedQueues
			c := &conn{id: 1}
			before := int64(liveHeap())
			for i := range tt.subs {
				closed.remember(newSubscription(c, []byte("foo"), []byte(tt.queue), fmt.Appendf(nil, "%s%d", tt.sid, i)))
			}
			if held := int64(liveHeap()) - before; held > 3*maxClosedQueueBytes {
				t.Errorf("%d bytes are held, want at most %d", held, 3*maxClosedQueueBytes)
			}
			for i := tt.subs - tt.latest; i < tt.subs; i++ {
				if name, known := closed.group(fmt.Appendf(nil, "QRSID:1:%s%d", tt.sid, i)); !known || name != tt.queue {
					t.Fatalf("got %.20q, %v for the last but %d, want %.20q", name, known, tt.subs-i-1, tt.queue)
				}
			}
		})
	}
}
