package test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// TestHealthFlag asks brokers whether they work, as the health check of a container does, whatever
// ports they have.
func TestHealthFlag(t *testing.T) {
	t.Parallel()
	certs := certFiles(t)
	pair := fmt.Sprintf("cert_file: \"%s/server-cert.pem\"\nkey_file: \"%[1]s/server-key.pem\"\n", certs)
	for name, config := range map[string]string{
		"monitoring":                         "http: \"127.0.0.1:-1\"",
		"monitoring with a login and a path": "http: \"127.0.0.1:-1\"\nhttp_user: admin\nhttp_password: canary\nhttp_base_path: /nats/one",
		"monitoring with TLS":                "https: \"127.0.0.1:-1\"\ntls {\n" + pair + "}",
		"monitoring with certificates of clients": "https: \"127.0.0.1:-1\"\nhttp_verify: true\ntls {\n" + pair +
			fmt.Sprintf("ca_file: \"%s/ca.pem\"\n}", certs),
		"no monitoring":                        "",
		"no monitoring, a handshake first":     "tls {\nhandshake_first: true\n" + pair + "}",
		"no monitoring, certificates, a login": "tls {\nhandshake_first: true\nverify: true\nca_file: \"" + certs + "/ca.pem\"\n" + pair + "}\nauthorization { token: \"$2a$04$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, "-a", "127.0.0.1", "-p", "-1", "-c", writeConfig(t, config))
			p.addr(t)
			check := fmt.Sprintf("--health=%d", p.cmd.Process.Pid)
			eventually(t, "health", func() bool { _, _, code := run(t, check); return code == 0 })
			healthy := func() {
				t.Helper()
				if out, stderr, code := run(t, check); out != "ok\n" || stderr != "" || code != 0 {
					t.Errorf("got exit %d, %q, %q, want ok", code, out, stderr)
				}
			}
			healthy()
			p.signal(t, syscall.SIGSTOP)
			eventually(t, "standstill", func() bool {
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
				must(t, err)
				return bytes.Contains(status, []byte("\nState:\tT"))
			})
			if out, stderr, code := run(t, check); out != "" || !strings.Contains(stderr, "deadline exceeded") && !strings.Contains(stderr, "i/o timeout") || code != 1 {
				t.Errorf("a broker that hangs: got exit %d, %q, %q", code, out, stderr)
			}
			p.signal(t, syscall.SIGCONT)
			healthy()
			p.stop(t, syscall.SIGTERM)
			if _, stderr, code := run(t, check); stderr == "" || code != 1 {
				t.Errorf("a broker that has ended: got exit %d, %q", code, stderr)
			}
		})
	}
}

// TestHealthFlagDuringLameDuckMode holds that a server that clients are leaving is not restarted.
func TestHealthFlagDuringLameDuckMode(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-a", "127.0.0.1", "-p", "-1", "-c", writeConfig(t, "http: \"127.0.0.1:-1\"\nlame_duck_duration: 60s\nlame_duck_grace_period: 60s"))
	c := wire.Dial(t, p.addr(t)) // a client that stays
	c.Do(`CONNECT {"verbose":false}`)
	check := fmt.Sprintf("--health=%d", p.cmd.Process.Pid)
	eventually(t, "health", func() bool { _, _, code := run(t, check); return code == 0 })
	p.signal(t, syscall.SIGUSR2)
	p.await(t, `Entering lame duck mode`)
	if out, stderr, code := run(t, check); out != "server is in lame duck mode\n" || code != 0 {
		t.Errorf("got exit %d, %q, %q", code, out, stderr)
	}
}

// TestHealthFlagListsSeveralProcesses holds that each is on a line of its own, as with -sl.
func TestHealthFlagListsSeveralProcesses(t *testing.T) {
	t.Parallel()
	var pids []string
	for range 2 {
		p := spawn(t, "-a", "127.0.0.1", "-p", "-1")
		p.addr(t)
		pids = append(pids, fmt.Sprint(p.cmd.Process.Pid))
	}
	_, stderr, code := run(t, "--health")
	lines := strings.Split(stderr, "\n")
	if code != 1 || lines[0] != "multiple gnatsd processes running:" || !slices.Contains(lines, pids[0]) || !slices.Contains(lines, pids[1]) {
		t.Errorf("got exit %d, %q, want the lines %q among others", code, stderr, pids)
	}
}
