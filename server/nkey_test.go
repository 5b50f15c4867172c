package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"gnatsd/test/wire"
)

// keyPair returns a new nkey: its two halves, and the seed.
func keyPair(t testing.TB) (pair nkeys.KeyPair, public, seed string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public, string(secret)
}

// signature is the base64 of what pair makes of nonce.
func signature(t testing.TB, pair nkeys.KeyPair, nonce string) string {
	t.Helper()
	raw, err := pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// challenged connects and returns what INFO says.
func challenged(t *testing.T, s *Server) (*wire.Client, *Info) {
	t.Helper()
	c := wire.Open(t, s.Addr().String())
	info := new(Info)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(c.Hear("INFO "), "INFO ")), info); err != nil {
		t.Fatal(err)
	}
	return c, info
}

func TestNkeyOnTheWire(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	s := broker(t, func(o *Options) {
		o.Users = []*User{
			{Nkey: public, Permissions: &Permissions{Publish: &SubjectPermission{Allow: []string{"mine.>"}}}},
			{Username: "alice", Password: "foo"},
		}
	})
	logged := new(notices)
	s.SetLogger(logged, false, false)
	c, info := challenged(t, s)
	if len(info.Nonce) != 15 || !info.AuthRequired {
		t.Fatalf("got nonce %q, auth_required %v", info.Nonce, info.AuthRequired)
	}
	connect := fmt.Sprintf("CONNECT {\"nkey\":%q,\"sig\":%q,\"pedantic\":false}\r\n", public, signature(t, pair, info.Nonce))
	c.Say(connect + "PUB mine.a 0\r\n\r\nPUB yours 0\r\n\r\n")
	c.Want("+OK\r\n+OK\r\n-ERR 'Permissions Violation for Publish to \"yours\"'\r\n")
	c.Say("CONNECT {\"verbose\":false}\r\n") // whose it is need not be shown again
	c.Sync()
	conns, err := s.Connz(&ConnzOptions{Username: true})
	if err != nil || len(conns.Conns) != 1 || conns.Conns[0].AuthorizedUser != public {
		t.Errorf("got %+v, %v; want the public key as user", conns.Conns, err)
	}
	second, again := challenged(t, s)
	if again.Nonce == info.Nonce {
		t.Error("two connections got the same nonce")
	}
	second.Say(connect) // recorded from the first
	second.Hear("-ERR 'Authorization Violation'\r\n")
	third, _ := challenged(t, s)
	third.Say("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"foo\"}\r\n")
	third.Sync()
	if got := logged.with(fmt.Sprintf("authorization error - User \"%s\"", public)); len(got) != 1 {
		t.Errorf("got %q, want one line that names the key", got)
	}
}

func TestNkeyAcrossChangesOfTheRules(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	s := broker(t, func(o *Options) {
		o.Users = []*User{{Nkey: public}, {Username: "alice", Password: "foo"}}
	})
	change := func(users ...*User) {
		t.Helper()
		o := *s.options()
		o.Users = users
		g, err := s.newClientPolicy(&o)
		if err != nil {
			t.Fatal(err)
		}
		replaced := &change{clients: g}
		s.applyClients(replaced)
		s.applyToClients(replaced)
	}
	c, info := challenged(t, s)
	c.Say(fmt.Sprintf("CONNECT {\"verbose\":false,\"nkey\":%q,\"sig\":%q}\r\n", public, signature(t, pair, info.Nonce)))
	c.Sync()
	change(&User{Username: "alice", Password: "foo"}, &User{Nkey: public, Permissions: &Permissions{Publish: &SubjectPermission{Deny: []string{"x"}}}})
	c.Say("PUB x 0\r\n\r\n")
	c.Hear("-ERR 'Permissions Violation for Publish")
	c.Sync()
	change(&User{Username: "alice", Password: "foo"})
	c.Hear("-ERR 'Authorization Violation'")
	plain, info := challenged(t, s)
	if info.Nonce != "" {
		t.Errorf("got nonce %q where no user has an nkey", info.Nonce)
	}
	plain.Say(fmt.Sprintf("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"foo\",\"nkey\":%q,\"sig\":\"x\"}\r\n", public))
	plain.Sync()
	change(&User{Username: "alice", Password: "foo"}, &User{Nkey: public})
	plain.Hear("-ERR 'Authorization Violation'") // it claims the key, and never proved it
}
