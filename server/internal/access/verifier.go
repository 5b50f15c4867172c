package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
)

// Verifier compares secrets. Identical bcrypt checks are made once for all that ask at the same
// time (singleflight), and successes are remembered, so a reconnect storm costs one check per user.
// It outlives policies: what it remembers is keyed by the configured hash, so a password that was
// changed is never taken from memory. It is safe for concurrent use.
type Verifier struct {
	key     [sha256.Size]byte  // random; of this process only
	limiter *admission.Limiter // of bcrypt checks

	mu     sync.Mutex // guards what follows
	passed map[digest]struct{}
	calls  map[digest]*call // running or waiting for the limiter
}

// maxPassed is how many successful bcrypt checks are remembered, about 1 MiB of memory.
const maxPassed = 16384

// call is a bcrypt check that some ask for. It is made by the one that is admitted first, so that
// none waits for longer than without the others.
type call struct {
	ctx     context.Context // canceled when there is an answer
	answer  context.CancelFunc
	askers  int  // guarded by Verifier.mu
	running bool // guarded by Verifier.mu
	ok      bool // the answer
}

// NewVerifier returns a Verifier whose bcrypt checks wait for limiter.
func NewVerifier(limiter *admission.Limiter) *Verifier {
	v := &Verifier{limiter: limiter, passed: map[digest]struct{}{}, calls: map[digest]*call{}}
	rand.Read(v.key[:]) // never fails
	return v
}

// digest is a keyed hash. Equal digests mean equal inputs; neither the digest nor the time that
// comparing two of them takes says anything about the input.
type digest [sha256.Size]byte

// digest hashes parts, keeping them apart.
func (v *Verifier) digest(parts ...string) (d digest) {
	mac := hmac.New(sha256.New, v.key[:])
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		mac.Write(size[:])
		mac.Write([]byte(p))
	}
	mac.Sum(d[:0])
	return d
}

// secret prepares a configured password or token.
func (v *Verifier) secret(configured string) secret {
	if cost, isHash := bcryptCost(configured); isHash {
		return secret{hash: configured, cost: cost}
	}
	return secret{plain: v.digest(configured)}
}

// plainEqual compares plain secrets, or names, in constant time.
func (v *Verifier) plainEqual(configured digest, given string) bool {
	d := v.digest(given)
	return subtle.ConstantTimeCompare(configured[:], d[:]) == 1
}

// bcrypt reports whether password matches hash. It answers from memory, or waits for the limiter or
// for an identical check in flight, whichever is first. The error is that of ctx, which ends the
// wait but not a running check.
func (v *Verifier) bcrypt(ctx context.Context, from admission.Source, user, hash, password string) (bool, error) {
	question := v.digest(user, hash, password)
	c := v.join(question)
	if c == nil {
		return true, nil
	}
	defer v.leave(c, question)
	waiting, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(c.ctx, end)()
	if slot, err := v.limiter.Acquire(waiting, from); err == nil {
		if v.start(c) {
			c.ok = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
			slot.Release()
			v.finish(c, question)
			return c.ok, nil
		}
		slot.Release()
	}
	select {
	case <-c.ctx.Done():
		return c.ok, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// join returns nil if the answer to question is remembered as yes, or the call that will answer it.
func (v *Verifier) join(question digest) *call {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.passed[question]; ok {
		return nil
	}
	c := v.calls[question]
	if c == nil {
		c = new(call)
		c.ctx, c.answer = context.WithCancel(context.Background())
		v.calls[question] = c
	}
	c.askers++
	return c
}

// start reports whether the caller must make the check of c.
func (v *Verifier) start(c *call) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.running {
		return false
	}
	c.running = true
	return true
}

// leave ends the interest of one caller in c.
func (v *Verifier) leave(c *call, question digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.askers--; c.askers == 0 && v.calls[question] == c {
		delete(v.calls, question)
	}
	if c.askers == 0 {
		c.answer() // ends its context, also if all have given up
	}
}

// finish answers those that wait for c, and remembers a success.
func (v *Verifier) finish(c *call, question digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.calls[question] == c {
		delete(v.calls, question)
	}
	if c.ok {
		v.rememberLocked(question)
	}
	c.answer()
}

// rememberLocked adds a success. If there are too many it forgets an arbitrary one, which costs
// that user one more check.
func (v *Verifier) rememberLocked(question digest) {
	if len(v.passed) >= maxPassed {
		for d := range v.passed {
			delete(v.passed, d)
			break
		}
	}
	v.passed[question] = struct{}{}
}
