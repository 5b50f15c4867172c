package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/freeport"
	"gnatsd/test/wire"
)

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-v"}, {"--version"}, {"-version"}, {"version"}, {"-h", "-v"}} {
		stdout, stderr, code := run(t, args...)
		if stdout != "nats-server version 1.6.0\n" || stderr != "" || code != 0 {
			t.Errorf("%v: got %q, %q on stderr, exit %d", args, stdout, stderr, code)
		}
	}
}

func TestHelpFlag(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}} {
		stdout, stderr, code := run(t, args...)
		if stderr != "" || code != 0 {
			t.Errorf("%v: got %q on stderr, exit %d, want none and 0", args, stderr, code)
		}
		for _, want := range []string{
			"\nUsage: gnatsd [options]\n", "\nServer Options:\n", "\nLogging Options:\n", "\nCommon Options:\n",
			"\n    -a, --addr <host>                Bind to host address (default: 0.0.0.0)\n",
			"\n    -p, --port <port>                Use port for clients (default: 4222)\n",
			"\n    -c, --config <file>              Configuration file\n",
			"\n    -l, --log <file>                 File to redirect log output\n",
			"\n    -T, --logtime                    Timestamp log entries (default: true)\n",
			"\n    -D, --debug                      Enable debugging output\n",
			"\n    -V, --trace                      Trace the raw protocol\n",
			"\n    -DV                              Debug and trace\n",
			"\n    -h, --help                       Show this message\n",
			"\n    -v, --version                    Show version\n",
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v: %q is missing in\n%s", args, want, stdout)
			}
		}
	}
}

// classicSuites and classicCurves are the names that --help_tls has always listed.
var (
	classicSuites = strings.Fields(`
		TLS_RSA_WITH_RC4_128_SHA TLS_RSA_WITH_3DES_EDE_CBC_SHA TLS_RSA_WITH_AES_128_CBC_SHA TLS_RSA_WITH_AES_128_CBC_SHA256
		TLS_RSA_WITH_AES_256_CBC_SHA TLS_RSA_WITH_AES_256_GCM_SHA384
		TLS_ECDHE_ECDSA_WITH_RC4_128_SHA TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
		TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305
		TLS_ECDHE_RSA_WITH_RC4_128_SHA TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
		TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305`)
	classicCurves = []string{"X25519", "CurveP256", "CurveP384", "CurveP521"}
)

func TestTLSHelpFlag(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-help_tls", "--help_tls"} {
		stdout, stderr, code := run(t, flag)
		if stderr != "" || code != 0 {
			t.Errorf("%s: got %q on stderr, exit %d, want none and 0", flag, stderr, code)
		}
		sample, lists, ok := strings.Cut(stdout, "\nAvailable cipher suites include:\n")
		suites, curves, ok2 := strings.Cut(lists, "\nAvailable curve preferences include:\n")
		if !ok || !ok2 || !regexp.MustCompile(`^\n[^\n]*\btls\b[^\n]*\ne\.g\.\n\n    tls \{\n`).MatchString(sample) {
			t.Fatalf("%s: got another layout:\n%s", flag, stdout)
		}
		for _, key := range []string{"cert_file", "key_file", "ca_file", "verify", "cipher_suites", "curve_preferences"} {
			if !strings.Contains(sample, "\n        "+key+":") {
				t.Errorf("%s: the example lacks %s", flag, key)
			}
		}
		for _, list := range []struct {
			text  string
			names []string
		}{{suites, classicSuites}, {curves, classicCurves}} {
			var got []string
			for line := range strings.Lines(list.text) {
				name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " (insecure: refused)")
				got = append(got, strings.TrimPrefix(name, "    "))
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(list.names))
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", flag, got, want)
			}
		}
	}
}

