//go:build linux && (amd64 || arm64)

package torture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// sample is how many sessions there are without -torture.all.
const sample = 24

// TestTorture plays a session without a fault, and then one for each call that it makes, or for some
// of them, in which the call fails.
func TestTorture(t *testing.T) {
	w := newWorld(t)
	peers := make(chan *peer, *jobs)
	for range *jobs {
		peers <- w.startPeer(t)
	}
	p := <-peers
	counts, possible := w.measure(t, p)
	peers <- p
	if t.Failed() {
		return
	}
	r := &report{t: t, w: w, by: map[string]int{}}
	var running sync.WaitGroup
	defer running.Wait()
	work := make(chan fault)
	for range *jobs {
		running.Go(func() {
			for f := range work {
				p := <-peers
				r.add(w.play(p, f, f.n%2 == 0))
				peers <- p
			}
		})
	}
	for _, f := range choose(t, counts, possible, sample) {
		work <- f
	}
	close(work)
	running.Wait()
	t.Logf("%d faults in %d sessions; %d starts were refused\n%s", r.faults, r.sessions, r.refused, r.table())
}

// measure plays sessions without a fault. It returns how many calls there are at each place, and how
// they may fail, and notes what a broker without clients holds.
func (w *world) measure(t *testing.T, p *peer) (counts map[string]int, possible map[string][]unix.Errno) {
	t.Helper()
	counts, possible = map[string]int{}, map[string][]unix.Errno{}
	held, goroutines := map[string]int{}, 0
	for i := range 2 {
		s := w.play(p, fault{}, i%2 == 0)
		for _, problem := range s.problems {
			t.Errorf("without a fault: %s", problem)
		}
		for place, n := range s.seen() {
			counts[place] = max(counts[place], n)
			possible[place] = s.errnos(place)
		}
		for what, n := range s.descriptors {
			held[what] = max(held[what], n)
		}
		goroutines = max(goroutines, s.goroutines)
	}
	w.descriptors, w.goroutines = held, goroutines
	return counts, possible
}

// choose returns the faults that are tried: all, most of them at random, or the one that was asked for.
func choose(t *testing.T, counts map[string]int, possible map[string][]unix.Errno, most int) (list []fault) {
	t.Helper()
	if *only != "" {
		return []fault{parse(t, *only)}
	}
	wanted := regexp.MustCompile(*places)
	for _, place := range slices.Sorted(maps.Keys(counts)) {
		if !wanted.MatchString(place) {
			continue
		}
		errnos := possible[place]
		for n := 1; n <= counts[place]; n++ {
			times := 1
			if n%3 == 0 {
				times = 4
			}
			// The first calls at a place fail in every way, the others in one.
			ways := 1
			if n <= 4 {
				ways = len(errnos)
			}
			for way := range ways {
				list = append(list, fault{place: place, n: n, errno: errnos[(n-1+way)%len(errnos)], times: times})
			}
		}
	}
	if *all {
		return list
	}
	random := rand.New(rand.NewPCG(*seed, 16))
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(most, len(list))]
}

// parse reads a fault as flag has it.
func parse(t *testing.T, text string) fault {
	t.Helper()
	part := strings.Split(text, ":")
	if len(part) != 4 {
		t.Fatalf("%q has not the form place:n:error:times", text)
	}
	f := fault{place: part[0]}
	var err error
	f.n, err = strconv.Atoi(part[1])
	must(t, err)
	f.times, err = strconv.Atoi(part[3])
	must(t, err)
	for _, c := range calls {
		for _, errno := range slices.Concat(c.socket, c.file) {
			if name(errno) == part[2] {
				f.errno = errno
			}
		}
	}
	return f
}

// name is the name of an error.
func name(errno unix.Errno) string {
	if errno == partly {
		return "part"
	}
	return unix.ErrnoName(errno)
}

// flag is the fault as -torture.only takes it.
func (f fault) flag() string { return fmt.Sprintf("%s:%d:%s:%d", f.place, f.n, name(f.errno), f.times) }

// report counts what has been tried.
type report struct {
	t *testing.T
	w *world

	mu                        sync.Mutex // guards what follows
	sessions, faults, refused int
	by                        map[string]int // faults, by call and error
}

// add notes a session, and reports its problems.
func (r *report) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions++
	r.faults += len(s.failed())
	if s.refused {
		r.refused++
	}
	call, _, _ := strings.Cut(s.fault.place, " ")
	r.by[call+" "+name(s.fault.errno)] += len(s.failed())
	if len(s.problems) > 0 {
		r.t.Errorf("-torture.only='%s', which failed: %v\n%s", s.fault.flag(), s.failed(), strings.Join(s.problems, "\n"))
	}
}

// table is the counts, a line for each call.
func (r *report) table() string {
	byCall := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(r.by)) {
		call, errno, _ := strings.Cut(key, " ")
		byCall[call] = append(byCall[call], fmt.Sprintf("%s %d", errno, r.by[key]))
	}
	var b strings.Builder
	for _, call := range slices.Sorted(maps.Keys(byCall)) {
		fmt.Fprintf(&b, "%-12s %s\n", call, strings.Join(byCall[call], ", "))
	}
	return b.String()
}
