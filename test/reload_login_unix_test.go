//go:build unix

package test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// This file shows what reloads of the settings of logins and of TLS for clients do.

// as is a client that has logged in.
func as(t *testing.T, addr, fields string) *wire.Client {
	t.Helper()
	c := wire.Dial(t, addr)
	c.Say(`CONNECT {"verbose":false`+fields+`}`, "PING")
	c.Want("PONG")
	return c
}

const (
	anna = `,"user":"anna","pass":"a"`
	bert = `,"user":"bert","pass":"b"`
)

var reloadedLogins = map[string]func(*testing.T){
	"authorization.user": func(t *testing.T) {
		r := spawnReloadable(t, "authorization { user: anna, password: a }")
		c := as(t, r.addr, anna)
		r.reload(t, "authorization { user: bert, password: b }", "Reloaded: authorization username", "Reloaded: authorization password")
		c.End("-ERR 'Authorization Violation'")
		r.logged(t, `\[ERR\] \S+ - cid:1 - authorization error$`)
		wantLogins(t, r.addr, []string{bert}, []string{"", anna})
		c = as(t, r.addr, bert)
		r.reload(t, "", "Reloaded: authorization username")
		c.Sync()
		as(t, r.addr, "").Sync()
	},
	"authorization.password": func(t *testing.T) {
		r := spawnReloadable(t, "authorization { user: anna, password: a }")
		c, d := as(t, r.addr, anna), as(t, r.addr, anna)
		r.reload(t, "authorization { user: anna, password: x }", "Reloaded: authorization password")
		c.End("-ERR 'Authorization Violation'")
		d.End("-ERR 'Authorization Violation'")
		wantLogins(t, r.addr, []string{`,"user":"anna","pass":"x"`}, []string{anna})
		c = as(t, r.addr, `,"user":"anna","pass":"x"`)
		r.reload(t, "authorization { user: anna, password: "+hashOfSecret+" }", "Reloaded: authorization password")
		c.End("-ERR 'Authorization Violation'")
		c = as(t, r.addr, `,"user":"anna","pass":"secret"`)
		r.reload(t, "authorization { user: anna, password: secret }", "Reloaded: authorization password")
		c.Sync() // the same password, written otherwise
	},
	"authorization.token": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c, d := as(t, r.addr, ""), as(t, r.addr, `,"auth_token":"t"`)
		r.reload(t, "authorization { token: t }", "Reloaded: authorization token")
		c.End("-ERR 'Authorization Violation'")
		d.Sync()
		if !greeting(t, r.addr).AuthRequired {
			t.Error("INFO does not ask for credentials")
		}
		wantLogins(t, r.addr, []string{`,"auth_token":"t"`}, []string{"", `,"auth_token":"x"`})
	},
	"authorization.timeout": func(t *testing.T) {
		r := spawnReloadable(t, "authorization { token: t, timeout: 600 }")
		r.reload(t, "authorization { token: t, timeout: 0.05 }", "Reloaded: authorization timeout = 0.05")
		wire.Dial(t, r.addr).End("-ERR 'authorization timeout'")
	},
	"authorization.default_permissions": func(t *testing.T) {
		const users = "users: [ {user: anna, password: a}, {user: bert, password: b, permissions: {subscribe: \">\"}} ]"
		r := spawnReloadable(t, "authorization {\n"+users+"\n}")
		a, b := as(t, r.addr, anna), as(t, r.addr, bert)
		for _, c := range []*wire.Client{a, b} {
			c.Say("SUB open 1", "SUB shut 2", "PING")
			c.Want("PONG")
		}
		r.reload(t, "authorization {\n"+users+"\ndefault_permissions: { subscribe: open }\n}",
			"Reloaded: authorization users", a.LocalAddr().String()+` - cid:1 - Removed sub "shut" for user "anna" - not authorized`)
		a.Want(`-ERR 'Permissions Violation for Subscription to "shut" (sid 2)'`)
		b.Say("PUB shut 0", "", "PUB open 0", "", "PING")
		a.Want("MSG open 1 0", "")
		b.Want("MSG shut 2 0", "", "MSG open 1 0", "", "PONG")
		a.Sync()
	},
	"authorization.default_limits": func(t *testing.T) {
		const users = "users: [ {user: anna, password: a}, {user: bert, password: b, limits: {max_connections: -1}} ]"
		r := spawnReloadable(t, "authorization {\n"+users+"\n}")
		first, second := as(t, r.addr, anna), as(t, r.addr, anna)
		as(t, r.addr, bert)
		third := as(t, r.addr, bert)
		r.reload(t, "authorization {\n"+users+"\ndefault_limits: { max_connections: 1 }\n}",
			"Reloaded: authorization users", `Closed 1 connections of user "anna" to fall within its max_connections`)
		second.End("-ERR 'maximum connections exceeded'")
		first.Sync()
		third.Sync()
	},
	"authorization.users": func(t *testing.T) {
		r := spawnReloadable(t, `authorization { users: [ {user: anna, password: a}, {user: bert, password: b} ] }`)
		a, b := as(t, r.addr, anna), as(t, r.addr, bert)
		a.Say("SUB x.* 1", "SUB y 2", "PING")
		a.Want("PONG")
		r.reload(t, `authorization { users: [ {user: anna, password: a, permissions: {publish: "p", subscribe: {deny: ["x.1", "y"]}}} ] }`, "Reloaded: authorization users")
		b.End("-ERR 'Authorization Violation'")
		r.logged(t, `\[ERR\] \S+ - cid:2 - authorization error - User "bert"$`)
		a.Want(`-ERR 'Permissions Violation for Subscription to "y" (sid 2)'`)
		a.Say("PUB z 0", "", "PUB p 0", "", "SUB y 3", "PING")
		a.Want(`-ERR 'Permissions Violation for Publish to "z"'`, `-ERR 'Permissions Violation for Subscription to "y"'`, "PONG")
		r.reload(t, `authorization { users: [ {user: anna, password: a, permissions: {subscribe: {deny: ["x.1", "y"]}}}, {user: bert, password: b} ] }`, "Reloaded: authorization users")
		b = as(t, r.addr, bert)
		b.Say("PUB x.1 0", "", "PUB x.2 0", "", "PING")
		b.Want("PONG")
		a.Want("MSG x.2 1 0", "")
		// From a list to a single user, and to a token: the list must be forgotten.
		r.reload(t, `authorization { user: bert, password: b }`, "Reloaded: authorization users", "Reloaded: authorization username")
		a.End("-ERR 'Authorization Violation'")
		b.Sync()
		wantLogins(t, r.addr, []string{bert}, []string{anna})
		r.reload(t, `authorization { users: [ {user: anna, password: a} ] }`, "Reloaded: authorization users")
		b.End("-ERR 'Authorization Violation'")
		r.reload(t, `authorization { token: t }`, "Reloaded: authorization users", "Reloaded: authorization token")
		wantLogins(t, r.addr, []string{`,"auth_token":"t"`}, []string{anna, bert})
	},
	"accounts": func(t *testing.T) {
		file := func(user, password string) string {
			return fmt.Sprintf("accounts { $SYS { users: [ {user: sys, password: s} ] }, A { users: [ {user: %s, password: %s} ] } }", user, password)
		}
		r := spawnReloadable(t, file("anna", "a"))
		a, sys := as(t, r.addr, anna), as(t, r.addr, `,"user":"sys","pass":"s"`)
		r.reload(t, file("bert", "b"), "Reloaded: accounts")
		a.End("-ERR 'Authorization Violation'")
		sys.Sync()
		wantLogins(t, r.addr, []string{bert}, []string{anna})
	},
	"system_account": func(t *testing.T) {
		const accounts = "accounts { A { users: [ {user: anna, password: a} ] }, B { users: [ {user: bert, password: b} ] } }"
		r := spawnReloadable(t, "system_account: A\n"+accounts)
		a, b := as(t, r.addr, anna), as(t, r.addr, bert)
		r.reload(t, "system_account: B\n"+accounts, "Reloaded: system_account = B")
		a.End("-ERR 'Authorization Violation'") // it is in the other account now
		b.End("-ERR 'Authorization Violation'")
		b = as(t, r.addr, bert)
		b.Say("SUB $SYS.> 1", "PING")
		b.Want("PONG")
		r.logsWhyNot(t, "system_account: C\n"+accounts, `FILE:1:1: system_account: there is no account "C" in accounts`)
	},
	"no_auth_user": func(t *testing.T) {
		const users = "authorization { users: [ {user: anna, password: a}, {user: guest, password: v, permissions: {publish: open}} ] }"
		r := spawnReloadable(t, users)
		wantLogins(t, r.addr, nil, []string{""})
		r.reload(t, "no_auth_user: guest\n"+users, "Reloaded: no_auth_user = guest")
		c := as(t, r.addr, "")
		c.Say("PUB shut 0", "")
		c.Want(`-ERR 'Permissions Violation for Publish to "shut"'`)
		r.logsWhyNot(t, "no_auth_user: nobody\n"+users, `FILE:1:1: no_auth_user: user "nobody" is not in the list of users`)
		r.reload(t, users, "Reloaded: no_auth_user = ")
		c.End("-ERR 'Authorization Violation'")
	},
}

