package access

import (
	"errors"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestSecretsThatAreHashes(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "x", "$2a$")
	for _, tt := range []struct {
		name, secret string
		cost         int
		isHash       bool
	}{
		{"plain text", "secret", 0, false},
		{"nothing", "", 0, false},
		{"another scheme", "$1$x", 0, false},
		{"a version that does not exist", "$2z" + hash[3:], 0, false},
		{"$2a$", hash, bcrypt.MinCost, true},
		{"$2b$", hashed(t, "x", "$2b$"), bcrypt.MinCost, true},
		{"$2y$", hashed(t, "x", "$2y$"), bcrypt.MinCost, true},
		{"cut short", hash[:59], 0, true},
		{"too long", hash + ".", 0, true},
		{"a cost that is none", "$2a$99" + hash[6:], 0, true},
		{"without a salt", hash[:6] + "x" + hash[7:], 0, true},
		{"with a letter that bcrypt does not use, at the beginning", hash[:7] + "=" + hash[8:], 0, true},
		{"with a letter that bcrypt does not use", hash[:30] + "=" + hash[31:], 0, true},
	} {
		cost, isHash := bcryptCost(tt.secret)
		if cost != tt.cost || isHash != tt.isHash {
			t.Errorf("%s: cost %d, a hash %v; want %d, %v", tt.name, cost, isHash, tt.cost, tt.isHash)
		}
	}
}

func TestNoPasswordMatchesDummyHashes(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{4, 11, 31} {
		d := dummyHash(cost)
		if got, isHash := bcryptCost(d); got != cost || !isHash {
			t.Errorf("%s: cost %d, a hash %v", d, got, isHash)
		}
	}
	if err := bcrypt.CompareHashAndPassword([]byte(dummyHash(4)), nil); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("compare: %v", err)
	}
}
