//go:build unix

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// This file shows what reloads of the settings of the log do.

var reloadedLogs = map[string]func(*testing.T){
	"log_file": func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		r := spawnReloadable(t, "")
		r.rewrite(t, fmt.Sprintf("log_file: %q", path))
		r.signal(t, syscall.SIGHUP)
		r.await(t, `\[INF\] Reloaded: log_file = `+path+`$`)
		fileHas(t, path, `\A\[\d+\] \S+ \S+ \[INF\] Reloaded server configuration$`)
		r.rewrite(t, fmt.Sprintf("log_file: %q", filepath.Dir(path)))
		r.signal(t, syscall.SIGHUP)
		fileHas(t, path, `\[ERR\] Failed to reload server configuration: \S+:1:1: log_file: error opening file: open .*: is a directory$`)
		alive(t, r.addr)
		r.reload(t, "")
		fileHas(t, path, `\[INF\] Reloaded: log_file = $`)
	},
	"logtime": func(t *testing.T) {
		r := spawnReloadable(t, "")
		r.rewrite(t, "logtime: false")
		r.signal(t, syscall.SIGHUP)
		r.await(t, stamp+`\[INF\] Reloaded: logtime = false$`)
		r.await(t, `^\[\d+\] \[INF\] Reloaded server configuration$`)
		r.reload(t, "logtime: true", "Reloaded: logtime = true")
	},
	"syslog": func(t *testing.T) {
		r := spawnReloadable(t, "")
		if _, err := os.Stat("/dev/log"); err != nil {
			r.refuses(t, "syslog: true", "FILE:1:1: syslog: error connecting to syslog: ")
			return
		}
		r.rewrite(t, "syslog: true")
		r.signal(t, syscall.SIGHUP)
		r.await(t, `Reloaded: syslog = true$`)
		r.reload(t, "")
	},
	"remote_syslog": func(t *testing.T) {
		url, records := syslogd(t, "udp")
		r := spawnReloadable(t, "")
		r.refuses(t, `remote_syslog: "unix:///none"`, "FILE:1:1: remote_syslog: error connecting to syslog: ")
		r.rewrite(t, fmt.Sprintf("remote_syslog: %q", url))
		r.signal(t, syscall.SIGHUP)
		r.await(t, `Reloaded: remote_syslog = `+url+`$`)
		for !strings.Contains(await(t, records, "record of the reload"), "Reloaded server configuration") {
		}
		r.reload(t, "")
	},
	"logfile_size_limit": func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		text := fmt.Sprintf("debug: true\nlog_file: %q\n", path)
		r := &reloadable{file: writeConfig(t, text)}
		r.process = spawn(t, "-c", r.file)
		r.addr = fileAddr(t, path)
		r.rewrite(t, text+"logfile_size_limit: 1000")
		r.signal(t, syscall.SIGHUP)
		eventually(t, "a rotation", func() bool {
			alive(t, r.addr)
			list, err := filepath.Glob(path + ".*")
			return err == nil && len(list) > 0
		})
	},
	"logfile_max_num": func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		text := fmt.Sprintf("debug: true\nlog_file: %q\nlogfile_size_limit: 1000\n", path)
		r := &reloadable{file: writeConfig(t, text)}
		r.process = spawn(t, "-c", r.file)
		rotations := func() int {
			list, err := filepath.Glob(path + ".*")
			must(t, err)
			return len(list)
		}
		fileAddr(t, path)
		eventually(t, "four rotations", func() bool { r.signal(t, syscall.SIGUSR1); return rotations() >= 4 })
		r.rewrite(t, text+"logfile_max_num: 2")
		r.signal(t, syscall.SIGHUP)
		eventually(t, "one old file", func() bool { r.signal(t, syscall.SIGUSR1); return rotations() == 1 })
	},
	"log_format": func(t *testing.T) {
		r := spawnReloadable(t, "")
		r.rewrite(t, "log_format: json")
		r.signal(t, syscall.SIGHUP)
		line := r.await(t, `^\{.*Reloaded server configuration.*$`)[0]
		if !json.Valid([]byte(line)) {
			t.Errorf("got %s", line)
		}
		r.rewrite(t, "")
		r.signal(t, syscall.SIGHUP)
		r.await(t, `\[INF\] Reloaded server configuration$`)
	},
	"debug": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c := quiet(t, r.addr)
		r.reload(t, "debug: true", "Reloaded: debug = true")
		c.Close()
		r.await(t, `\[DBG\] .*Client connection closed$`) // of one that was there before
	},
	"trace": func(t *testing.T) {
		r := spawnReloadable(t, "")
		old := quiet(t, r.addr)
		r.reload(t, "trace: true", "Reloaded: trace = true")
		old.Say("SUB old 1", "PING")
		old.Want("PONG")
		later := quiet(t, r.addr)
		later.Say("SUB later 1")
		r.await(t, `\[TRC\] .*->> \[SUB later 1\]$`)
		for _, line := range r.seen {
			if strings.Contains(line, "SUB old") {
				t.Errorf("a client is traced that was there before: %s", line)
			}
		}
	},
	"no_busy_poll": func(t *testing.T) {
		r := spawnReloadable(t, "debug: true")
		r.reload(t, "debug: true\nno_busy_poll: true", "Reloaded: no_busy_poll = true")
		r.reload(t, "debug: true", "Reloaded: no_busy_poll = false")
		log := strings.Join(r.seen, "\n")
		if want := `(?s) Busy polling is off \(no_busy_poll\)\n.* Busy polling is (on|not possible)`; !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("got\n%s\nwant %s", log, want)
		}
	},
	"max_traced_msg_len": func(t *testing.T) {
		r := spawnReloadable(t, "trace: true")
		c := quiet(t, r.addr)
		r.reload(t, "trace: true\nmax_traced_msg_len: 3", "Reloaded: max_traced_msg_len = 3")
		c.Say("PUB a 6", "abcdef")
		r.await(t, `->> MSG_PAYLOAD: \[abc\.\.\.\]$`)
	},
}

// TestADeadlineWithoutAUnitIsSaidAtEveryReload reads the standard output of a broker whose file stays
// as it is.
func TestADeadlineWithoutAUnitIsSaidAtEveryReload(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-c", writeConfig(t, "write_deadline: 3"))
	cmd.Stdout = out
	p := launch(t, cmd)
	p.addr(t)
	p.signal(t, syscall.SIGHUP)
	p.await(t, `Reloaded server configuration$`)
	eventually(t, "a warning at the start and one at the reload", func() bool {
		text, err := os.ReadFile(out.Name())
		must(t, err)
		return strings.Count(string(text), "WARNING: write_deadline should be converted to a duration\n") == 2
	})
}
