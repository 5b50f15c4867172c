package access

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/admission"
)

// inFlight returns how many bcrypt checks run or wait for the limiter.
func (v *Verifier) inFlight() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.calls)
}

// occupy takes the only slot of a limiter.
func occupy(t *testing.T, l *admission.Limiter) *admission.Slot {
	t.Helper()
	slot, err := l.Acquire(t.Context(), admission.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func TestIdenticalChecksAreMadeOnce(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "pw", "$2a$")
	synctest.Test(t, func(t *testing.T) {
		limiter := admission.NewLimiter(1)
		v := NewVerifier(limiter)
		p, _, err := NewPolicy(Settings{Username: "u", Password: hash}, v)
		if err != nil {
			t.Fatal(err)
		}
		busy := occupy(t, limiter)
		var passed atomic.Int32
		first, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			go func() {
				if id, _ := p.Check(ctx, &Credentials{User: "u", Password: "pw"}); id != nil {
					passed.Add(1)
				}
			}()
			synctest.Wait()
		}
		if n := v.inFlight(); n != 1 {
			t.Errorf("%d checks wait, want 1", n)
		}
		cancel() // the one that asks for all gives up: another takes over
		synctest.Wait()
		if n := v.inFlight(); n != 1 {
			t.Errorf("%d checks wait after one gave up, want 1", n)
		}
		busy.Release()
		synctest.Wait()
		if n := v.inFlight(); passed.Load() != 99 || n != 0 {
			t.Errorf("%d passed, %d in flight, want 99 and 0", passed.Load(), n)
		}
		occupy(t, limiter) // no check can begin
		if id, err := p.Check(t.Context(), &Credentials{User: "u", Password: "pw"}); id == nil {
			t.Errorf("not remembered: %v", err)
		}
		changed, _, err := NewPolicy(Settings{Username: "u", Password: hash[:len(hash)-1] + "z"}, v)
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if id, err := changed.Check(gone, &Credentials{User: "u", Password: "pw"}); id != nil || err == nil {
			t.Error("a changed hash is answered from memory")
		}
	})
}

func TestAReconnectStormCostsOneCheckPerUser(t *testing.T) {
	t.Parallel()
	var users []User
	for i := range 20 {
		name := "u" + strconv.Itoa(i)
		users = append(users, User{Name: name, Password: hashed(t, name, "$2a$")})
	}
	synctest.Test(t, func(t *testing.T) {
		limiter := admission.NewLimiter(1)
		v := NewVerifier(limiter)
		p, _, err := NewPolicy(Settings{Users: users}, v)
		if err != nil {
			t.Fatal(err)
		}
		busy := occupy(t, limiter)
		var passed atomic.Int32
		for i := range 2000 {
			go func() {
				name := users[i%len(users)].Name
				if id, _ := p.Check(t.Context(), &Credentials{User: name, Password: name}); id != nil && id.Name == name {
					passed.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := v.inFlight(); n != len(users) {
			t.Errorf("%d checks wait, want %d", n, len(users))
		}
		busy.Release()
		time.Sleep(time.Minute) // of the test's clock
		if n := passed.Load(); n != 2000 {
			t.Errorf("%d passed, want 2000", n)
		}
	})
}

func TestMemoryOfChecksIsBounded(t *testing.T) {
	t.Parallel()
	v := NewVerifier(admission.NewLimiter(1))
	for i := range maxPassed + 1000 {
		question := v.digest(strconv.Itoa(i))
		v.rememberLocked(question)
		if v.join(question) != nil {
			t.Fatal("the latest success is not remembered")
		}
	}
	if n := len(v.passed); n != maxPassed {
		t.Errorf("%d successes are remembered, want %d", n, maxPassed)
	}
}

func TestDigestKeepsPartsApart(t *testing.T) {
	t.Parallel()
	v, other := NewVerifier(nil), NewVerifier(nil)
	if v.digest("ab", "c") == v.digest("a", "bc") || v.digest("a", "b") == v.digest("a\x00\x00\x00\x00\x00\x00\x00\x00b") || v.digest("a") == other.digest("a") {
		t.Error("digests collide")
	}
}

// TestACallIsOfAllThatAskForIt begins, answers and abandons calls without their bcrypt checks.
func TestACallIsOfAllThatAskForIt(t *testing.T) {
	t.Parallel()
	v := NewVerifier(admission.NewLimiter(1))
	question := v.digest("q")
	c := v.join(question)
	if v.join(question) != c || v.inFlight() != 1 {
		t.Error("a second caller has a call of its own")
	}
	if !v.start(c) || v.start(c) {
		t.Error("the check is not made once")
	}
	if v.leave(c, question); v.inFlight() != 1 || c.ctx.Err() != nil {
		t.Error("a call ends while there is a caller")
	}
	if v.leave(c, question); v.inFlight() != 0 || c.ctx.Err() == nil {
		t.Error("a call goes on without callers")
	}
	next := v.join(question)
	if next == c {
		t.Fatal("an abandoned call is asked again")
	}
	c.ok = false
	if v.finish(c, question); v.inFlight() != 1 {
		t.Error("the end of an abandoned call ends that of others")
	}
	next.ok = true
	if v.finish(next, question); v.inFlight() != 0 || next.ctx.Err() == nil {
		t.Error("an answered call goes on")
	}
	if v.join(question) != nil {
		t.Error("a success is not remembered")
	}
	other := v.digest("other")
	c = v.join(other)
	v.leave(c, other)
	v.join(other)
	if v.leave(c, other); v.inFlight() != 1 {
		t.Error("one who leaves an abandoned call ends that of others")
	}
}
