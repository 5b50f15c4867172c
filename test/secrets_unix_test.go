//go:build unix

package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// canary begins every secret of the test below.
const canary = "CANARY"

// badLines are what clients say with a secret in it, right or wrong, and in every spelling.
var badLines = []string{
	`CONNECT {"user":"me","pass":"CANARY1","verbose":false}`,
	`CONNECT {"user":"me","PASS":"CANARY2"}`,
	`connect {"auth_token":"CANARY3","password":"CANARY3"}`,
	`CONNECT {"p\u0061ss":"CANARY4","x":{"token":"CANARY4","nested":{"pwd":["CANARY4"]}}}`,
	`CONNECT {"pass":"CANARY5"`,
	`CONNECT "CANARY6"`,
	`CONNECT{"pass":"CANARY7"}`,
	`CONNEC {"pass":"CANARY8"}`,
	`CONNEC "pass":"CANARY9"`,
	`{"pass":"CANARY10"}`,
	`CONNECT {"jwt":"CANARY11","sig":"CANARY11","seed":"CANARY11"}`,
}

// TestNoSecretIsShown gives a broker secrets in all places, makes every mistake in using them, and
// looks for them in all it shows.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	gone := freePort(t)
	file := writeConfig(t, fmt.Sprintf(`
http: "127.0.0.1:-1"
prof_port: -1
http_user: me
http_password: CANARY_HTTP
authorization { users: [ { user: me, password: CANARY1 }, { user: you, password: CANARY_YOU } ] }
cluster {
  listen: "127.0.0.1:-1"
  authorization { user: them, password: CANARY_ROUTE }
  routes: [ "nats://them:CANARY_URL@127.0.0.1:%d", "nats://CANARY_TOKEN@127.0.0.1:%[1]d" ]
}`, gone))
	p := spawn(t, "-DV", "-c", file, "--pass", "CANARY_FLAG", "--auth", "CANARY_FLAG")
	monitor := p.await(t, `Starting http monitor on (\S+)$`)[1]
	profiler := p.await(t, `profiling port: (\d+)$`)[1]
	addr := p.addr(t)
	routes := p.await(t, `Listening for route connections on (\S+)$`)[1]
	shown := map[string]string{}
	for _, line := range badLines {
		shown["the answer to "+strings.ReplaceAll(line, canary, "...")] = exchange(t, addr, line) + exchange(t, routes, line)
	}
	for _, path := range []string{"/varz", "/connz?auth=1&subs=1&state=all", "/routez", "/subsz?subs=1", "/healthz", "/metrics", "/stacksz"} {
		for _, password := range []string{"CANARY_HTTP", "CANARY_WRONG"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+monitor+path, nil)
			must(t, err)
			r.SetBasicAuth("me", password)
			_, shown[path+" with "+strings.TrimPrefix(password, canary)] = fetch(t, http.DefaultClient, r)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline"} {
		_, shown["profiler "+path] = get(t, "http://127.0.0.1:"+profiler+path)
	}
	p.await(t, `Error trying to connect to route`)
	p.signal(t, syscall.SIGHUP)
	p.await(t, `Trapped "hangup" signal`)
	_, rest := p.stop(t, syscall.SIGTERM)
	shown["the log"] = strings.Join(append(p.seen, rest...), "\n")
	shown["--print-config"] = printedConfig(t, "-c", file, "--auth", "CANARY_FLAG")
	for name, args := range map[string][]string{
		"a file that is wrong":   {"-t", "-c", writeConfig(t, "authorization { user: me, password: CANARY1 \"CANARY2\", token: 7CANARY }\ncluster { routes: [ \"nats://a:CANARY@h:x\", nats://CANARY@h ] }\nhttp_password: [CANARY]")},
		"routes that are wrong":  {"--cluster", "nats://a:CANARY@h:1", "--routes", "nats://b:CANARY@h:y,nats://CANARY@h"},
		"a cluster that is none": {"--cluster", "nats://a:CANARY@h:y"},
		"a syslog that is none":  {"-r", "udp://a:CANARY@[::1"},
	} {
		stdout, stderr, code := run(t, args...)
		shown[name] = stdout + stderr
		if code != 1 {
			t.Errorf("%s: got exit %d", name, code)
		}
	}
	for where, text := range shown {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s shows a secret: ...%s", where, text[max(0, at-100):min(len(text), at+20)])
		}
	}
}