func TestExplainFlag(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.conf")
	text := "authorization { users: [ {user: bob, password: b, permissions: {publish: \"req.*\"}} ] }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		subject string
		want    string
		code    int
	}{
		{"req.foo", `^user "bob", publish to "req\.foo": allowed: allow "req\.\*" \(.*:1:74\)\n$`, 0},
		{"other", `^user "bob", publish to "other": refused: no allow entry covers it\n$`, 1},
		{"req..foo", `^user "bob", publish to "req\.\.foo": refused: not a valid subject to publish to\n$`, 1},
	} {
		stdout, stderr, code := run(t, "-c", file, "--explain", "user=bob", "pub="+test.subject)
		if code != test.code || stderr != "" || !regexp.MustCompile(test.want).MatchString(stdout) {
			t.Errorf("%s: got exit %d, %q, %q, want a match of %s", test.subject, code, stdout, stderr, test.want)
		}
	}
	if _, stderr, code := run(t, "-c", file, "--explain", "user=nobody", "pub=x"); code != 1 || !strings.Contains(stderr, "nobody") {
		t.Errorf("got exit %d, %q", code, stderr)
	}
}

// TestMisuse has the classic texts, but never exit 0, nor the whole usage text.
func TestMisuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "x.conf")
	if err := os.WriteFile(file, []byte("port: \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args           []string
		stdout, stderr string
	}{
		{[]string{"--nosuch"}, "", "flag provided but not defined: -nosuch\ngnatsd -h lists all flags"},
		{[]string{"--auht", "a"}, "", "flag provided but not defined: -auht\ndid you mean --auth?\ngnatsd -h lists all flags"},
		{[]string{"-p"}, "", "flag needs an argument: -p"},
		{[]string{"--config"}, "", "flag needs an argument: -config"},
		{[]string{"-p", "abc"}, "", `invalid value "abc" for flag -p: parse error`},
		{[]string{"--port=1e3"}, "", `invalid value "1e3" for flag -port: parse error`},
		{[]string{"-p", "99999999999999999999"}, "", `invalid value "99999999999999999999" for flag -p: value out of range`},
		{[]string{"-m", "65536"}, "", `invalid value "65536" for flag -m: want an integer from -1 to 65535`},
		{[]string{"-D=maybe"}, "", `invalid boolean value "maybe" for -D: parse error`},
		{[]string{"-v", "-D=maybe"}, "", `invalid boolean value "maybe" for -D: parse error`},
		{[]string{"---D"}, "", "bad flag syntax: ---D"},
		{[]string{"-=1"}, "", "bad flag syntax: -=1"},
		{[]string{"foo"}, "", `unrecognized command: "foo"`},
		{[]string{"-T", "false"}, "", `unrecognized command: "false"`},
		{[]string{"--no_advertise", "true"}, "", `unrecognized command: "true"`},
		{[]string{"-D", "--", "-V"}, "", `unrecognized command: "-V"`},
		{[]string{"-sl", "quit", "foo"}, "", `unrecognized command: "foo"`},
		{[]string{"-sl", "a=b=c=d"}, "", "invalid signal parameters: [c d]"},
		{[]string{"-c", "/no/such.conf"}, "", "error opening config file: open /no/such.conf: no such file or directory"},
		{[]string{"-c", file}, "", file + ":1:7: port: want an integer from -1 to 65535, have string \"x\"\n    port: \"x\"\n          ^"},
		{[]string{"--cluster", "nats://u@h:1"}, "", "--cluster: expected cluster password to be set"},
		{[]string{"--cluster", "nats://127.0.0.1"}, "", "--cluster: address 127.0.0.1: missing port in address"},
		{[]string{"--cluster", "127.0.0.1:22103"}, "", `--cluster: parse "127.0.0.1:22103": first path segment in URL cannot contain colon`},
		{[]string{"--routes", "nats://h:1"}, "", "solicited routes require cluster capabilities, e.g. --cluster"},
		{[]string{"--tls"}, "", "TLS Server certificate must be present and valid"},
		{[]string{"--tlscert", "c"}, "", "TLS Server private key must be present and valid"},
		{[]string{"--tlscert", "c", "--tlskey", "k"}, "", "error parsing X509 certificate/key pair: open c: no such file or directory"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(t, test.args...)
			if stdout != test.stdout || stderr != test.stderr+"\n" || code != 1 {
				t.Errorf("got %q, %q on stderr, exit %d; want %q, %q and 1", stdout, stderr, code, test.stdout, test.stderr)
			}
		})
	}
}

