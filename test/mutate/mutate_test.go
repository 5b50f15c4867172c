package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// sampleSource has each kind of statement that is changed, and sampleTests hold some of what it
// does.
const sampleSource = `package p

import "time"

type list[T any] struct{ values []T }

func (l *list[T]) push(v T) int {
	l.values = append(l.values, v)
	return len(l.values)
}

func Largest(a, b int) int {
	if a > b {
		return a
	}
	return b
}

func Sum(values ...int) (sum int) {
	for i := 0; i < len(values); i++ {
		if values[i] < 0 && values[i] != -1 {
			continue
		}
		sum += values[i] * 2
	}
	return sum
}

func Named(kind int, wait time.Duration) string {
	switch {
	case kind == 1:
		s := "one"
		return s
	case wait > 5*time.Second:
		return "late"
	default:
		kind++
	}
	return ""
}

func Set(seen map[string]bool, word string) bool {
	l := &list[string]{values: make([]string, 0, 8)}
	n := l.push(word)
	defer func() {
		seen[word] = true
	}()
	if n == 1 && !seen[word] {
		return true
	}
	return false
}

func unused(a, b uint8) uint8 { return a % b }
`

const sampleTests = `package p

import "testing"

func TestLargest(t *testing.T) {
	if Largest(1, 2) != 2 || Largest(3, 2) != 3 {
		t.Fatal("wrong")
	}
}

func TestSum(t *testing.T) {
	if got := Sum(1, -1, -2, 3); got != 6 {
		t.Fatal(got)
	}
}

func TestSet(t *testing.T) {
	seen := map[string]bool{}
	if !Set(seen, "a") || Set(seen, "a") {
		t.Fatal("wrong")
	}
}

func TestNamed(t *testing.T) {
	if Named(1, 0) != "one" || Named(2, 0) != "" {
		t.Fatal("wrong")
	}
}

func TestOfAFault(t *testing.T) { t.Fatal("fails always") }
`

// sampleOutcomes are all mutants of sampleSource.
var sampleOutcomes = []string{
	"list.push: remove l.values = append(l.values, v): killed",
	"Largest: remove return a: killed",
	"Largest: a > b → a >= b: survived",
	"Largest: a > b → a <= b: killed",
	"Sum: 0 + 1 in i := 0: killed",
	"Sum: i < len(values) → i <= len(values): killed",
	"Sum: i < len(values) → i >= len(values): killed",
	"Sum: remove sum += values[i] * 2: killed",
	"Sum: sum += values[i] * 2 → sum -= values[i] * 2: killed",
	"Sum: remove continue: killed",
	"Sum: values[i] < 0 && values[i] != -1 → values[i] < 0 || values[i] != -1: killed",
	"Sum: values[i] < 0 → values[i] <= 0: survived",
	"Sum: values[i] < 0 → values[i] >= 0: killed",
	"Sum: 0 + 1 in values[i] < 0: survived",
	"Sum: values[i] != -1 → values[i] == -1: killed",
	"Sum: -1 + 1 in values[i] != -1: killed",
	"Sum: values[i] * 2 → values[i] / 2: killed",
	"Sum: 2 + 1 in values[i] * 2: killed",
	`Named: remove what follows case kind == 1: s := "one" return s: killed`,
	"Named: remove return s: killed",
	"Named: kind == 1 → kind != 1: killed",
	"Named: 1 - 1 in kind == 1: killed",
	`Named: remove return "late": not executed`,
	"Named: wait > 5*time.Second → wait >= 5*time.Second: survived",
	"Named: wait > 5*time.Second → wait <= 5*time.Second: killed",
	"Named: 5*time.Second + 1 in wait > 5*time.Second: survived",
	"Named: remove kind++: survived",
	"Named: kind++ → kind--: survived",
	"Set: remove defer func() { seen[word] = true }(): killed",
	"Set: remove seen[word] = true: killed",
	"Set: true → false in seen[word] = true: killed",
	"Set: 0 + 1 in make([]string, 0, 8): killed",
	"Set: remove return true: killed",
	"Set: n == 1 && !seen[word] → n == 1 || !seen[word]: killed",
	"Set: !seen[word] → !!seen[word]: killed",
	"Set: n == 1 → n != 1: killed",
	"Set: 1 - 1 in n == 1: killed",
	"Set: true → false in return true: killed",
	"Set: false → true in return false: killed",
	"unused: a % b → a * b: not executed",
}

