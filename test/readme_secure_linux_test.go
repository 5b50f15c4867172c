package test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"gnatsd/test/wire"
)

// This file holds the parts of TestClassicReadme about "Securing NATS".

func readmeSingleUser(t *testing.T, d *readmeDesk) {
	d.write(t, "plain.conf", "authorization {\n  user:     derek\n  password: T0pS3cr3t\n  timeout:  1\n}")
	d.write(t, "token.conf", "authorization {\n  # You can generate the token using /util/mkpasswd.go\n  token: $2a$11$bXz1Mi5xM.rRUnYRT0Vb2el6sSzVrqA0DJKdt.5Itj1C1K4HT9FDG\n  timeout: 1\n}")
	d.write(t, "made.conf", "authorization {\n  user: derek\n  password: $2a$11$3kIDaCxw.Glsl1.u5nKa6eUnNDLV5HV9tIuUp7EHhMt6Nm9myW1aS\n}")
	for _, tc := range []struct {
		line    string
		good    nats.Option
		bad     nats.Option
		goodURL string
	}{
		{"gnatsd --user foo --pass bar", nil, nats.UserInfo("foo", "baz"), "nats://foo:bar@localhost:4222"},
		{"gnatsd -auth 'S3Cr3T0k3n!'", nil, nats.Token("x"), "nats://S3Cr3T0k3n!@localhost:4222"},
		{"gnatsd -c plain.conf", nats.UserInfo("derek", "T0pS3cr3t"), nats.UserInfo("derek", "x"), ""},
		{"gnatsd -c token.conf", nats.Token("D#6)e0ht^@61kU5!^!owrX"), nats.Token("$2a$11$bXz1Mi5xM.rRUnYRT0Vb2el6sSzVrqA0DJKdt.5Itj1C1K4HT9FDG"), ""},
		{"gnatsd -c made.conf", nats.UserInfo("derek", "#IclkRPHUpsTmACWzmIGXr"), nats.UserInfo("derek", "x"), ""},
	} {
		p := d.shell(t, tc.line)
		p.await(t, `Server is ready$`)
		if tc.goodURL != "" {
			wantConnect(t, tc.goodURL, true)
		} else if nc, err := goClient("nats://localhost:4222", tc.good); err != nil {
			t.Errorf("%s: %v", tc.line, err)
		} else {
			nc.Close()
		}
		if nc, err := goClient("nats://localhost:4222", tc.bad); err == nil {
			nc.Close()
			t.Errorf("%s: wrong credentials were taken", tc.line)
		}
		wantConnect(t, "nats://localhost:4222", false)
		p.stops(t)
	}
}

func readmeUsers(t *testing.T, d *readmeDesk) {
	d.write(t, "users.conf", `
ADMIN = { publish = ">", subscribe = ">" }
REQUESTOR = { publish = ["req.foo", "req.bar"], subscribe = "_INBOX.*" }
authorization {
  PASS: abcdefghijklmnopqrstuvwxwz0123456789
  users = [
    {user: alice, password: foo, permissions: $ADMIN}
    {user: bob,   password: bar, permissions: $REQUESTOR}
    {user: joe,   password: $PASS}
  ]
}`)
	p := d.shell(t, "gnatsd -c users.conf")
	p.await(t, `Server is ready$`)
	wantConnect(t, "nats://alice:foo@localhost:4222", true)
	wantConnect(t, "nats://bob:bar@localhost:4222", true)
	wantConnect(t, "nats://joe:abcdefghijklmnopqrstuvwxwz0123456789@localhost:4222", true)
	wantConnect(t, "nats://alice:bar@localhost:4222", false)
	p.stops(t)
}

