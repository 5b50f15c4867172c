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