// spawnSecured starts the binary with TLS, and returns how its file looks with other settings in
// the block.
func spawnSecured(t *testing.T, more string) (r *reloadable, file func(name, more string) string, dir string) {
	t.Helper()
	dir = certFiles(t)
	file = func(name, more string) string { return tlsBlock(dir, name, more) }
	return spawnReloadable(t, file("server", more)), file, dir
}

var reloadedTLS = map[string]func(*testing.T){
	"tls.cert_file": reloadedCertificate,
	"tls.key_file":  reloadedCertificate,
	"tls.ca_file":   reloadedVerify,
	"tls.verify":    reloadedVerify,
	"tls.timeout": func(t *testing.T) {
		dir := certFiles(t)
		block := func(timeout string) string {
			return fmt.Sprintf("tls { cert_file: %q, key_file: %q, timeout: %s }", dir+"/server-cert.pem", dir+"/server-key.pem", timeout)
		}
		r := spawnReloadable(t, block("600"))
		r.reload(t, block("0.01"), "Reloaded: tls timeout = 0.01")
		wire.Open(t, r.addr)
		r.await(t, `\[ERR\] .* TLS handshake timeout$`)
	},
	"tls.cipher_suites": func(t *testing.T) {
		r, file, dir := spawnSecured(t, "")
		r.reload(t, file("server", `cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`), "Reloaded: tls = enabled")
		c := clientTLS(t, dir, "")
		c.MaxVersion = tls.VersionTLS12
		state, err := upgrade(r.addr, c)
		if got := tls.CipherSuiteName(state.CipherSuite); err != nil || got != "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" {
			t.Errorf("got %s, %v", got, err)
		}
	},
	"tls.curve_preferences": func(t *testing.T) {
		r, file, dir := spawnSecured(t, "")
		r.reload(t, file("server", "curve_preferences: [CurveP384]"), "Reloaded: tls = enabled")
		if state, err := upgrade(r.addr, clientTLS(t, dir, "")); err != nil || state.CurveID != tls.CurveP384 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
	},
	"tls.min_version": func(t *testing.T) {
		r, file, dir := spawnSecured(t, "")
		r.reload(t, file("server", `min_version: "1.3"`), "Reloaded: tls = enabled")
		c := clientTLS(t, dir, "")
		c.MaxVersion = tls.VersionTLS12
		if _, err := upgrade(r.addr, c); err == nil {
			t.Error("TLS 1.2 was spoken")
		}
	},
	"tls.verify_and_map": func(t *testing.T) {
		const users = "authorization { users: [ { user: client@example.com, password: x } ] }"
		r, file, dir := spawnSecured(t, "")
		r.reload(t, file("server", fmt.Sprintf("verify_and_map: true, ca_file: %q", dir+"/ca.pem"))+users, "Reloaded: tls = enabled")
		if _, err := upgrade(r.addr, clientTLS(t, dir, "client")); err != nil {
			t.Error(err)
		}
		if _, err := upgrade(r.addr, clientTLS(t, dir, "srva")); err == nil {
			t.Error("a certificate of no user was admitted")
		}
	},
	"allow_non_tls": func(t *testing.T) {
		r, file, dir := spawnSecured(t, "")
		r.reload(t, "allow_non_tls: true\n"+file("server", ""), "Reloaded: allow_non_tls = true")
		quiet(t, r.addr).Sync()
		if _, err := upgrade(r.addr, clientTLS(t, dir, "")); err != nil {
			t.Error(err)
		}
	},
	"tls.handshake_first": func(t *testing.T) {
		r, file, dir := spawnSecured(t, "")
		r.reload(t, file("server", "handshake_first: true"), "Reloaded: tls = enabled")
		if _, err := handshake(r.addr, clientTLS(t, dir, "")); err != nil {
			t.Error(err)
		}
	},
}