func readmePermissions(t *testing.T, d *readmeDesk) {
	d.write(t, "permissions.conf", `
authorization {
  ADMIN = {
    publish = ">"
    subscribe = ">"
  }
  REQUESTOR = {
    publish = ["req.foo", "req.bar"]
    subscribe = "_INBOX.*"
  }
  DEFAULT_PERMISSIONS = {
    publish = "SANDBOX.*"
    subscribe = ["PUBLIC.>", "_INBOX.>"]
  }

  PASS: abcdefghijklmnopqrstuvwxwz0123456789
  users = [
    {user: alice, password: foo, permissions: $ADMIN}
    {user: bob,   password: bar, permissions: $REQUESTOR}
    {user: joe,   password: $PASS}
  ]
}`)
	p := d.shell(t, "gnatsd -c permissions.conf")
	p.await(t, `Server is ready$`)
	for _, tc := range []struct{ user, pass, say, want, logged string }{
		{"alice", "foo", "PUB any.thing 0", "", ""},
		{"alice", "foo", "SUB > 1", "", ""},
		{"bob", "bar", "PUB req.foo 0", "", ""},
		{"bob", "bar", "PUB req.bar 0", "", ""},
		{"bob", "bar", "SUB _INBOX.x 1", "", ""},
		{"bob", "bar", "PUB req.x 0", `-ERR 'Permissions Violation for Publish to "req.x"'`, `Publish Violation - User "bob", Subject "req\.x"`},
		{"bob", "bar", "SUB req.foo 1", `-ERR 'Permissions Violation for Subscription to "req.foo"'`, `Subscription Violation - User "bob", Subject "req\.foo", SID 1`},
		{"joe", "abcdefghijklmnopqrstuvwxwz0123456789", "PUB SANDBOX.x 0", "", ""},
		{"joe", "abcdefghijklmnopqrstuvwxwz0123456789", "SUB PUBLIC.x.y 1", "", ""},
		{"joe", "abcdefghijklmnopqrstuvwxwz0123456789", "PUB PUBLIC.x 0", `-ERR 'Permissions Violation for Publish to "PUBLIC.x"'`, `Publish Violation - User "joe", Subject "PUBLIC\.x"`},
	} {
		c := wire.Dial(t, "127.0.0.1:4222")
		c.Say(fmt.Sprintf(`CONNECT {"verbose":false,"user":%q,"pass":%q}`, tc.user, tc.pass), tc.say)
		if strings.HasPrefix(tc.say, "PUB") {
			c.Say("")
		}
		c.Say("PING")
		if tc.want != "" {
			c.Want(tc.want)
			p.await(t, `\[ERR\] .*`+tc.logged)
		}
		c.Want("PONG")
	}
	p.stops(t)
}

func readmeTLS(t *testing.T, d *readmeDesk) {
	const user = `
authorization {
  user:     derek
  password: $2a$11$W2zko751KUvVy59mUTWmpOdWjpEm5qhcCZRd05GjI/sSOT.xtiHyG
  timeout:  1
}`
	d.write(t, "tls.conf", `
# Simple TLS config file

listen: 127.0.0.1:4443

tls {
  cert_file:  "./configs/certs/server-cert.pem"
  key_file:   "./configs/certs/server-key.pem"
  timeout:    2
}
`+user)
	d.write(t, "verify.conf", `
listen: 127.0.0.1:4443

tls {
  cert_file: "./configs/certs/server-cert.pem"
  key_file:  "./configs/certs/server-key.pem"
  ca_file:   "./configs/certs/ca.pem"
  verify:    true
}
`+user)
	flags := " --tlscert=./test/configs/certs/server-cert.pem --tlskey=./test/configs/certs/server-key.pem"
	for _, tc := range []struct {
		line, port, certs string
		verify            bool
	}{
		{"gnatsd -c tls.conf", "4443", "configs/certs", false},
		{"gnatsd -c verify.conf", "4443", "configs/certs", true},
		{"gnatsd --tls" + flags, "4222", "test/configs/certs", false},
		{"gnatsd --tlsverify" + flags + " --tlscacert=./test/configs/certs/ca.pem", "4222", "test/configs/certs", true},
	} {
		p := d.shell(t, tc.line+" -D")
		p.await(t, `\[INF\] Listening for client connections on \S+:`+tc.port+`$`)
		p.await(t, `\[INF\] TLS required for client connections$`)
		p.await(t, `\[INF\] Server is ready$`)
		dir := filepath.Join(d.dir, tc.certs)
		login := nats.UserInfo("derek", "T0pS3cr3t")
		for name, admitted := range map[string]bool{"client": true, "": !tc.verify} {
			nc, err := goClient("tls://localhost:"+tc.port, nats.Secure(clientTLS(t, dir, name)), login)
			if (err == nil) != admitted {
				t.Errorf("%s: certificate %q: got %v, want admission %v", tc.line, name, err, admitted)
			}
			if err == nil {
				nc.Close()
			}
		}
		p.awaitAll(t, `\[DBG\] \S+ - cid:\d+ - Client connection created$`, `\[DBG\] \S+ - cid:\d+ - Starting TLS client connection handshake$`,
			`\[DBG\] \S+ - cid:\d+ - TLS handshake complete$`, `\[DBG\] \S+ - cid:\d+ - TLS version 1\.3, cipher suite TLS_\w+$`)
		p.stops(t)
	}
}