// TestChangesOfASample finds and tries all mutants of a small package.
func TestChangesOfASample(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("go.mod", "module example\n\ngo 1.26\n")
	write("p/p.go", sampleSource)
	write("p/p_test.go", sampleTests)
	into := t.TempDir()
	src, err := instrument(root, "./p", nil, into)
	must(t, err)
	r := runner{root: root, workers: 2, timeout: leastTimeout}
	s, err := r.newSuite(src, "./p", tests{pkg: "./p"}, into)
	must(t, err)
	if got := len(s.tests); got != 4 {
		t.Errorf("got %d tests, want the 4 that pass without a mutant", got)
	}
	got := make([]string, len(src.mutants))
	each(len(got), 2, func(i int) {
		m := src.mutants[i]
		got[i] = fmt.Sprintf("%s: %s: %s", m.fn, m.what, s.try(m))
	})
	slices.Sort(got)
	want := slices.Sorted(slices.Values(sampleOutcomes))
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("unexpected: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
}

// TestSampleOfSublist tries a few mutants of sublist, as make mutate does with all.
func TestSampleOfSublist(t *testing.T) {
	t.Parallel()
	reasons, err := parseReasons(reasonsFile)
	must(t, err)
	r := runner{root: filepath.Join("..", ".."), sample: 20, seed: 1, match: regexp.MustCompile(`/(subject|index|trie)\.go`),
		workers: 2, timeout: 3 * time.Second, reasons: reasons}
	r.root, err = filepath.Abs(r.root)
	must(t, err)
	got, err := r.files(files{"./sublist", nil, []tests{{"./sublist", []string{"subject_test.go", "list_test.go"}, needSpeed}}})
	must(t, err)
	if got.tried != 20 || got.killed < 12 {
		t.Errorf("%d of %d mutants are killed, want most of 20", got.killed, got.tried)
	}
}

// TestReasonsAreOfMutantsThatExist looks whether each reason is of a change that can still be made,
// and whether each source and test of a target is there.
func TestReasonsAreOfMutantsThatExist(t *testing.T) {
	t.Parallel()
	reasons, err := parseReasons(reasonsFile)
	must(t, err)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	r := runner{root: root, reasons: reasons}
	there := map[string]bool{}
	for _, target := range targets {
		for _, f := range target.sources {
			src, err := instrument(root, f.pkg, f.patterns, t.TempDir())
			must(t, err)
			if err := r.checkReasons(src, f); err != nil {
				t.Error(err)
			}
			for _, m := range src.mutants {
				there[m.name()] = true
			}
			for _, tests := range f.tests {
				if _, err := testNames(filepath.Join(root, tests.pkg), tests); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for name := range reasons {
		if !there[name] {
			t.Errorf("reasons.txt has a mutant that does not exist: %s", name)
		}
	}
}

func TestReasonsAreParsed(t *testing.T) {
	t.Parallel()
	got, err := parseReasons("# comment\nsublist/a.go f: remove x\nsublist/a.go f: remove y\n\tonly speed\n\nsublist/b.go g: remove z\n\tthe same\n")
	must(t, err)
	if len(got) != 3 || got["sublist/a.go f: remove x"] != "only speed" || got["sublist/a.go f: remove y"] != "only speed" ||
		got["sublist/b.go g: remove z"] != "the same" {
		t.Errorf("got %q", got)
	}
	for _, wrong := range []string{"\ta reason\n", "sublist/a.go f: remove x\n", "a b: c\n\tr\na b: c\n\tr\n"} {
		if _, err := parseReasons(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// TestAnEarlierRunIsRepeated has mutants chosen by what an earlier run printed of them.
func TestAnEarlierRunIsRepeated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "run")
	must(t, os.WriteFile(file, []byte("./p: 9 of 9 mutants\n"+
		"p/a.go:7: list.f: a > b → a >= b: survived\n"+
		"p/a.go:8: g: remove what follows case x: h(): not executed\n"+
		"p/a.go:9: g: remove h() #2: killed (timeout)\n"+
		"p/a.go:9: g: 1 - 1 in a: b: 1\n\n| `p` | 9 |\n"), 0o600))
	again, err := readListed(file)
	must(t, err)
	want := []*mutant{
		{file: "p/a.go", line: 17, fn: "list.f", what: "a > b → a >= b"},
		{file: "p/a.go", line: 18, fn: "g", what: "remove what follows case x: h()"},
		{file: "p/a.go", line: 19, fn: "g", what: "remove h() #2"},
		{file: "p/a.go", line: 19, fn: "g", what: "1 - 1 in a: b: 1"},
	}
	others := []*mutant{{file: "p/a.go", fn: "g", what: "remove h()"}, {file: "p/b.go", fn: "list.f", what: "a > b → a >= b"}}
	r := runner{match: regexp.MustCompile(""), again: again}
	if got := r.choose(slices.Concat(want, others)); !slices.Equal(got, want) {
		t.Errorf("%d are tried again of %v, want %d", len(got), again, len(want))
	}
	if r.again = nil; len(r.choose(others)) != 2 {
		t.Error("not all are tried without an earlier run")
	}
	if _, err := readListed(file + "x"); err == nil {
		t.Error("a file that does not exist is read")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