// reloadedCertificate turns TLS on, changes the certificate and turns TLS off, while a client
// without it stays.
func reloadedCertificate(t *testing.T) {
	dir := certFiles(t)
	r := spawnReloadable(t, "")
	plain := quiet(t, r.addr)
	for _, name := range []string{"server", "srva"} {
		r.reload(t, tlsBlock(dir, name, ""), "Reloaded: tls = enabled")
		state, err := upgrade(r.addr, clientTLS(t, dir, ""))
		must(t, err)
		if got := state.PeerCertificates[0].Subject.CommonName; got != name {
			t.Errorf("got the certificate of %s, want %s", got, name)
		}
	}
	if !greeting(t, r.addr).TLSRequired {
		t.Error("INFO does not ask for TLS")
	}
	r.logsWhyNot(t, fmt.Sprintf("tls { cert_file: %q\nkey_file: %q }", dir+"/server-cert.pem", dir+"/srva-key.pem"), "FILE:2:1: tls.key_file: error parsing X509 certificate/key pair: ")
	if _, err := upgrade(r.addr, clientTLS(t, dir, "")); err != nil {
		t.Error(err)
	}
	// The same names with other content count as a change, too.
	for _, kind := range []string{"-cert.pem", "-key.pem"} {
		text, err := os.ReadFile(filepath.Join(dir, "server"+kind))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "srva"+kind), text, 0o600))
	}
	r.reload(t, tlsBlock(dir, "srva", ""), "Reloaded: tls = enabled")
	state, err := upgrade(r.addr, clientTLS(t, dir, ""))
	if err != nil || state.PeerCertificates[0].Subject.CommonName != "server" {
		t.Errorf("got %v, %v", state.PeerCertificates, err)
	}
	r.reload(t, "", "Reloaded: tls = disabled")
	quiet(t, r.addr).Sync()
	plain.Sync()
}