func readmeRouteTLS(t *testing.T, d *readmeDesk) {
	block := `
cluster {
  listen: 127.0.0.1:%d

  tls {
    # Route cert
    cert_file: "./configs/certs/srv%[2]s-cert.pem"
    # Private key
    key_file:  "./configs/certs/srv%[2]s-key.pem"
    # Optional certificate authority verifying connected routes
    # Required when we have self-signed CA, etc.
    ca_file:   "./configs/certs/ca.pem"
  }
  # Routes are actively solicited and connected to from this server.
  # Other servers can connect to us if they supply the correct credentials
  # in their routes definitions from above.
  routes = [
    nats-route://127.0.0.1:%d
  ]
}
`
	d.write(t, "a.conf", fmt.Sprintf(block, 4244, "a", 4246))
	d.write(t, "b.conf", fmt.Sprintf(block, 4246, "b", 4244))
	a, b := d.shell(t, "gnatsd -c a.conf -D"), d.shell(t, "gnatsd -p 5222 -c b.conf -D")
	a.await(t, `Registering remote route "\w+"$`)
	b.await(t, `Registering remote route "\w+"$`)
	a.stops(t)
	b.stops(t)
}

// readmeBcrypt makes a password as "Bcrypt" says, and logs in with it.
func readmeBcrypt(t *testing.T, d *readmeDesk) {
	d.do(t, "go build -o util/bin/ ./util/mkpasswd")
	for i, tc := range []struct{ line, typed string }{
		{"go run util/mkpasswd.go", ""},
		{"util/bin/mkpasswd", ""},
		{"go run util/mkpasswd.go -p", "T0pS3cr3t\nT0pS3cr3t\n"},
		{"util/bin/mkpasswd -p T0pS3cr3t", "T0pS3cr3t\n"},
	} {
		cmd := d.line(tc.line)
		cmd.Stdin = strings.NewReader(tc.typed)
		out, err := cmd.Output()
		must(t, err)
		made := regexp.MustCompile(`^(?:pass: (\S{22})|Enter Password: \nReenter Password: )\nbcrypt hash: (\$2a\$11\$\S{53})\n$`).FindStringSubmatch(string(out))
		if made == nil {
			t.Fatalf("%s: got %q", tc.line, out)
		}
		password, _, _ := strings.Cut(cmp.Or(tc.typed, made[1]), "\n")
		key, login := "user: derek, password", nats.UserInfo("derek", password)
		if i%2 == 0 {
			key, login = "token", nats.Token(password)
		}
		d.write(t, "made.conf", "authorization {\n  "+key+": "+made[2]+"\n}")
		p := d.shell(t, "gnatsd -c made.conf")
		p.await(t, `Server is ready$`)
		nc, err := goClient("nats://localhost:4222", login)
		must(t, err)
		nc.Close()
		p.stops(t)
	}
}
