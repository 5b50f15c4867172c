package test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"gnatsd/server"
)

// newNkey makes an nkey and returns its public half and a file with its seed.
func newNkey(t *testing.T) (public, seedFile string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	must(t, err)
	public, err = pair.PublicKey()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	seedFile = filepath.Join(t.TempDir(), "user.nk")
	must(t, os.WriteFile(seedFile, seed, 0o600))
	return public, seedFile
}

// withNkey is the option of a client that signs with the seed in a file.
func withNkey(t *testing.T, seedFile string) nats.Option {
	t.Helper()
	opt, err := nats.NkeyOptionFromSeed(seedFile)
	must(t, err)
	return opt
}

func TestGoClientWithAnNkey(t *testing.T) {
	t.Parallel()
	public, seedFile := newNkey(t)
	_, strange := newNkey(t)
	opts := quietOptions()
	opts.Users = []*server.User{
		{Nkey: public, Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"secret"}}}},
		{Username: "anna", Password: "ok"},
	}
	opts.Port = freePort(t)
	s := Start(t, opts)
	lost, back, denied := make(chan bool, 1), make(chan bool, 1), make(chan error, 1)
	nc := natsConnect(t, s, withNkey(t, seedFile), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- true }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- true }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	anna := natsConnect(t, s, nats.UserInfo("anna", "ok"))
	sub := subscribe(t, anna, "open")
	must(t, nc.Publish("open", nil))
	next(t, sub)
	must(t, nc.Publish("secret", nil))
	if err := await(t, denied, "refusal"); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v, want a permissions violation", err)
	}
	anna.Close()
	if nc, err := goClient(s.ClientURL(), withNkey(t, strange)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("got %v, %v for a key that is not listed, want %v", nc, err, nats.ErrAuthorization)
	}
	s.Shutdown()
	await(t, lost, "disconnection")
	Start(t, opts)
	await(t, back, "reconnection, which signs another challenge")
	flush(t, nc)
}
