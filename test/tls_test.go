package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
	"gnatsd/test/wire"
)

func TestGoClientLogsIn(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	secure := func(change func(o *server.Options)) *server.Options {
		o := tlsOptions(dir)
		change(o)
		return o
	}
	mapped := []*server.User{{Username: "client@example.com", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"mine"}}}}}
	for _, tc := range []struct {
		name    string
		broker  *server.Options
		client  []nats.Option
		refused bool
	}{
		{"user", &server.Options{Username: "u", Password: "p"}, []nats.Option{nats.UserInfo("u", "p")}, false},
		{"wrong password", &server.Options{Username: "u", Password: "p"}, []nats.Option{nats.UserInfo("u", "q")}, true},
		{"no credentials", &server.Options{Username: "u", Password: "p"}, nil, true},
		{"token", &server.Options{Authorization: "t"}, []nats.Option{nats.Token("t")}, false},
		{"wrong token", &server.Options{Authorization: "t"}, []nats.Option{nats.Token("x")}, true},
		{"one of the users", &server.Options{Users: []*server.User{{Username: "a", Password: "1"}, {Username: "b", Password: "2"}}},
			[]nats.Option{nats.UserInfo("b", "2")}, false},
		{"an empty list of users", &server.Options{Users: []*server.User{}}, nil, true},
		{"TLS", tlsOptions(dir), []nats.Option{nats.Secure(clientTLS(t, dir, ""))}, false},
		{"TLS that INFO asks for", tlsOptions(dir), []nats.Option{nats.RootCAs(filepath.Join(dir, "ca.pem"))}, false},
		{"TLS of an unknown authority", tlsOptions(dir), []nats.Option{nats.Secure(&tls.Config{ServerName: "localhost"})}, true},
		{"TLS and user", secure(func(o *server.Options) { o.Username, o.Password = "u", "p" }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, "")), nats.UserInfo("u", "p")}, false},
		{"mutual TLS", secure(func(o *server.Options) { o.TLSVerify = true }), []nats.Option{nats.Secure(clientTLS(t, dir, "client"))}, false},
		{"mutual TLS without a certificate", secure(func(o *server.Options) { o.TLSVerify = true }), []nats.Option{nats.Secure(clientTLS(t, dir, ""))}, true},
		{"mutual TLS with the certificate of an unknown authority", secure(func(o *server.Options) { o.TLSVerify = true }),
			[]nats.Option{nats.Secure(unknownAuthority(t, clientTLS(t, dir, "")))}, true},
		{"TLS first", secure(func(o *server.Options) { o.TLSHandshakeFirst = true }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, "")), nats.TLSHandshakeFirst()}, false},
		{"TLS first where INFO may come first", secure(func(o *server.Options) { o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, patience }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, "")), nats.TLSHandshakeFirst()}, false},
		{"INFO first where TLS may come first", secure(func(o *server.Options) { o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, time.Millisecond }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, ""))}, false},
		{"TLS where it is optional", secure(func(o *server.Options) { o.AllowNonTLS = true }), []nats.Option{nats.Secure(clientTLS(t, dir, ""))}, false},
		{"no TLS where it is optional", secure(func(o *server.Options) { o.AllowNonTLS, o.Username = true, "u" }), []nats.Option{nats.UserInfo("u", "")}, false},
		{"TLS first where it is optional", secure(func(o *server.Options) {
			o.AllowNonTLS, o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, true, patience
		}), []nats.Option{nats.Secure(clientTLS(t, dir, "")), nats.TLSHandshakeFirst()}, false},
		{"no TLS where it may come first", secure(func(o *server.Options) {
			o.AllowNonTLS, o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, true, time.Millisecond
		}), nil, false},
		{"user by certificate", secure(func(o *server.Options) { o.TLSMap, o.Users = true, mapped }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, "client"))}, false},
		{"certificate of no user", secure(func(o *server.Options) { o.TLSMap, o.Users = true, mapped }),
			[]nats.Option{nats.Secure(clientTLS(t, dir, "srva"))}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, tc.broker)
			nc, err := goClient(strings.Replace(s.ClientURL(), "127.0.0.1", "localhost", 1), append(tc.client, nats.NoReconnect())...)
			if err != nil {
				if !tc.refused {
					t.Fatal(err)
				}
				return
			}
			defer nc.Close()
			err = nc.FlushTimeout(patience)
			if tc.refused {
				if err == nil {
					t.Error("it was let in")
				}
				return
			}
			must(t, err)
			sub := subscribe(t, nc, "mine")
			must(t, nc.Publish("mine", []byte("hello")))
			if m := next(t, sub); string(m.Data) != "hello" {
				t.Errorf("got %q", m.Data)
			}
		})
	}
}

// unknownAuthority adds to c a certificate of an authority that the broker does not know.
func unknownAuthority(t *testing.T, c *tls.Config) *tls.Config {
	c.Certificates = clientTLS(t, certFiles(t), "client").Certificates
	return c
}

func TestPermissionsOfACertificate(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	o := tlsOptions(dir)
	o.TLSMap = true
	o.Users = []*server.User{{Username: "client@example.com", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"mine"}}}}}
	s := Start(t, o)
	refused := make(chan error, 1)
	nc := natsConnect(t, s, nats.Secure(clientTLS(t, dir, "client")),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	must(t, nc.Publish("other", nil))
	if err := await(t, refused, "refusal"); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v", err)
	}
}

