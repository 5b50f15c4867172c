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

// TestLongListsOfEntriesAreEncodedLikeEverything does likewise for lists within the list.
func TestLongListsOfEntriesAreEncodedLikeEverything(t *testing.T) {
	t.Parallel()
	type element struct {
		Name string   `json:"name"`
		More []string `json:"more,omitempty"`
	}
	type entry struct {
		Name  string    `json:"name"`
		Subs  []string  `json:"subs,omitempty"`
		List  []element `json:"list,omitempty"`
		After []string  `json:"after"`
	}
	type page struct {
		List  []*entry `json:"list"`
		After string   `json:"after"`
	}
	all := page{List: []*entry{}, After: "after"}
	empty := all
	for _, n := range []int{0, 1, 2, 3, 100} {
		a, b := &entry{Name: "a\n      \"subs\": [", After: []string{"x", "y"}}, &entry{Name: "b"}
		for range n {
			a.Subs = append(a.Subs, "<]>\n      ]")
			b.List = append(b.List, element{"e", []string{"1", "2"}})
		}
		all.List = append(all.List, a, b, &entry{})
	}
	want, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := EncodeNested(empty, "list", all.List, func(e *entry) (*entry, *Rest) {
		first := *e
		switch {
		case len(e.Subs) > 1:
			first.Subs = e.Subs[:1]
			return &first, &Rest{"subs", len(e.Subs) - 1, func(i int) any { return e.Subs[i+1] }}
		case len(e.List) > 1:
			first.List = e.List[:1]
			return &first, &Rest{"list", len(e.List) - 1, func(i int) any { return &e.List[i+1] }}
		}
		return e, nil
	})
	if err != nil || string(got) != string(want) {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
}
