package server

import "testing"

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
