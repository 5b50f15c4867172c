package monitor

import (
	"encoding/json"
	"testing"
)

// TestLongListsAreEncodedLikeEverything compares the encoding entry by entry with that of the whole
// page.
func TestLongListsAreEncodedLikeEverything(t *testing.T) {
	t.Parallel()
	type entry struct {
		Name string   `json:"name"`
		Subs []string `json:"subs,omitempty"`
	}
	type page struct {
		ID    string   `json:"id"`
		List  []*entry `json:"list"`
		After string   `json:"after"`
	}
	for _, n := range []int{0, 1, 2, 3, 200} {
		p := page{ID: `"list": []`, List: []*entry{}, After: "<&>\n  \"list\": []"}
		empty := p
		for range n {
			p.List = append(p.List, &entry{Name: `<b>"\`, Subs: []string{"a", "b"}})
		}
		want, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := EncodeList(empty, "list", p.List); err != nil || string(got) != string(want) {
			t.Errorf("%d entries: got %v\n%s\nwant\n%s", n, err, got, want)
		}
	}
}
