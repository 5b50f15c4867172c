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

// call is a bcrypt check in flight, which all that ask the same wait for.
type call struct {
	done chan struct{} // closed when the fields below are set
	ok   bool
	err  error // its caller gave up: ask again
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

// bcrypt reports whether password matches hash. It answers from memory, or waits for an identical
// check in flight, or for the limiter. The error is that of ctx, which ends the wait but not a
// running check.
func (v *Verifier) bcrypt(ctx context.Context, user, hash, password string) (bool, error) {
	question := v.digest(user, hash, password)
	for {
		c, own := v.join(question)
		switch {
		case c == nil:
			return true, nil
		case own:
			v.run(ctx, c, question, hash, password)
			return c.ok, c.err
		}
		select {
		case <-c.done:
			if c.err == nil {
				return c.ok, nil
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// join returns nil if the answer to question is remembered as yes, or the call that will answer it;
// own means that the caller must run it.
func (v *Verifier) join(question digest) (c *call, own bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.passed[question]; ok {
		return nil, false
	}
	if c := v.calls[question]; c != nil {
		return c, false
	}
	c = &call{done: make(chan struct{})}
	v.calls[question] = c
	return c, true
}

// run makes the check of c.
func (v *Verifier) run(ctx context.Context, c *call, question digest, hash, password string) {
	defer v.finish(c, question)
	if _, c.err = v.limiter.Acquire(ctx); c.err != nil {
		return
	}
	defer v.limiter.Release()
	c.ok = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// finish answers those that wait for c, and remembers a success.
func (v *Verifier) finish(c *call, question digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.calls, question)
	if c.ok {
		v.rememberLocked(question)
	}
	close(c.done)
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
