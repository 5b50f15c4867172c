package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/nats-io/nkeys"
)

// Users may be known by a public key instead of a name. INFO then challenges
// every client with a nonce of its own, and CONNECT shows the public key and the
// nonce signed by the private one, which nobody but the user ever holds.

// nonceBytes is the length of a nonce before it is text: 15 characters, as those
// of nats-server. No two connections share one, so that a signature that somebody
// recorded opens nothing.
const nonceBytes = 11

// newNonce returns a nonce as it stands in INFO. Its text is what is signed.
func newNonce() string {
	var random [nonceBytes]byte
	rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// Errors of public keys in the configuration. They never show what was given: it
// may be the wrong half of the pair.
var (
	errNkeySeed  = errors.New("this is the secret half of an nkey: keep it where the client is, and write the public half, which begins with U, here")
	errNkeyUser  = errors.New("not a public key of a user: those have 56 characters and begin with U")
	errNkeyMixed = errors.New("a user with an nkey takes no user name and no password")
)

// checkNkey says what is wrong with the public key of a user, nil for nothing.
func checkNkey(key string) error {
	switch {
	case nkeys.IsValidPublicUserKey(key):
		return nil
	case strings.HasPrefix(key, "S") || strings.HasPrefix(key, "P"):
		return errNkeySeed
	}
	return errNkeyUser
}

// nkeyVerifier checks signatures of one user.
type nkeyVerifier struct{ pair nkeys.KeyPair }

// newNkeyVerifier returns the verifier of a public key that checkNkey accepts.
func newNkeyVerifier(key string) (nkeyVerifier, error) {
	if err := checkNkey(key); err != nil {
		return nkeyVerifier{}, err
	}
	pair, err := nkeys.FromPublicKey(key)
	return nkeyVerifier{pair}, err
}

// signed reports whether signature, base64 of either alphabet with padding or
// without, is that of the user over nonce. It takes some 50 µs, too little to
// queue for as bcrypt does. Where no nonce was sent nothing can be signed.
func (v nkeyVerifier) signed(nonce, signature string) bool {
	if nonce == "" {
		return false
	}
	url := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(signature, "="))
	raw, err := base64.RawURLEncoding.DecodeString(url)
	return err == nil && v.pair.Verify([]byte(nonce), raw) == nil
}
