package access

import (
	"fmt"
	"testing"
	"time"
)

func TestRepliesAreAllowedSoManyTimesSoLong(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name    string
		allowed Response
		do      func(r *Replies, a *Response) int
		want    int
	}{
		{"once by default", Response{}, func(r *Replies, a *Response) int { return r.Take([]byte("r"), 5, start) }, 1},
		{"so many times", Response{MaxMsgs: 3}, func(r *Replies, a *Response) int {
			return r.Take([]byte("r"), 2, start) + r.Take([]byte("r"), 2, start) + r.Take([]byte("r"), 2, start)
		}, 3},
		{"any number", Response{MaxMsgs: -1}, func(r *Replies, a *Response) int {
			return r.Take([]byte("r"), 20, start) + r.Take([]byte("r"), 20, start)
		}, 40},
		{"two minutes by default", Response{}, func(r *Replies, a *Response) int { return r.Take([]byte("r"), 1, start.Add(2*time.Minute)) }, 1},
		{"not longer", Response{}, func(r *Replies, a *Response) int {
			return r.Take([]byte("r"), 1, start.Add(2*time.Minute+1))
		}, 0},
		{"for ever", Response{Expires: -1}, func(r *Replies, a *Response) int { return r.Take([]byte("r"), 1, start.Add(10000*time.Hour)) }, 1},
		{"other subjects never", Response{}, func(r *Replies, a *Response) int { return r.Take([]byte("s"), 1, start) }, 0},
		{"a further message begins a new count", Response{MaxMsgs: 2}, func(r *Replies, a *Response) int {
			n := r.Take([]byte("r"), 1, start)
			r.Grant([]byte("r"), 1, a, start)
			return n + r.Take([]byte("r"), 5, start)
		}, 3},
		{"and extends the time", Response{Expires: time.Second}, func(r *Replies, a *Response) int {
			r.Grant([]byte("r"), 1, a, start.Add(time.Second))
			return r.Take([]byte("r"), 5, start.Add(2*time.Second))
		}, 1},
		{"the shortest time", Response{Expires: 1}, func(r *Replies, a *Response) int { return r.Take([]byte("r"), 1, start.Add(2)) }, 0},
	} {
		r := &Replies{}
		a := tc.allowed.filled()
		r.Grant([]byte("r"), 1, a, start)
		if got := tc.do(r, a); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestRepliesHaveABoundInBytes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	r, a := &Replies{}, (&Response{Expires: time.Minute}).filled()
	const n = 100_000
	for i := range n {
		r.Grant(fmt.Appendf(nil, "_INBOX.a-rather-long-inbox.%d", i), 1, a, now)
	}
	if r.size > maxReplies || len(r.grants) < 19_000 {
		t.Errorf("%d grants of %d bytes, want at most %d bytes", len(r.grants), r.size, maxReplies)
	}
	if r.Take([]byte("_INBOX.a-rather-long-inbox.0"), 1, now) != 0 || r.Take(fmt.Appendf(nil, "_INBOX.a-rather-long-inbox.%d", n-1), 1, now) != 1 {
		t.Error("not the oldest were forgotten")
	}
	r.Grant([]byte("later"), 1, a, now.Add(time.Hour))
	if len(r.grants) != 1 || r.size != len("later")+grantSize+requesterSize || len(r.requesters) != 1 {
		t.Errorf("%d grants of %d bytes are left of those that expired", len(r.grants)-1, r.size)
	}
}

