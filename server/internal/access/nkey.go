package access

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/nats-io/nkeys"
)

// Users may be known by a public key instead of a name. INFO then challenges every client with a
// nonce of its own, and CONNECT has the public key and the nonce signed by the private one, which
// never leaves the client.

// nonceBytes is the length of a nonce before it is text: 15 characters, as those of nats-server. No
// two connections share one, so a recorded signature is useless.
const nonceBytes = 11

// NewNonce returns a random nonce as it stands in INFO. Its text is what is signed.
func NewNonce() string {
	var random [nonceBytes]byte
	rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// Errors of public keys in the configuration. They never show the key: it may be the private half
// of the pair.
var (
	errNkeySeed = errors.New("this is the secret half of an nkey: keep it where the client is, and write the public half, which begins with U, here")
	errNkeyUser = errors.New("not a public key of a user: those have 56 characters and begin with U")
	// ErrNkeyMixed is the error of a user that has an nkey and a name or a password.
	ErrNkeyMixed = errors.New("a user with an nkey takes no user name and no password")
)

// CheckNkey returns what is wrong with the public key of a user, nil if nothing is.
func CheckNkey(key string) error {
	switch {
	case nkeys.IsValidPublicUserKey(key):
		return nil
	case strings.HasPrefix(key, "S") || strings.HasPrefix(key, "P"):
		return errNkeySeed
	}
	return errNkeyUser
}

// nkeyVerifier checks signatures of one user. Its zero value is that of a user without an nkey.
type nkeyVerifier struct{ pair nkeys.KeyPair }

// newNkeyVerifier returns the verifier of a public key that CheckNkey accepts.
func newNkeyVerifier(key string) (nkeyVerifier, error) {
	if err := CheckNkey(key); err != nil {
		return nkeyVerifier{}, err
	}
	pair, err := nkeys.FromPublicKey(key)
	return nkeyVerifier{pair}, err
}

// signed reports whether signature, base64 of either alphabet with padding or without, is that of
// the user over nonce. It takes some 50 µs, too little to wait for the limiter as bcrypt does.
// Where no nonce was sent nothing can be signed.
func (v nkeyVerifier) signed(nonce, signature string) bool {
	if nonce == "" {
		return false
	}
	url := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(signature, "="))
	raw, err := base64.RawURLEncoding.DecodeString(url)
	return err == nil && v.pair.Verify([]byte(nonce), raw) == nil
}
