// Mutate makes small changes to the source, one at a time, and looks whether a test fails: a change
// that no test notices is a promise that no test holds, or code that is not needed.
//
//	go run ./test/mutate [-package NAME] [-sample N] [-seed N] [-match REGEXP] [-again FILE] [-list]
//
// All changes of a package are compiled into one test binary; an environment variable says which
// one is in force. A change is tried with the tests that execute it. It is killed when one of them
// fails, or takes several times as long as it should. The changes are: the boundary and the
// opposite of a comparison, && and ||, a condition negated, + - * / %, a number that is one more
// (or 1 that is 0), true and false, and the removal of a statement (an assignment, a call, ++, an
// early return, break and continue) or of the body of a case.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// target is a part of the broker whose tests are tested.
type target struct {
	name string
	// sources are the files that are changed: a package of the module, and patterns of its files, all
	// if there are none.
	sources []files
}

type files struct {
	pkg      string
	patterns []string
	tests    []tests // tried in this order, until one fails
}

// tests are those in files of a package, all if there are none, that do not match skip.
type tests struct {
	pkg   string
	files []string
	skip  string
}

// needSpeed are tests that measure time or allocations, which mutants change that are not in force.
const needSpeed = `^TestSpeed|Allocat`

func main() {
	var (
		only    = flag.String("package", "", "only this `NAME`: "+strings.Join(targetNames(), ", "))
		sample  = flag.Int("sample", 0, "only `N` mutants of each, chosen at random; 0: all")
		seed    = flag.Uint64("seed", 1, "for the sample")
		match   = flag.String("match", "", "only mutants whose line (file:line: function: change) matches this `REGEXP`")
		again   = flag.String("again", "", "only mutants that the output of an earlier run, in `FILE`, lists")
		justAll = flag.Bool("list", false, "print the mutants, run nothing")
		workers = flag.Int("workers", runtime.NumCPU(), "how many are tried at the same time")
		least   = flag.Float64("least", 0, "exit status 1 where fewer percent are killed")
	)
	timeout := flag.Duration("timeout", leastTimeout, "what a test may take at least before it hangs")
	flag.Parse()
	r := runner{sample: *sample, seed: *seed, match: regexp.MustCompile(*match), list: *justAll, workers: *workers, timeout: *timeout}
	var err error
	if r.reasons, err = parseReasons(reasonsFile); err == nil {
		r.root, err = filepath.Abs(".")
	}
	if err == nil && *again != "" {
		r.again, err = readListed(*again)
	}
	failed := false
	var rows []row
	for _, t := range targets {
		if err != nil || *only != "" && t.name != *only {
			continue
		}
		var one row
		if one, err = r.target(t); err == nil {
			rows = append(rows, one)
			failed = failed || one.percent() < *least
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
	if *justAll {
		return
	}
	printTable(rows)
	if failed || len(rows) == 0 {
		os.Exit(1)
	}
}

// runner is what the flags say.
type runner struct {
	root    string
	sample  int
	seed    uint64
	match   *regexp.Regexp
	again   map[string]bool // names of mutants; nil: all
	list    bool
	workers int
	timeout time.Duration
	reasons map[string]string
}

// row is the result for one target.
type row struct {
	name                                     string
	all, tried, killed, explained, surviving int
}

// percent is how many of the mutants that a test could kill are killed.
func (r row) percent() float64 {
	if r.tried == r.explained {
		return 100
	}
	return 100 * float64(r.killed) / float64(r.tried-r.explained)
}

func printTable(rows []row) {
	fmt.Println("\n| Package | Mutants | Tried | Killed | Survive, with a reason | Survive | Killed of those without a reason |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|")
	for _, r := range rows {
		fmt.Printf("| `%s` | %d | %d | %d | %d | %d | %.1f %% |\n", r.name, r.all, r.tried, r.killed, r.explained, r.surviving, r.percent())
	}
}

// target tries the mutants of one target.
func (r *runner) target(t target) (row, error) {
	result := row{name: t.name}
	for _, f := range t.sources {
		one, err := r.files(f)
		if err != nil {
			return row{}, fmt.Errorf("%s: %w", t.name, err)
		}
		result.all += one.all
		result.tried += one.tried
		result.killed += one.killed
		result.explained += one.explained
		result.surviving += one.surviving
	}
	return result, nil
}

// files tries the mutants of some files of a package.
func (r *runner) files(f files) (row, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return row{}, err
	}
	defer os.RemoveAll(dir)
	src, err := instrument(r.root, f.pkg, f.patterns, dir)
	if err != nil {
		return row{}, err
	}
	if err := r.checkReasons(src, f); err != nil {
		return row{}, err
	}
	chosen := r.choose(src.mutants)
	fmt.Printf("%s: %d of %d mutants\n", f.pkg, len(chosen), len(src.mutants))
	result := row{all: len(src.mutants), tried: len(chosen)}
	if r.list {
		for _, m := range chosen {
			fmt.Println(describe(m))
		}
		return result, nil
	}
	outcomes := make([]outcome, len(chosen))
	for i := range outcomes {
		outcomes[i] = uncovered
	}
	for i, t := range f.tests {
		into := filepath.Join(dir, fmt.Sprint("tests", i))
		if err := os.Mkdir(into, 0o700); err != nil {
			return row{}, err
		}
		if err := r.tryAll(src, f.pkg, t, into, chosen, outcomes); err != nil {
			return row{}, err
		}
	}
	for i, m := range chosen {
		reason, explained := r.reasons[m.name()]
		switch {
		case outcomes[i] >= killed && explained:
			fmt.Printf("%s: %s, though reasons.txt says: %s\n", describe(m), outcomes[i], reason)
			result.killed++
		case outcomes[i] >= killed:
			result.killed++
		case explained:
			result.explained++
		default:
			result.surviving++
		}
	}
	return result, nil
}

// tryAll tries what no earlier tests have killed.
func (r *runner) tryAll(src *source, pkg string, t tests, into string, chosen []*mutant, outcomes []outcome) error {
	var left []int
	for i, o := range outcomes {
		if o < killed {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		return nil
	}
	s, err := r.newSuite(src, pkg, t, into)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d mutants, %d tests of %s\n", pkg, len(left), len(s.tests), t.pkg)
	var mu sync.Mutex
	each(len(left), r.workers, func(i int) {
		i = left[i]
		o := s.try(chosen[i])
		mu.Lock()
		defer mu.Unlock()
		outcomes[i] = max(o, survived)
		if o == uncovered && outcomes[i] == survived {
			outcomes[i] = uncovered
		}
		if _, explained := r.reasons[chosen[i].name()]; !explained && o != killed {
			fmt.Printf("%s: %s\n", describe(chosen[i]), o)
		}
	})
	return nil
}

// describe is the line of a mutant.
func describe(m *mutant) string { return fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.fn, m.what) }

// listedLine is a line that a run prints of a mutant, with or without what became of it.
var listedLine = regexp.MustCompile(`(?m)^(\S+\.go):\d+: (\S+: .*?)(?:: (?:survived|not executed|killed \(timeout\)))?$`)

// readListed returns the names of the mutants that a file lists, wherever their lines are now.
func readListed(file string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, m := range listedLine.FindAllSubmatch(text, -1) {
		names[string(m[1])+" "+string(m[2])] = true
	}
	return names, nil
}

// choose returns the mutants that are to be tried, in the order of the source.
func (r *runner) choose(all []*mutant) []*mutant {
	var chosen []*mutant
	for _, m := range all {
		if r.match.MatchString(describe(m)) && (r.again == nil || r.again[m.name()]) {
			chosen = append(chosen, m)
		}
	}
	if r.sample > 0 && r.sample < len(chosen) {
		random := rand.New(rand.NewPCG(r.seed, 0))
		random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:r.sample]
		slices.SortFunc(chosen, func(a, b *mutant) int { return a.id - b.id })
	}
	return chosen
}

// checkReasons returns an error for a reason of a mutant that is not there, in files that are
// changed.
func (r *runner) checkReasons(src *source, f files) error {
	there := map[string]bool{}
	for _, m := range src.mutants {
		there[m.name()] = true
	}
	for name := range r.reasons {
		file, _, _ := strings.Cut(name, " ")
		if "./"+filepath.ToSlash(filepath.Dir(file)) == f.pkg && matches(filepath.Base(file), f.patterns) && !there[name] {
			return fmt.Errorf("reasons.txt has a mutant that does not exist (go run ./test/mutate -list prints all): %s", name)
		}
	}
	return nil
}
