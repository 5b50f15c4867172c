package server

import (
	"fmt"
	"strings"
	"testing"
)

func TestQueueIDs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id  string
		cid uint64
		sid string
		ok  bool
	}{
		{"QRSID:1:2", 1, "2", true},
		{"QRSID:17:a:b:c", 17, "a:b:c", true},
		{"QRSID:1:", 0, "", false},
		{"QRSID:1", 0, "", false},
		{"QRSID::2", 0, "", false},
		{"QRSID:x:2", 0, "", false},
		{"QRSID:-1:2", 0, "", false},
		{"QRSID:99999999999999999999:2", 0, "", false},
		{"RSID:1:2", 0, "", false},
	} {
		cid, sid, ok := parseQueueID([]byte(tt.id))
		if ok != tt.ok || ok && (cid != tt.cid || string(sid) != tt.sid) {
			t.Errorf("%q: got %d, %q, %v", tt.id, cid, sid, ok)
		}
	}
}

// TestNoPlainSubscriptionGetsWhatIsForAQueue has a route send messages for ids that begin like those
// of queue subscriptions and are none.
func TestNoPlainSubscriptionGetsWhatIsForAQueue(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	peer, _ := manualPeer(t, s)
	c := dialClient(t, s)
	c.Do("SUB foo 1")
	for _, id := range []string{"QRSID", "QRSID:", "QRSIDx", "QRSID:1", "QRSID::1", "QRSID+:1:1", "QRSID+1:x:1", "QRSID:99:1"} {
		peer.Say("MSG foo "+id+" 2", "no")
	}
	peer.Say("MSG foo RSID:1:1 3", "yes")
	c.Want("MSG foo 1 3", "yes")
}

// TestARouteRemembersQueueMembers looks queue subscriptions up by the ids that routes have for them,
// again and again: those that have ended are not found, and no more are remembered than may be.
func TestARouteRemembersQueueMembers(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c, r := registered(t, s), sunkRoute(t, s, true)
	long := strings.Repeat("x", maxRoutedID)
	handle(t, c, "SUB work q 1\r\nSUB work q 2\r\nSUB work 3\r\nSUB work q "+long+"\r\n")
	copy(r.in.Space(100), "PING\r\n")
	r.in.Filled(len("PING\r\n"))
	b := &newReaderScratch(s).batch
	b.begin(r)
	want := func(id, sid string, ok bool, known int) {
		t.Helper()
		for range 2 {
			sub, got := b.queueMember([]byte(id))
			if got != ok || (sub == nil) != (sid == "") || sub != nil && (sub.sid() != sid || sub.ended()) || len(r.routedTo) != known {
				t.Errorf("%s: got %v, %v, %d are remembered, want %q and %d", id, sub, got, len(r.routedTo), sid, known)
			}
		}
	}
	want("QRSID:1:1", "1", true, 1)
	want("QRSID:1:2", "2", true, 2)
	want("QRSID:1:3", "", true, 2) // in no group
	want("QRSID:1:4", "", true, 2)
	want("QRSID:9:1", "", true, 2)
	want("QRSID:1:"+long, long, true, 2)
	want("QRSID:x:1", "", false, 2)
	want("QRSID:", "", false, 2)
	handle(t, c, "UNSUB 1\r\n")
	want("QRSID:1:1", "", true, 1)
	var text strings.Builder
	for i := range maxRoutedTo {
		fmt.Fprintf(&text, "SUB work q %d\r\n", 100+i)
	}
	handle(t, c, text.String())
	for i := range maxRoutedTo - 1 {
		b.queueMember(fmt.Appendf(nil, "QRSID:1:%d", 100+i))
	}
	if got := len(r.routedTo); got != maxRoutedTo {
		t.Errorf("%d are remembered, want %d", got, maxRoutedTo)
	}
	want(fmt.Sprintf("QRSID:1:%d", 100+maxRoutedTo-1), fmt.Sprint(100+maxRoutedTo-1), true, 1)
	b.end()
}
