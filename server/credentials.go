package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
)

// credentials are what a peer shows to be let in.
type credentials struct {
	user, pass, token string
	nkey, signature   string            // the public key, and what shows that the private one is there
	nonce             string            // that the signature is about; "" if INFO had none
	certificate       *x509.Certificate // verified by TLS; nil without
}

// none reports whether CONNECT named nobody.
func (c *credentials) none() bool {
	return c.user == "" && c.pass == "" && c.token == "" && c.nkey == ""
}

// digest is a keyed hash: equal digests mean equal inputs, and neither the
// digest nor the time to compare two of them tells anything about the input.
type digest [sha256.Size]byte

// secret is a configured password or token.
type secret struct {
	plain  digest // of the text, if hash is ""
	hash   string // bcrypt
	broken bool   // hash begins like bcrypt, but is none: nothing fits it
}

// isBcrypt reports whether a configured secret is a bcrypt hash rather than
// plain text.
func isBcrypt(s string) bool {
	return strings.HasPrefix(s, "$2a$") || strings.HasPrefix(s, "$2b$") || strings.HasPrefix(s, "$2y$")
}

const (
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	bcryptLength   = 60
)

// brokenBcrypt reports whether no password can fit hash.
func brokenBcrypt(hash string) bool {
	if _, err := bcrypt.Cost([]byte(hash)); err != nil || len(hash) != bcryptLength || hash[6] != '$' {
		return true
	}
	return strings.Trim(hash[7:], bcryptAlphabet) != ""
}

// rememberedChecks is how many successful bcrypt checks are remembered, about
// 1 MiB of memory at most.
const rememberedChecks = 16384

// verifier compares secrets. It outlives reloads: what it remembers is keyed by
// the configured hash, so a changed password is never taken from memory.
type verifier struct {
	key     [sha256.Size]byte  // random; of this process only
	limiter *admission.Limiter // of bcrypt checks

	mu     sync.Mutex
	passed generations
	flying map[digest]*flight
}

// flight is a bcrypt check that others with the same question wait for.
type flight struct {
	done    chan struct{} // closed when the fields below are set
	settled bool          // false: given up, ask again
	ok      bool
}

// newVerifier returns a verifier whose bcrypt checks take slots of limiter.
func newVerifier(limiter *admission.Limiter) *verifier {
	v := &verifier{limiter: limiter, flying: map[digest]*flight{}}
	v.passed.limit = rememberedChecks
	rand.Read(v.key[:]) // never fails
	return v
}

// digest hashes parts, keeping them apart.
func (v *verifier) digest(parts ...string) (d digest) {
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
func (v *verifier) secret(configured string) secret {
	if isBcrypt(configured) {
		return secret{hash: configured, broken: brokenBcrypt(configured)}
	}
	return secret{plain: v.digest(configured)}
}

// decoy returns a bcrypt hash of the given cost that no password fits, to be
// compared where there is no hash, so that the time taken is the same.
func decoy(cost int) string {
	var random [42]byte
	rand.Read(random[:])
	text := base64.NewEncoding(bcryptAlphabet).EncodeToString(random[:])
	return fmt.Sprintf("$2a$%02d$%s", cost, text)[:bcryptLength]
}

// plainEqual compares plain secrets, or names, in constant time.
func (v *verifier) plainEqual(configured digest, given string) bool {
	d := v.digest(given)
	return subtle.ConstantTimeCompare(configured[:], d[:]) == 1
}

// bcrypt reports whether pass fits hash. It answers from memory, or waits for
// an identical check under way, or for a slot, in the order of arrival. It
// returns the time spent waiting, which must not count against the peer. The
// error is that of ctx, which ends the wait but not a running check.
func (v *verifier) bcrypt(ctx context.Context, user, hash, pass string) (ok bool, waited time.Duration, err error) {
	question := v.digest(user, hash, pass)
	start := time.Now()
	for {
		f, first := v.join(question)
		if f == nil {
			return true, time.Since(start), nil
		}
		if first {
			return v.fly(ctx, f, question, hash, pass)
		}
		select {
		case <-f.done:
			if f.settled {
				return f.ok, time.Since(start), nil
			}
		case <-ctx.Done():
			return false, time.Since(start), ctx.Err()
		}
	}
}

// join returns nil if question was answered with yes before, or the flight that
// will answer it; first means that the caller must make it.
func (v *verifier) join(question digest) (f *flight, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.passed.has(question) {
		return nil, false
	}
	if f := v.flying[question]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	v.flying[question] = f
	return f, true
}

// fly makes the check and lands f.
func (v *verifier) fly(ctx context.Context, f *flight, question digest, hash, pass string) (bool, time.Duration, error) {
	defer v.land(f, question)
	waited, err := v.limiter.Acquire(ctx)
	if err != nil {
		return false, waited, err
	}
	defer v.limiter.Release()
	f.ok = bcrypt.CompareHashAndPassword([]byte(hash), []byte(pass)) == nil
	f.settled = true
	return f.ok, waited, nil
}

// land tells those who wait for f, and remembers a success.
func (v *verifier) land(f *flight, question digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.flying, question)
	if f.settled && f.ok {
		v.passed.add(question)
	}
	close(f.done)
}

// generations is a bounded set that forgets what was not asked for lately: when
// the young half is full it becomes the old half, and what is asked for in the
// old half is young again.
type generations struct {
	limit      int // of both halves
	young, old map[digest]struct{}
}

func (g *generations) has(d digest) bool {
	if _, ok := g.young[d]; ok {
		return true
	}
	_, ok := g.old[d]
	if ok {
		g.add(d)
	}
	return ok
}

func (g *generations) add(d digest) {
	if g.young == nil || len(g.young) >= g.limit/2 {
		g.old, g.young = g.young, map[digest]struct{}{}
	}
	g.young[d] = struct{}{}
}
