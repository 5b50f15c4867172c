package main

// This file runs tests: once each, to see which statements they execute, and then for each mutant
// those that execute it.

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite is a package of tests, compiled with the mutants of a package and without.
type suite struct {
	dir     string
	mutated string        // the binary with all mutants
	timeout time.Duration // what tests may take at least
	tests   []*measured
}

// measured is a test, what it executes and how long it takes.
type measured struct {
	name   string
	took   time.Duration
	blocks map[string][]block // by file name
}

// block is a range of a source that is executed as one.
type block struct{ line, column, endLine, endColumn int }

// has reports whether a test executes the statement that begins at the place of m.
func (t *measured) has(m *mutant) bool {
	p := m.covered
	return slices.ContainsFunc(t.blocks[filepath.Base(m.file)], func(b block) bool {
		return (p.Line > b.line || p.Line == b.line && p.Column >= b.column) &&
			(p.Line < b.endLine || p.Line == b.endLine && p.Column < b.endColumn)
	})
}

// newSuite compiles tests, runs each once and notes what it executes of the package with mutants.
// Tests that fail without a mutant are left out.
func (r *runner) newSuite(src *source, changed string, t tests, into string) (*suite, error) {
	plain, mutated := filepath.Join(into, "plain.test"), filepath.Join(into, "mutated.test")
	if err := compileTests(r.root, t.pkg, plain, "-cover", "-covermode=set", "-coverpkg="+changed); err != nil {
		return nil, err
	}
	if err := compileTests(r.root, t.pkg, mutated, "-overlay="+src.overlay); err != nil {
		return nil, err
	}
	s := &suite{dir: filepath.Join(r.root, t.pkg), mutated: mutated, timeout: r.timeout}
	names, err := testNames(s.dir, t)
	if err != nil {
		return nil, err
	}
	results := make([]*measured, len(names))
	each(len(names), r.workers, func(i int) { results[i] = s.measure(plain, names[i], filepath.Join(into, names[i]+".cover")) })
	for i, m := range results {
		if m == nil { // once more, alone: the machine may have been busy
			m = s.measure(plain, names[i], filepath.Join(into, names[i]+".cover"))
		}
		if m == nil {
			fmt.Printf("left out: %s fails without a mutant\n", names[i])
			continue
		}
		s.tests = append(s.tests, m)
	}
	slices.SortStableFunc(s.tests, func(a, b *measured) int { return cmp.Compare(a.took, b.took) })
	return s, nil
}

// testFunc finds the tests and the fuzz targets, of which the seeds are tests.
var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(\w+ \*testing\.[TF]\)`)

// testNames returns the tests of t, which are in a directory.
func testNames(dir string, t tests) ([]string, error) {
	skip := regexp.MustCompile(cmp.Or(t.skip, "^$"))
	patterns := t.files
	if len(patterns) == 0 {
		patterns = []string{"*_test.go"}
	}
	var names []string
	for _, p := range patterns {
		paths, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil || len(paths) == 0 {
			return nil, fmt.Errorf("no files %s in %s", p, dir)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			for _, m := range testFunc.FindAllSubmatch(src, -1) {
				if name := string(m[1]); !skip.MatchString(name) {
					names = append(names, name)
				}
			}
		}
	}
	return names, nil
}

// measure runs one test with coverage. It returns nil if the test fails, with the mutants compiled
// in and none in force too.
func (s *suite) measure(plain, name, profile string) *measured {
	begin := time.Now()
	if !s.passes(plain, []string{name}, 0, longestTest, "-test.coverprofile="+profile) {
		return nil
	}
	t := &measured{name: name, took: time.Since(begin), blocks: map[string][]block{}}
	if !s.passes(s.mutated, []string{name}, 0, longestTest) {
		return nil
	}
	data, err := os.ReadFile(profile)
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if path, b, ok := parseBlock(lines.Text()); ok {
			t.blocks[path] = append(t.blocks[path], b)
		}
	}
	return t
}

// longestTest is how long a test may take that no mutant is in.
const longestTest = 2 * time.Minute

// profileLine is a line of a profile: file:line.column,line.column statements count.
var profileLine = regexp.MustCompile(`([^/]+):(\d+)\.(\d+),(\d+)\.(\d+) \d+ (\d+)$`)

// parseBlock returns the file and the place of a block that was executed.
func parseBlock(line string) (string, block, bool) {
	f := profileLine.FindStringSubmatch(line)
	if f == nil || f[6] == "0" {
		return "", block{}, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(f[i]); return v }
	return f[1], block{n(2), n(3), n(4), n(5)}, true
}

// outcome is what became of a mutant.
type outcome int

const (
	survived outcome = iota
	uncovered
	killed
	hung // killed: a test did not end
)

func (o outcome) String() string {
	return [...]string{"survived", "not executed", "killed", "killed (timeout)"}[o]
}

// try runs the tests that execute a mutant, the quick ones first.
func (s *suite) try(m *mutant) outcome {
	var list []string
	var took time.Duration
	result := uncovered
	run := func() outcome {
		defer func() { list, took = nil, 0 }()
		limit := s.timeout + timeoutFactor*took
		begin := time.Now()
		if s.passes(s.mutated, list, m.id, limit) {
			return survived
		}
		if time.Since(begin) >= limit {
			return hung
		}
		return killed
	}
	for _, t := range s.tests {
		if !t.has(m) {
			continue
		}
		result = survived
		if len(list) > 0 && took+t.took > together {
			if o := run(); o != survived {
				return o
			}
		}
		list, took = append(list, t.name), took+t.took
	}
	if len(list) > 0 {
		return run()
	}
	return result
}

const (
	// A test hangs when it takes so many times as long as without a mutant, and leastTimeout.
	leastTimeout  = 15 * time.Second
	timeoutFactor = 8
	// together is how long the tests take at most that one process runs, if there is more than one.
	together = 2 * time.Second
	// memoryLimit bounds what a mutant may allocate, in KiB of address space.
	memoryLimit = 4 << 20
)

// passes runs tests with a mutant in force, 0 for none.
func (s *suite) passes(binary string, names []string, id int, limit time.Duration, more ...string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := append([]string{"-test.failfast", "-test.run", "^(" + strings.Join(names, "|") + ")$"}, more...)
	cmd := exec.CommandContext(ctx, binary, args...)
	if runtime.GOOS != "windows" {
		script := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memoryLimit)
		cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", script, binary}, args...)...)
	}
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id))
	cmd.WaitDelay = time.Second
	return cmd.Run() == nil
}

// each calls f for 0 to n-1, in so many goroutines, and returns when all calls have.
func each(n, workers int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
