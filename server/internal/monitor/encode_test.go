package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
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
		var got bytes.Buffer
		err = EncodeList(&got, Indented, empty, "list", n, func(i int) *entry { return p.List[i] })
		if err != nil || got.String() != string(want) {
			t.Errorf("%d entries: got %v\n%s\nwant\n%s", n, err, &got, want)
		}
	}
}

// testElement, testEntry and testPage are a page with lists in the entries of its list.
type testElement struct {
	Name string   `json:"name"`
	More []string `json:"more,omitempty"`
}

type testEntry struct {
	Name  string        `json:"name"`
	Subs  []string      `json:"subs,omitempty"`
	List  []testElement `json:"subs_list,omitempty"`
	After []string      `json:"after"`
}

type testPage struct {
	Before string       `json:"before"`
	List   []*testEntry `json:"list"`
	After  string       `json:"after"`
}

// randomText returns a text with what JSON escapes, and with what looks like the beginning or the end of
// a list.
func randomText(r *rand.Rand) string {
	parts := []string{"a", "<", ">", "&", `"`, `\`, "\n", "]", "}", ",", "\n      ]", "\n      \"subs\": [", `"subs":[`, `"list":[]`, "\n  \"list\": []", "\u2028", "\xff", "é"}
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

// randomPage returns a page.
func randomPage(r *rand.Rand) *testPage {
	texts := func() (list []string) {
		for range r.IntN(4) {
			list = append(list, randomText(r))
		}
		return list
	}
	p := &testPage{Before: randomText(r), List: []*testEntry{}, After: randomText(r)}
	for range r.IntN(5) {
		e := &testEntry{Name: randomText(r), After: texts()}
		if r.IntN(2) == 0 {
			e.Subs = texts()
		}
		for range r.IntN(5) {
			e.List = append(e.List, testElement{randomText(r), texts()})
		}
		p.List = append(p.List, e)
	}
	return p
}

// write encodes the page, with the longer one of the lists of each entry apart.
func (p *testPage) write(w io.Writer, f Form) error {
	empty := *p
	empty.List = []*testEntry{}
	return EncodeNested(w, f, &empty, "list", len(p.List), func(i int) (*testEntry, *Rest) {
		e := p.List[i]
		first := *e
		switch {
		case len(e.Subs) > len(e.List):
			first.Subs = e.Subs[:1]
			return &first, &Rest{"subs", e.Subs[0], len(e.Subs) - 1, func(i int) any { return e.Subs[i+1] }}
		case len(e.List) > 0:
			first.List = e.List[:1]
			return &first, &Rest{"subs_list", &e.List[0], len(e.List) - 1, func(i int) any { return &e.List[i+1] }}
		}
		return e, nil
	})
}

// TestRandomPagesAreEncodedLikeEverything compares pages in both forms with those of encoding/json.
func TestRandomPagesAreEncodedLikeEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		p := randomPage(rand.New(rand.NewPCG(seed, 0)))
		for _, f := range []Form{Indented, Compact} {
			want, err := marshal(f, p)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := p.write(&got, f); err != nil || got.String() != string(want) {
				t.Fatalf("page %d: got %v\n%s\nwant\n%s", seed, err, &got, want)
			}
		}
	}
}

// TestWhatCannotBeEncodedIsAnError has such a value in each place.
func TestWhatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	type entry struct {
		V any   `json:"v"`
		L []any `json:"l,omitempty"`
	}
	type page struct {
		V any     `json:"v"`
		L []entry `json:"l"`
	}
	bad := func() {}
	for name, p := range map[string]page{
		"the page":            {bad, []entry{{1, []any{1}}}},
		"an entry":            {1, []entry{{bad, []any{1}}}},
		"a first element":     {1, []entry{{1, []any{bad, 2}}}},
		"an element":          {1, []entry{{1, []any{1, bad}}}},
		"an entry at the end": {1, []entry{{1, []any{1, 2}}, {bad, []any{1}}}},
	} {
		err := EncodeNested(io.Discard, Indented, &page{p.V, []entry{}}, "l", len(p.L), func(i int) (entry, *Rest) {
			e := p.L[i]
			return entry{e.V, e.L[:1]}, &Rest{"l", e.L[0], len(e.L) - 1, func(i int) any { return e.L[i+1] }}
		})
		var failed *encodeError
		if !errors.As(err, &failed) {
			t.Errorf("%s: got %v, want an encodeError", name, err)
		}
	}
}

// adversarialPage is a page whose first entries are large, and the others small.
func adversarialPage() *testPage {
	const large, small, size = 64, 20_000, 4000
	p := &testPage{List: []*testEntry{}}
	for i := range large {
		e := &testEntry{}
		for range i % 2 * 100 { // some have long lists
			e.Subs = append(e.Subs, "x")
		}
		e.Name = strings.Repeat("<", size) // six bytes each
		p.List = append(p.List, e)
	}
	for range small {
		p.List = append(p.List, &testEntry{Name: "x"})
	}
	return p
}

// TestAPageTakesNoMoreMemoryThanItsTextNeeds has a page whose first entries say nothing about the others.
// It is not parallel: it measures what the process allocates.
func TestAPageTakesNoMoreMemoryThanItsTextNeeds(t *testing.T) {
	p := adversarialPage()
	var before, after runtime.MemStats
	b := new(Body)
	runtime.ReadMemStats(&before)
	err := p.write(b, Indented)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(10*b.size); took > most {
		t.Errorf("a page of %d bytes took %d, want %d at most", b.size, took, most)
	}
	for i, piece := range b.pieces {
		if cap(piece) > 2*bodyPiece {
			t.Errorf("piece %d has %d bytes", i, cap(piece))
		}
	}
}

// TestAPageThatIsTooLargeIsRefused asks for pages around the bound, and then for a small one.
func TestAPageThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	made := 0
	m := started(t, Settings{}, func(c *Config) {
		c.MaxPage = most
		c.Pages = append(c.Pages, Page{Path: "/sized", Large: true, Decode: func(p *Params) func(*Body) error {
			n := p.Number("n")
			return func(b *Body) error {
				err := EncodeList(b, Indented, &testPage{List: []*testEntry{}}, "list", n, func(int) *testEntry {
					return &testEntry{Name: strings.Repeat("x", 1000)}
				})
				made = b.size
				return err
			}
		}})
	})
	for _, c := range []struct{ n, status int }{{900, 200}, {1100, 503}, {1_000_000, 503}, {900, 200}} {
		got := ask(t, m, "/sized?n="+strconv.Itoa(c.n))
		if got.status != c.status || made > most {
			t.Errorf("%d entries: got %d and %d bytes, want %d and %d at most", c.n, got.status, made, c.status, most)
		}
		if want := "the page has more than 1 MB: ask for less with offset and limit, or without subs\n"; c.status == 503 && got.body != want {
			t.Errorf("%d entries: got %q, want %q", c.n, got.body, want)
		}
	}
	m.Close() // ends the answers under way
	m.answers.max = 1
	if m.answers.await(t.Context()) != nil || m.held() != 0 {
		t.Errorf("%d bytes are held in the end", m.held())
	}
}

// held returns how many bytes of pages are held.
func (m *Monitor) held() int64 {
	m.answers.mu.Lock()
	defer m.answers.mu.Unlock()
	return m.answers.bytes
}

// TestAPageThatPanicsLeavesItsRoom has a page whose making panics.
func TestAPageThatPanicsLeavesItsRoom(t *testing.T) {
	t.Parallel()
	m := newTest(t, Settings{}, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		m.alone(httptest.NewRequest("GET", "/", nil), func(b *Body) {
			b.Write(make([]byte, 10))
			panic("no page")
		})
	}()
	if m.held() != 0 {
		t.Errorf("%d bytes are held", m.held())
	}
}