// TestFlagsThatAskComeInTheirOrder has command lines that ask for several things.
func TestFlagsThatAskComeInTheirOrder(t *testing.T) {
	t.Parallel()
	usage, _, _ := run(t, "-h")
	version, _, _ := run(t, "-v")
	help, _, _ := run(t, "--help_tls")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-v", "-h"}, version},
		{[]string{"-h", "-v"}, version},
		{[]string{"--help_tls", "-h"}, usage},
		{[]string{"--help_tls", "foo"}, help},
		{[]string{"HELP"}, usage},
		{[]string{"Version"}, version},
		{[]string{"version", "foo"}, version},
		{[]string{"-sl", "quit", "help"}, usage},
		{[]string{"-c", "/no/such.conf", "-v"}, version},
		{[]string{"-v=false", "-h"}, usage},
	} {
		if stdout, stderr, code := run(t, test.args...); stdout != test.want || stderr != "" || code != 0 {
			t.Errorf("%q: got %.40q, %q on stderr, exit %d", test.args, stdout, stderr, code)
		}
	}
}

func TestPortFlag(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", freeport.Loopback(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(free.Addr().(*net.TCPAddr).Port)

	taken := spawn(t, "-p", port)
	taken.await(t, `\[FTL\] Error listening on port: 127\.0\.0\.1:`+port+`, ".*address already in use"$`)
	for range taken.lines { // the rest of the log
	}
	taken.cmd.Wait()
	if code := taken.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("on a port in use: got exit %d, want 1", code)
	}

	free.Close()
	p := spawn(t, "-p", port)
	if at := p.addr(t); at != "127.0.0.1:"+port {
		t.Errorf("got %s, want port %s", at, port)
	}
	wire.Dial(t, "127.0.0.1:"+port)
}

func TestLogFlag(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := spawn(t, "-l", file, "-T=false")
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals")
	}
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "Server is ready") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not ready: %q", text)
		}
	}
	code, onStderr := p.stop(t, syscall.SIGTERM)
	if code != 0 || len(onStderr) > 0 {
		t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, onStderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `^before\n(\[[0-9]+\] \[INF\] [^\n]+\n)+\[[0-9]+\] \[INF\] Server Exiting\.\.\n$`
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("got %q, want a match of %s", text, want)
	}
}

func TestDebugAndTraceFlags(t *testing.T) {
	t.Parallel()
	const secret = "canary-4711"
	debug := []string{`\[DBG\] 127\.0\.0\.1:[0-9]+ - cid:1 - Client connection created$`}
	trace := []string{
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[CONNECT \{.*\}\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[OK\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[SUB foo 1\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[PUB foo 5\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> MSG_PAYLOAD: \[hello\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[MSG foo 1 5\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[PING\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[PONG\]$`,
	}
	for _, test := range []struct {
		flags []string
		want  []string
		not   string
	}{
		{nil, nil, `\[(DBG|TRC)\]`},
		{[]string{"-D"}, debug, `\[TRC\]`},
		{[]string{"-V"}, trace, `\[DBG\]`},
		{[]string{"-DV"}, append(debug, trace...), `\[(ERR|WRN)\]`},
		{[]string{"-D", "-V"}, append(debug, trace...), `\[(ERR|WRN)\]`},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			t.Parallel()
			p := spawn(t, test.flags...)
			c := wire.Dial(t, p.addr(t))
			c.Say(`CONNECT {"user":"me","pass":"`+secret+`","auth_token":"`+secret+`","PASS":"`+secret+`","sig":"`+secret+`"}`, "SUB foo 1", "PUB foo 5", "hello", "PING")
			c.Want("+OK", "+OK", "+OK", "MSG foo 1 5", "hello", "PONG")
			for _, pattern := range test.want {
				p.await(t, pattern)
			}
			p.cmd.Process.Kill()
			all := p.seen
			for line := range p.lines {
				all = append(all, line)
			}
			log := strings.Join(all, "\n")
			if strings.Contains(log, secret) {
				t.Errorf("the log has a secret:\n%s", log)
			}
			if m := regexp.MustCompile(test.not).FindString(log); m != "" {
				t.Errorf("got %s in\n%s", m, log)
			}
		})
	}
}

func TestLogtimeFlag(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-T=false")
	p.await(t, `Server is ready$`)
	for _, line := range p.seen {
		if !regexp.MustCompile(`^\[[0-9]+\] \[INF\] [A-Z]`).MatchString(line) {
			t.Errorf("got %q, want a line without a time", line)
		}
	}
}