// reloadedVerify demands certificates from one moment to the next, and then those of another
// authority.
func reloadedVerify(t *testing.T) {
	r, file, dir := spawnSecured(t, "")
	r.reload(t, file("server", fmt.Sprintf("verify: true, ca_file: %q", dir+"/ca.pem")), "Reloaded: tls = enabled")
	if _, err := upgrade(r.addr, clientTLS(t, dir, "client")); err != nil {
		t.Error(err)
	}
	if _, err := upgrade(r.addr, clientTLS(t, dir, "")); err == nil {
		t.Error("a client without a certificate was let in")
	}
	r.reload(t, file("server", fmt.Sprintf("verify: true, ca_file: %q", certFiles(t)+"/ca.pem")), "Reloaded: tls = enabled")
	if _, err := upgrade(r.addr, clientTLS(t, dir, "client")); err == nil {
		t.Error("the certificate of another authority was taken")
	}
}

// TestCertificateFilesAreWatched replaces files without a word to the broker, for clients, routes
// and monitoring at once.
func TestCertificateFilesAreWatched(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	block := tlsBlock(dir, "server", fmt.Sprintf("ca_file: %q", dir+"/ca.pem"))
	r := &reloadable{file: writeConfig(t, "https: \"127.0.0.1:-1\"\n"+block+"cluster { listen: \"127.0.0.1:-1\"\n"+block+"}")}
	r.process = spawn(t, "-c", r.file)
	r.addr = r.process.addr(t)
	web := r.logged(t, `Starting https monitor on (\S+)$`)[1]
	routes := r.await(t, `Listening for route connections on (\S+)$`)[1]
	mv := func(from, to string) {
		for _, kind := range []string{"-cert.pem", "-key.pem"} {
			text, err := os.ReadFile(filepath.Join(dir, from+kind))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "new"), text, 0o600))
			must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, to+kind)))
		}
	}
	presents := func(name string) {
		t.Helper()
		for what, dial := range map[string]func() (tls.ConnectionState, error){
			"clients": func() (tls.ConnectionState, error) { return upgrade(r.addr, clientTLS(t, dir, "")) },
			"routes":  func() (tls.ConnectionState, error) { return handshake(routes, clientTLS(t, dir, "srvb")) },
			"monitoring": func() (tls.ConnectionState, error) {
				nc, err := tls.Dial("tcp", web, clientTLS(t, dir, ""))
				if err != nil {
					return tls.ConnectionState{}, err
				}
				defer nc.Close()
				return nc.ConnectionState(), nil
			},
		} {
			if state, err := dial(); err != nil || state.PeerCertificates[0].Subject.CommonName != name {
				t.Errorf("%s: got %v, want the certificate of %s", what, err, name)
			}
		}
	}
	presents("server")
	begin := time.Now()
	mv("srva", "server")
	for range 2 {
		r.await(t, `\[INF\] Reloaded TLS certificate \S+/server-cert.pem, valid until `)
	}
	presents("srva")
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %v, want a minute at most", took)
	}
}