func TestNothingInClearAfterTLSBegan(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	for _, tc := range []struct {
		name   string
		change func(o *server.Options)
		send   string
		info   bool
	}{
		{"a client that speaks in clear", nil, "CONNECT {}\r\nPING\r\n", true},
		{"a client that speaks in clear before credentials", func(o *server.Options) { o.Username = "u" }, "PING\r\n", true},
		{"junk that begins like TLS", nil, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true},
		{"junk where TLS comes first", func(o *server.Options) { o.TLSHandshakeFirst = true }, "CONNECT {}\r\n", false},
		{"silence", func(o *server.Options) { o.TLSTimeout = .05 }, "", true},
		{"silence where TLS comes first", func(o *server.Options) { o.TLSTimeout, o.TLSHandshakeFirst = .05, true }, "", false},
		{"silence where TLS may come first", func(o *server.Options) {
			o.TLSTimeout, o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = .05, true, time.Millisecond
		}, "", true},
		{"half a greeting", func(o *server.Options) { o.TLSTimeout = .05 }, "\x16\x03\x01\x02\x00\x01", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := tlsOptions(dir)
			o.TLSTimeout = 1
			if tc.change != nil {
				tc.change(o)
			}
			s := Start(t, o)
			c := wire.Open(t, s.Addr().String())
			if tc.info {
				if c.ReadInfo(); !strings.Contains(c.Info, `"tls_required":true`) {
					t.Fatalf("got %q, want TLS required", c.Info)
				}
			}
			must(t, c.Send(tc.send))
			rest, err := c.Rest()
			must(t, err)
			if len(rest) > 0 && rest[0] != 0x15 { // an alert
				t.Errorf("got %q", rest)
			}
		})
	}
}

func TestClientsThatMayDoWithoutTLS(t *testing.T) {
	t.Parallel()
	o := tlsOptions(certFiles(t))
	o.AllowNonTLS, o.TLSTimeout = true, .05
	s := Start(t, o)
	for name, send := range map[string][]string{
		"at once":            {"CONNECT {\"verbose\":false}\r\nPING\r\n"},
		"a byte at a time":   strings.Split("PING\r\n", ""),
		"one byte, and then": {"C", "ONNECT {\"verbose\":false}\r\nPING\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := wire.Dial(t, s.Addr().String())
			if !strings.Contains(c.Info, `"tls_available":true`) || strings.Contains(c.Info, "tls_required") {
				t.Fatalf("got %q, want INFO of a server with TLS for those who want it", c.Info)
			}
			for _, text := range send {
				must(t, c.Send(text))
			}
			c.Want("PONG")
		})
	}
	t.Run("who is silent speaks no TLS", func(t *testing.T) {
		quiet := *o
		quiet.Username, quiet.AuthTimeout = "u", .05
		wire.Dial(t, Start(t, &quiet).Addr().String()).End("-ERR 'authorization timeout'") // in clear
	})
}

func TestTooManyClientsGetAnErrorInClearBeforeTLS(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	o := tlsOptions(dir)
	o.MaxConn = 1
	s := Start(t, o)
	natsConnect(t, s, nats.Secure(clientTLS(t, dir, "")))
	wire.Dial(t, s.Addr().String()).End("-ERR 'maximum connections exceeded'")
}

func TestTooManyClientsGetNothingWhereTLSComesFirst(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	o := tlsOptions(dir)
	o.MaxConn, o.TLSHandshakeFirst = 1, true
	s := Start(t, o)
	natsConnect(t, s, nats.Secure(clientTLS(t, dir, "")), nats.TLSHandshakeFirst())
	must(t, wire.Open(t, s.Addr().String()).Ended())
}

// tool runs a program, or skips the test where it is not installed. The package of Debian has the
// same name.
func tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, debianPackage(name, name))
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	t.Logf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	return string(out)
}

func TestOpensslSpeaksWithTheTLSPort(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"TLS 1.3", []string{"-tls1_3"}, "Verify return code: 0 (ok)"},
		{"TLS 1.2", []string{"-tls1_2"}, "Verify return code: 0 (ok)"},
		{"TLS 1.2 with a suite of today", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"not TLS 1.1", []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, "no peer certificate available"},
		{"not CBC", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"}, "no peer certificate available"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := tlsOptions(dir)
			o.TLSHandshakeFirst = true // s_client knows no INFO
			s := Start(t, o)
			args := append([]string{"s_client", "-connect", s.Addr().String(), "-CAfile", filepath.Join(dir, "ca.pem"),
				"-verify_hostname", "localhost"}, tc.args...)
			if out := tool(t, "", "openssl", args...); !strings.Contains(out, tc.want) {
				t.Errorf("want %q", tc.want)
			}
		})
	}
}

func TestCurlReadsTheHTTPSPort(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	o := tlsOptions(dir)
	o.TLSVerify = true // of clients; the monitoring port asks for no certificate
	o.HTTPHost, o.HTTPSPort = "127.0.0.1", anyPort
	s := Start(t, o)
	url := fmt.Sprintf("https://localhost:%d/varz", s.MonitorAddr().Port)
	for _, args := range [][]string{{"--tlsv1.2", "--tls-max", "1.2"}, {"--tlsv1.3"}} {
		out := tool(t, "", "curl", append([]string{"-sS", "--cacert", filepath.Join(dir, "ca.pem"), url}, args...)...)
		if !strings.Contains(out, `"tls_required": true`) || !strings.Contains(out, `"tls_cert_not_after"`) {
			t.Error("no /varz")
		}
	}
	if out := tool(t, "", "curl", "-sS", url); !strings.Contains(out, "curl: (60)") {
		t.Error("an unknown authority was trusted")
	}
}
