package process

import (
	"errors"
	"os"
	"testing"
)

// errFake is an error of the system.
var errFake = errors.New("it does not work")

// must fails the test if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errText is the text of an error, empty for none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
