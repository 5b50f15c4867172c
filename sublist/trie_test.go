package sublist

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestCommonTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"a", "a", 1},
		{"a.b", "a.b", 3},
		{"a.b", "a.b.c", 3},
		{"a.b.c", "a.b", 3},
		{"a.b", "a.c", 1},
		{"a.b", "a.bc", 1},
		{"a.bc", "a.b", 1},
		{"a.b.c", "a.b.cd", 3},
		{"*.b.*", "*.b.>", 3},
		{"a.*", "a.b", 1},
	} {
		if got := commonTokens(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestMemoryFollowsPatterns inserts patterns of which each is as deep as it can be, or shares as
// much with the others as it can, and compares the heap with the bytes of the patterns. Then it
// removes all but some, and all.
func TestMemoryFollowsPatterns(t *testing.T) {
	skipUnderRace(t)
	deep := strings.Repeat(".a", 2000)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, tt := range []struct {
		name    string
		n       int
		pattern func(i int) string
	}{
		{"deep, different at the start", 1700, func(i int) string { return fmt.Sprintf("*.%d%s", i, deep) }},
		{"deep, different at the end", 1700, func(i int) string { return fmt.Sprintf("*%s.%d", deep, i) }},
		{"deep, different in the middle", 1700, func(i int) string { return fmt.Sprintf("*%s.%d%s", deep[:2000], i, deep[2000:]) }},
		{"deep, only wildcards", 1700, func(i int) string {
			return fmt.Sprintf("%s.%d", deep[1:len(deep)-2*(i+1)], i) + strings.Repeat(".*", i+1)
		}},
		{"of every depth", 2000, func(i int) string { return "*" + deep[:2*(i+1)] }},
		{"of every depth, with tails", 2000, func(i int) string { return "a" + deep[:2*(i+1)] + ".>" }},
		{"random", 1700, func(int) string {
			tokens := []byte("*")
			for range 2000 {
				tokens = append(tokens, '.', "abc*"[rng.IntN(4)])
			}
			return string(tokens)
		}},
		{"short", 100_000, func(i int) string { return fmt.Sprintf("*.%d", i) }},
		{"short, two levels", 100_000, func(i int) string { return fmt.Sprintf("%d.*.%d", i/300, i%300) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			patterns, bytes := make([]string, tt.n), 0
			for i := range patterns {
				patterns[i] = tt.pattern(i)
				bytes += len(patterns[i])
			}
			// A pattern may take its bytes once more, and what two nodes and a leaf take.
			const each = 300
			l := New[int]()
			base := heap()
			bounded := func(patterns, bytes int) {
				t.Helper()
				if held := heap() - base; held > int64(bytes*5/4+patterns*each+64<<10) {
					t.Errorf("%d patterns of %d bytes take %d", patterns, bytes, held)
				}
			}
			for i, p := range patterns {
				insert(t, l, p, "", i)
			}
			wantShape(t, l)
			bounded(len(patterns), bytes)
			left := 0
			for i, p := range patterns {
				if i%100 == 7 {
					left += len(p)
				} else if !l.Remove(p, "", i) {
					t.Fatalf("%.20q is not found", p)
				}
			}
			wantShape(t, l)
			bounded(len(patterns)/100, left)
			for i, p := range patterns {
				found := slices.Contains(plain(l.Match([]byte(strings.ReplaceAll(p, ">", "x")))), i)
				if found != (i%100 == 7) {
					t.Fatalf("%.20q: found is %v after all but each hundredth were removed", p, found)
				}
			}
			runtime.KeepAlive(patterns)
		})
	}
}
