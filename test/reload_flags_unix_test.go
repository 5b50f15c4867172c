//go:build unix

package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestFlagsThatMadeEveryReloadFail starts the binary as the classic broker could be started and not
// reloaded any more.
func TestFlagsThatMadeEveryReloadFail(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	secure := []string{"--tlscert", dir + "/server-cert.pem", "--tlskey", dir + "/server-key.pem"}
	syslog, records := syslogd(t, "udp")
	for _, args := range [][]string{
		append([]string{"--tls"}, secure...),
		append([]string{"--tlsverify", "--tlscacert", dir + "/ca.pem"}, secure...),
		append([]string{"-ms", "-1"}, secure...),
		{"--cluster", "nats://u:p@127.0.0.1:-1", "--routes", "nats://127.0.0.1:1", "--no_advertise"},
		{"-DV", "-T=false"},
		{"--user", "u", "--pass", "p"},
	} {
		t.Run(strings.ReplaceAll(args[0]+" "+args[1], "/", "_"), func(t *testing.T) {
			t.Parallel()
			r := spawnReloadable(t, "max_payload: 10", args...)
			for i := range 2 {
				r.reload(t, fmt.Sprintf("max_payload: %d\ndebug: true\ntrace: false\nlogtime: true", 11+i), fmt.Sprintf("Reloaded: max_payload = %d", 11+i))
			}
			info := greeting(t, r.addr)
			if secured := strings.Contains(strings.Join(args, " "), "tls"); info.TLSRequired != secured || info.AuthRequired != (args[0] == "--user") || info.MaxPayload != 12 {
				t.Errorf("got %+v", info)
			}
			if args[0] == "-DV" {
				for _, line := range r.seen {
					if !strings.Contains(line, fmt.Sprintf("[%d] [", r.cmd.Process.Pid)) {
						t.Errorf("got a time in %s", line)
					}
				}
				r.await(t, `\[TRC\]|\[DBG\]`)
			}
		})
	}
	t.Run("-r", func(t *testing.T) {
		t.Parallel()
		r := &reloadable{file: writeConfig(t, "max_payload: 10")}
		r.process = spawn(t, "-c", r.file, "-r", syslog)
		for !strings.Contains(await(t, records, "start"), "Server is ready") {
		}
		for i := range 2 {
			r.rewrite(t, fmt.Sprintf("max_payload: %d", 11+i))
			r.signal(t, syscall.SIGHUP)
			for !strings.Contains(await(t, records, "reload"), "Reloaded server configuration") {
			}
		}
	})
}