// exchange says a line and returns all that is answered until the broker hangs up, or has answered
// a PING.
func exchange(t *testing.T, addr, line string) string {
	t.Helper()
	c := wire.Open(t, addr)
	c.Say(line, "PING")
	must(t, c.Conn.Conn.(*net.TCPConn).CloseWrite())
	all, _ := c.Rest()
	return all
}

// TestNoHashAndNoKeyIsShown does the same with what is no password: hashes, the key of a
// certificate, the seed of an nkey.
func TestNoHashAndNoKeyIsShown(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	pem, err := os.ReadFile(filepath.Join(dir, "server-key.pem"))
	must(t, err)
	key := strings.Split(string(pem), "\n")[2] // of its base64
	const hash = "$2a$04$CANARYabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
	const seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
	file := writeConfig(t, fmt.Sprintf(`
http: "127.0.0.1:-1"
prof_port: -1
tls { cert_file: "%s/server-cert.pem", key_file: "%[1]s/server-key.pem", ca_file: "%[1]s/ca.pem" }
authorization { users: [ { user: me, password: "%s" }, { user: you, password: "%[2]s", permissions: { publish: "a" } } ] }
cluster { listen: "127.0.0.1:-1", authorization { user: them, password: "%[2]s" }
  tls { cert_file: "%[1]s/server-cert.pem", key_file: "%[1]s/server-key.pem", ca_file: "%[1]s/ca.pem" } }`, dir, hash))
	p := spawn(t, "-DV", "-c", file)
	monitor := p.await(t, `Starting http monitor on (\S+)$`)[1]
	profiler := p.await(t, `profiling port: (\d+)$`)[1]
	addr := p.addr(t)
	routes := p.await(t, `Listening for route connections on (\S+)$`)[1]
	shown := map[string]string{}
	for _, line := range []string{"CONNECT {}", `CONNECT {"user":"me","pass":"` + hash + `"}`} {
		shown["clear "+line[:8]] = exchange(t, addr, line) + exchange(t, routes, line)
		nc, err := tls.Dial("tcp", routes, clientTLS(t, dir, "srva"))
		must(t, err)
		c := wire.Of(t, nc)
		c.Say(line)
		shown["inside TLS "+line[:8]], _ = c.Rest() // the broker closes
	}
	for _, path := range []string{"/", "/varz", "/connz?auth=1&subs=1&state=all", "/connz?state=closed&callback=f", "/routez?subs=1", "/subsz?subs=1", "/subscriptionsz", "/healthz", "/metrics", "/stacksz", "/none"} {
		_, shown[path] = get(t, "http://"+monitor+path)
	}
	for _, path := range []string{"", "cmdline", "goroutine?debug=2", "heap?debug=1", "symbol", "allocs?debug=1"} {
		_, shown["profiler "+path] = get(t, "http://127.0.0.1:"+profiler+"/debug/pprof/"+path)
	}
	_, rest := p.stop(t, syscall.SIGTERM)
	shown["the log"] = strings.Join(append(p.seen, rest...), "\n")
	for name, args := range map[string][]string{
		"-t":              {"-t", "-c", file},
		"--print-config":  {"--print-config", "-c", file},
		"--explain":       {"-c", file, "--explain", "user=you", "pub=b"},
		"an unknown user": {"-c", file, "--explain", "user=nobody", "pub=b"},
		"a seed":          {"-t", "-c", writeConfig(t, "authorization { users: [ { nkey: "+seed+" } ] }")},
		"a key as cert":   {"-t", "-c", writeConfig(t, fmt.Sprintf(`tls { cert_file: "%s/server-key.pem", key_file: "%[1]s/server-key.pem" }`, dir))},
	} {
		stdout, stderr, _ := run(t, args...)
		shown[name] = stdout + stderr
	}
	for where, text := range shown {
		for _, secret := range []string{canary, key, seed} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %.10s...", where, secret)
			}
		}
	}
}
