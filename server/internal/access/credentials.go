package access

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
)

// Credentials are what a peer shows to log in.
type Credentials struct {
	User, Password, Token string
	Nkey, Signature       string            // the public key, and what the private one made of Nonce
	Nonce                 string            // as INFO had it; "" if it had none
	Certificate           *x509.Certificate // verified by TLS; nil without
	From                  admission.Source
}

// none reports whether CONNECT had no credentials.
func (c *Credentials) none() bool {
	return c.User == "" && c.Password == "" && c.Token == "" && c.Nkey == ""
}

// secret is a configured password or token.
type secret struct {
	plain digest // of the text, if hash is ""
	hash  string // bcrypt
	cost  int    // of hash; 0 if it is malformed, so that no password matches it
}

const (
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	bcryptLength   = 60
)

// bcryptCost reports whether a configured secret is a bcrypt hash rather than plain text, and its
// cost: 0 if it is malformed.
func bcryptCost(secret string) (cost int, isHash bool) {
	if !strings.HasPrefix(secret, "$2a$") && !strings.HasPrefix(secret, "$2b$") && !strings.HasPrefix(secret, "$2y$") {
		return 0, false
	}
	cost, err := bcrypt.Cost([]byte(secret))
	if err != nil || len(secret) != bcryptLength || secret[6] != '$' || strings.Trim(secret[7:], bcryptAlphabet) != "" {
		return 0, true
	}
	return cost, true
}

// dummyHash returns a bcrypt hash of the given cost that no password matches. It is compared where
// there is no hash, so that a refusal takes the same time.
func dummyHash(cost int) string {
	var random [42]byte
	rand.Read(random[:]) // never fails
	text := base64.NewEncoding(bcryptAlphabet).EncodeToString(random[:])
	return fmt.Sprintf("$2a$%02d$%s", cost, text)[:bcryptLength]
}

// secretWarnings returns what is wrong with a configured secret, without showing it.
func secretWarnings(whose, configured, at string) []Warning {
	if configured == "" {
		return []Warning{{fmt.Sprintf("The password of %s is empty: the name alone is enough to log in", whose), at}}
	}
	if cost, isHash := bcryptCost(configured); isHash && cost == 0 {
		return []Warning{{fmt.Sprintf("The bcrypt hash of %s is malformed: no password matches it", whose), at}}
	}
	return nil
}
