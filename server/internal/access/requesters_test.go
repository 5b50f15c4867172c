package access

import (
	"bytes"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestARequesterCostsOthersNoAnswer has some connections ask for much more than there is room for,
// between a few requests of another one and the answers.
func TestARequesterCostsOthersNoAnswer(t *testing.T) {
	t.Parallel()
	const healthy = 7
	start := time.Unix(1000, 0)
	a := (&Response{Expires: time.Minute}).filled()
	for _, tc := range []struct {
		name    string
		greedy  uint64 // connections
		subject int    // bytes
	}{
		{"one, with long subjects", 1, 3900},
		{"one, with short subjects", 1, 30},
		{"five hundred", 500, 100},
	} {
		r := &Replies{}
		answers := func() (n int) {
			for i := range 10 {
				n += r.Take(fmt.Appendf(nil, "_INBOX.healthy.%d", i), 1, start)
			}
			return n
		}
		for i := range 10 {
			r.Grant(fmt.Appendf(nil, "_INBOX.healthy.%d", i), healthy, a, start)
		}
		n := 2 * maxReplies / (tc.subject + grantSize)
		for i := range n {
			r.Grant(fmt.Appendf(nil, "%0*d", tc.subject, i), 100+uint64(i)%tc.greedy, a, start)
		}
		if got := answers(); got != 10 {
			t.Errorf("%s: %d of 10 answers are allowed", tc.name, got)
		}
		if r.Take(fmt.Appendf(nil, "%0*d", tc.subject, n-1), 1, start) != 1 {
			t.Errorf("%s: the latest request is forgotten, and not the oldest", tc.name)
		}
	}
}

// obviousReplies is what [Replies] is to do, by a look at everything.
type obviousReplies struct {
	grants  []obviousGrant // in the order in which they were given
	changed map[uint64]int // the step in which a requester was changed last
	step    int
}

type obviousGrant struct {
	subject string
	by      uint64
	left    int
	until   time.Time
}

func (o *obviousReplies) remove(i int) {
	o.change(o.grants[i].by)
	o.grants = slices.Delete(o.grants, i, i+1)
}

func (o *obviousReplies) change(by uint64) {
	o.step++
	o.changed[by] = o.step
}

func (o *obviousReplies) find(subject string) int {
	return slices.IndexFunc(o.grants, func(g obviousGrant) bool { return g.subject == subject })
}

// sizes returns what requesters take.
func (o *obviousReplies) sizes() (of map[uint64]int, all int) {
	of = map[uint64]int{}
	for _, g := range o.grants {
		if of[g.by] == 0 {
			of[g.by] = requesterSize
		}
		of[g.by] += len(g.subject) + grantSize
	}
	for _, n := range of {
		all += n
	}
	return of, all
}

func (o *obviousReplies) grant(subject string, by uint64, left int, until, now time.Time) {
	if i := o.find(subject); i >= 0 {
		o.remove(i)
	}
	o.grants = append(o.grants, obviousGrant{subject, by, left, until})
	o.change(by)
	for now.After(o.grants[0].until) {
		o.remove(0)
	}
	for {
		of, all := o.sizes()
		if all <= maxReplies {
			return
		}
		most := slices.MinFunc(slices.Collect(maps.Keys(of)), func(a, b uint64) int {
			if d := bits.Len(uint(of[b])) - bits.Len(uint(of[a])); d != 0 {
				return d
			}
			return o.changed[a] - o.changed[b]
		})
		o.remove(slices.IndexFunc(o.grants, func(g obviousGrant) bool { return g.by == most }))
	}
}

func (o *obviousReplies) take(subject string, n int, now time.Time) int {
	i := o.find(subject)
	if i < 0 {
		return 0
	}
	g := &o.grants[i]
	if now.After(g.until) {
		o.remove(i)
		return 0
	}
	n = min(n, g.left)
	if g.left -= n; g.left == 0 {
		o.remove(i)
	}
	return n
}

func TestRepliesAgreeWithTheObviousWay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1000, 0)
	r, o := &Replies{}, &obviousReplies{changed: map[uint64]int{}}
	full := 0
	for step := range 5_000 {
		now = now.Add(time.Duration(random.IntN(100)) * time.Millisecond)
		// Long subjects, so that there is room for some hundred.
		subject := bytes.Repeat([]byte{'a' + byte(random.IntN(26))}, 1<<random.IntN(17)+random.IntN(40))
		if random.IntN(4) == 0 {
			n := 1 + random.IntN(3)
			if got, want := r.Take(subject, n, now), o.take(string(subject), n, now); got != want {
				t.Fatalf("step %d: %d of %d publications are allowed, want %d", step, got, n, want)
			}
		} else {
			by := uint64(random.ExpFloat64() * 3)
			a := &Response{MaxMsgs: 1 + random.IntN(3), Expires: time.Minute}
			r.Grant(subject, by, a, now)
			o.grant(string(subject), by, a.MaxMsgs, now.Add(a.Expires), now)
		}
		of, all := o.sizes()
		if r.size != all || len(r.grants) != len(o.grants) || len(r.requesters) != len(of) {
			t.Fatalf("step %d: %d grants of %d requesters, %d bytes; want %d, %d, %d", step, len(r.grants), len(r.requesters), r.size, len(o.grants), len(of), all)
		}
		for by, n := range of {
			if q := r.requesters[by]; q == nil || q.size != n {
				t.Fatalf("step %d: requester %d does not take %d bytes", step, by, n)
			}
		}
		if all > maxReplies-1<<17 {
			full++
		}
	}
	for _, g := range o.grants {
		if got := r.grants[g.subject]; got == nil || got.by.id != g.by || got.left != g.left || !got.until.Equal(g.until) {
			t.Errorf("a grant of requester %d, of %d bytes, is %+v", g.by, len(g.subject), got)
		}
	}
	if full < 1000 {
		t.Errorf("the memory was full after %d steps only", full)
	}
}

// TestRepliesTakeWhatIsCharged reads memory.
func TestRepliesTakeWhatIsCharged(t *testing.T) {
	a := (&Response{Expires: time.Minute}).filled()
	for _, requests := range []uint64{1, 1000} { // of one requester
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := &Replies{}
		for i := range uint64(30_000) {
			r.Grant(fmt.Appendf(nil, "_INBOX.Mx0Ldtq4xVnZx7oPl1XDcE.%d", i), i/requests, a, time.Unix(1000, 0))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		took := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		if took > maxReplies*5/4 { // maps are larger after much has been added and removed
			t.Errorf("%d requests of each: %d bytes are taken, and %d charged", requests, took, r.size)
		}
		runtime.KeepAlive(r)
	}
}