// TestRepliesThatEndedAreForgotten looks at what is held after each way in which a grant ends.
func TestRepliesThatEndedAreForgotten(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	a := (&Response{Expires: time.Minute}).filled()
	for _, tc := range []struct {
		name string
		do   func(r *Replies)
		want []string
	}{
		{"taken", func(r *Replies) { r.Take([]byte("a"), 1, start) }, []string{"b"}},
		{"expired", func(r *Replies) { r.Take([]byte("a"), 1, start.Add(time.Hour)) }, []string{"b"}},
		{"given again, when the others expire", func(r *Replies) {
			r.Grant([]byte("a"), 1, a, start.Add(time.Minute))
			r.Grant([]byte("c"), 1, a, start.Add(time.Minute+1))
		}, []string{"a", "c"}},
	} {
		r := &Replies{}
		r.Grant([]byte("a"), 1, a, start)
		r.Grant([]byte("b"), 1, a, start)
		tc.do(r)
		if len(r.grants) != len(tc.want) || r.size != len(tc.want)*(1+grantSize)+requesterSize {
			t.Errorf("%s: %d grants of %d bytes, want %q", tc.name, len(r.grants), r.size, tc.want)
		}
		for _, subject := range tc.want {
			if r.grants[subject] == nil {
				t.Errorf("%s: %s is forgotten", tc.name, subject)
			}
		}
	}
	r := &Replies{}
	const subjectSize = 256 - grantSize
	r.Grant(fmt.Appendf(nil, "%0*d", subjectSize-requesterSize+256, 0), 1, a, start) // what is left of two
	for i := range maxReplies/256 - 2 {
		r.Grant(fmt.Appendf(nil, "%0*d", subjectSize, i+1), 1, a, start)
	}
	if r.size != maxReplies || len(r.grants) != maxReplies/256-1 {
		t.Errorf("%d grants of %d bytes, want all that fit into %d", len(r.grants), r.size, maxReplies)
	}
}

func TestResponsesCloseAndFilter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, subject string
		rules         Rules
		want          bool
	}{
		{"without a publish list nothing else may be published", "x", Rules{}, false},
		{"nor with a deny list alone", "x", Rules{Publish: list("!y")}, false},
		{"an allow list stays", "x", Rules{Publish: list("x")}, true},
	} {
		tc.rules.Response = &Response{}
		p := mustCompile(t, &tc.rules)
		if got := p.CanPublish([]byte(tc.subject)).Allowed(); got != tc.want {
			t.Errorf("%s: got %v", tc.name, got)
		}
		f := p.Filter("a", "")
		if f == nil || f.Response() == nil || f.Response().MaxMsgs != 1 || f.Blocks([]byte("a")) {
			t.Errorf("%s: the filter does not note replies, or blocks", tc.name)
		}
	}
	p := mustCompile(t, &Rules{Subscribe: list("a.>", "!a.no"), Response: &Response{}})
	if f := p.Filter("a.*", ""); f.Response() == nil || !f.Blocks([]byte("a.no")) || f.Blocks([]byte("a.yes")) {
		t.Error("a filter that withholds messages does not note replies, or has changed")
	}
	if !p.CanRespond([]byte("r")) || p.CanRespond([]byte("_SYS.r")) || p.CanRespond([]byte("$SYS.r")) {
		t.Error("not all replies but reserved ones are allowed")
	}
	if f := mustCompile(t, &Rules{Subscribe: list("a.>", "!a.no")}).Filter("a.*", ""); f.Response() != nil {
		t.Error("replies are noted for users without allow_responses")
	}
}

// BenchmarkReplies is a request and its answer, while others are not answered yet.
func BenchmarkReplies(b *testing.B) {
	a := (&Response{Expires: time.Hour}).filled()
	for _, tc := range []struct{ requesters, requests int }{{1, 1}, {1, 1000}, {100, 1}, {100, 100}, {10_000, 1}} {
		b.Run(fmt.Sprintf("requesters=%d/requests=%d", tc.requesters, tc.requests), func(b *testing.B) {
			r, now, n := &Replies{}, time.Now(), tc.requesters*tc.requests
			replies := make([][]byte, n)
			for i := range replies {
				replies[i] = fmt.Appendf(nil, "_INBOX.Mx0Ldtq4xVnZx7oPl1XDcE.%06d", i)
				r.Grant(replies[i], uint64(i%tc.requesters), a, now)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := i * 7919 % n
				r.Take(replies[k], 1, now)
				r.Grant(replies[k], uint64(k%tc.requesters), a, now)
			}
		})
	}
}
