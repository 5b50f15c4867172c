//go:build unix

package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
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

// TestNoSecretIsShown gives a broker secrets in all places, has everybody make mistakes, and looks for them in all it shows.
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

// exchange says a line and returns all that is answered until the broker hangs up, or has answered a PING.
func exchange(t *testing.T, addr, line string) string {
	t.Helper()
	nc := dialConn(t, addr)
	defer nc.Close()
	io.WriteString(nc, line+"\r\nPING\r\n")
	must(t, nc.(*net.TCPConn).CloseWrite())
	all, _ := io.ReadAll(nc)
	return string(all)
}
