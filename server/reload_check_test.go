package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReloadTellsOfEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	missing := filepath.Join(dir, "missing")
	for _, tc := range []struct {
		name, before, after string
		want                []string
	}{
		{"mistakes of a file", "", "debug: 5\nport: x\nmax_payload: {}", []string{
			"FILE:1:8: debug: want a boolean (true or false), have integer 5",
			`FILE:2:7: port: want an integer from -1 to 65535, have string "x"`,
			"FILE:3:14: max_payload: want a size from -2GB to 999999999, have map",
		}},
		{"no syntax", "", "a=", []string{"FILE:1:3: a: Expected value but found new line"}},
		{"fixed rows, a certificate, addresses and a log", "max_pending: 1KB, cluster { port: -1 }", fmt.Sprintf(
			"max_pending: 2KB\nlog_file: %q\nclient_advertise: \"a:b\"\ncluster { port: 6222, advertise: \"a:b:c\" }\ntls { cert_file: %q, key_file: %q }",
			missing+"/x", dir+"/server-cert.pem", dir+"/srva-key.pem"), []string{
			": tls.key_file: error parsing X509 certificate/key pair: ",
			"config reload not supported for MaxPending: old=1024, new=2048 (FILE:1:1)",
			"config reload not supported for cluster port: old=-1, new=6222 (FILE:4:11)",
			"FILE:3:1: client_advertise: invalid ClientAdvertise value of a:b, err=",
			"FILE:4:23: cluster.cluster_advertise: invalid Cluster.Advertise value of a:b:c, err=",
			"FILE:2:1: log_file: error opening file: open " + missing + "/x: no such file or directory",
		}},
		{"https without a certificate", "", "https_port: 1\nhttp_port: 2", []string{
			"config reload not supported for HTTPPort: old=0, new=2 (FILE:2:1)",
			"config reload not supported for HTTPSPort: old=0, new=1 (FILE:1:1)",
			"FILE:1:1: https_port: Can't start monitoring: can't specify both HTTP (2) and HTTPs (1) ports",
		}},
		{"a no_auth_user that is not listed", "", "no_auth_user: x", []string{`FILE:1:1: no_auth_user: no_auth_user "x" is not in the list of users`}},
		{"mapping without users", "", fmt.Sprintf("tls { cert_file: %q, key_file: %q, verify_and_map: true }", dir+"/server-cert.pem", dir+"/server-key.pem"), []string{
			"tls.verify_and_map: verify_and_map needs a list of users to map certificates to",
		}},
		{"routes without a cluster", "", `cluster { routes: ["nats://127.0.0.1:1"] }`, []string{"FILE:1:11: cluster.routes: solicited routes require cluster capabilities, e.g. --cluster"}},
		{"clustering turned off", "cluster { listen: 127.0.0.1:-1 }", "", []string{
			"config reload not supported for cluster host: old=127.0.0.1, new= (default)",
			"config reload not supported for cluster port: old=-1, new=0 (default)",
		}},
		{"a syslog of no kind", "", "remote_syslog: \"http://h\"", []string{`FILE:1:1: remote_syslog: error invalid network type: "http"`}},
		{"an include that is not there", "", "include missing.conf", []string{"FILE:1:9: error parsing include file 'missing.conf', open "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, tc.before)
			okay(t, s.useRealLog(t))
			before, guard, rules := s.options(), s.policy.Load(), s.cluster.policy.Load()
			loaded := s.ConfigTime()
			err := s.change(t, tc.after)
			if err == nil {
				t.Fatal("accepted")
			}
			var got []string
			for _, reason := range reasons(err) {
				got = append(got, strings.ReplaceAll(reason.Error(), s.file, "FILE"))
			}
			if len(got) != len(tc.want) {
				t.Fatalf("got %d reasons, want %d: %q", len(got), len(tc.want), got)
			}
			for i, want := range tc.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("reason %d: got %q, want %q", i+1, got[i], want)
				}
			}
			if s.options() != before || s.policy.Load() != guard || s.cluster.policy.Load() != rules || s.ConfigTime() != loaded {
				t.Error("something has changed")
			}
			s.okay(t, tc.before)
		})
	}
}

// useRealLog makes the server log to a file, as a program would.
func (r *reloader) useRealLog(t testing.TB) error {
	t.Helper()
	o := *r.options()
	o.LogFile = filepath.Join(t.TempDir(), "log")
	l, err := openLog(&o)
	if err == nil {
		r.SetLogger(l, false, false)
	}
	return err
}

func TestReloadWithoutAFile(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	if err := s.Reload(); err == nil || err.Error() != "can only reload config when a file is provided using -c or --config" {
		t.Errorf("got %v", err)
	}
	r := startReloader(t, "")
	okay(t, os.Remove(r.file))
	if err := r.Reload(); err == nil || err.Error() != "error opening config file: open "+r.file+": no such file or directory" {
		t.Errorf("got %v", err)
	}
	okay(t, os.Mkdir(r.file, 0o700))
	if err := r.Reload(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestReloadOfAServerThatHasEnded(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "")
	s.Shutdown()
	if err := s.Reload(); err != errStopping {
		t.Errorf("got %v, want %v", err, errStopping)
	}
}

// TestAStartThatFailsSaysWhereTheSettingIs has files that a start cannot use on this machine: the
// line of the log ends with the place of the setting, unless a flag has set it.
func TestAStartThatFailsSaysWhereTheSettingIs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	taken, port := l.Addr().String(), fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	missing := filepath.Join(t.TempDir(), "missing", "x")
	for _, tc := range []struct {
		text, line, where string
		flags             []string
	}{
		{"port: -1\nhost: 127.0.0.1\nlisten: " + taken, "Error listening on port: ", " (FILE:3:1)", nil},
		{"host: 127.0.0.1", "Error listening on port: ", " (FILE:1:1)", []string{"-p", port}},
		{"port: 1", "Error listening on port: ", `use"`, []string{"-p", port, "-a", "127.0.0.1"}},
		{"listen: 127.0.0.1:-1\ncluster {\n listen: " + taken + "\n}", "Error listening on router port: ", " (FILE:3:2)", nil},
		{"listen: 127.0.0.1:-1\nhttp: " + taken, "Can't start monitoring: ", " (FILE:2:1)", nil},
		{"listen: 127.0.0.1:-1\nhttp_socket: '" + missing + "'", "Can't start monitoring: ", " (FILE:2:1)", nil},
		{"listen: 127.0.0.1:-1\nprof_port: " + port, "Can't start profiling: ", " (FILE:2:1)", nil},
		{"listen: 127.0.0.1:-1\npid_file: '" + missing + "'", "Could not write pidfile: ", " (FILE:2:1)", nil},
		{"client_advertise: a:b:c\nlisten: 127.0.0.1:-1", "Error setting server INFO with ClientAdvertise value of a:b:c", " (FILE:1:1)", nil},
		{"listen: 127.0.0.1:-1\ncluster {\n listen: 127.0.0.1:-1\n advertise: a:b:c\n}", "Error setting route INFO with Cluster.Advertise value of a:b:c", " (FILE:4:2)", nil},
	} {
		file := writeConfig(t, tc.text)
		o, _ := CommandLine(append([]string{"-c", file}, tc.flags...), io.Discard, io.Discard)
		if o == nil {
			t.Errorf("%s: not accepted", tc.text)
			continue
		}
		o.NoSigs = true
		s, err := NewServer(o)
		okay(t, err)
		log := newLineLog()
		s.SetLogger(log, false, false)
		if err := s.Run(); err == nil {
			t.Errorf("%s: started", tc.text)
		}
		if got := strings.ReplaceAll(log.wait(t, tc.line), file, "FILE"); !strings.HasSuffix(got, tc.where) {
			t.Errorf("%s: got %q, want an end of %q", tc.text, got, tc.where)
		}
	}
	file := writeConfig(t, "log_file: '"+missing+"'")
	o, _ := CommandLine([]string{"-c", file}, io.Discard, io.Discard)
	s, err := NewServer(o)
	okay(t, err)
	if err := s.ConfigureLogger(); err == nil || !strings.HasSuffix(err.Error(), " ("+file+":1:1)") {
		t.Errorf("a log that cannot be opened: got %v", err)
	}
}

// TestAReloadThatRemovesALoginSaysSo removes logins of clients, other servers and the monitoring pages.
func TestAReloadThatRemovesALoginSaysSo(t *testing.T) {
	t.Parallel()
	const clients, servers, pages = "Clients need no credentials any more", "Other servers need no credentials any more", "The monitoring pages need no login any more"
	const user = "authorization { user: a, password: b }\n"
	const cluster = "cluster { listen: 127.0.0.1:-1, authorization { user: a, password: b } }\n"
	r := startReloader(t, user+cluster+"http_user: a, http_password: b")
	for _, tt := range []struct {
		file string
		want []string
	}{
		{user + cluster, []string{pages}},
		{"authorization { token: x }\n" + cluster, nil},
		{user + "cluster { listen: 127.0.0.1:-1 }", []string{servers}},
		{"cluster { listen: 127.0.0.1:-1 }", []string{clients}},
		{user + "cluster { listen: 127.0.0.1:-1 }", nil},
	} {
		okay(t, r.change(t, tt.file))
		var got []string
		for _, line := range r.lines() {
			if strings.HasSuffix(line, " any more") {
				got = append(got, line)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s\ngot  %q\nwant %q", tt.file, got, tt.want)
		}
	}
}

// TestNoSettingWritesALineOfItsOwn has values with a line break and an escape sequence in every row: neither
// -t nor the log of a reload shows them as they are.
func TestNoSettingWritesALineOfItsOwn(t *testing.T) {
	t.Parallel()
	values := []string{`"x\n[INF] fake\x1b"`, `["x\n[INF] fake\x1b"]`, `{"x\n[INF] fake\x1b": "y"}`}
	raw := func(text string) bool {
		return strings.Contains(text, "\n[INF] fake") || strings.Contains(text, "\x1b")
	}
	r := startReloader(t, "")
	for _, row := range optionTable().Rows() {
		if row.Key == "" || row.Key == "log_file" || row.Key == "pid_file" || row.Key == "ports_file_dir" {
			continue // they name files
		}
		path := strings.Split(row.Key, ".")
		slices.Reverse(path)
		for _, value := range values {
			text := path[0] + ": " + value
			for _, section := range path[1:] {
				text = section + " { " + text + " }"
			}
			err := r.change(t, text)
			var out strings.Builder
			CommandLine([]string{"-t", "-c", r.file}, io.Discard, &out)
			if said := fmt.Sprintln(err, strings.Join(r.lines(), "\n"), out.String()); raw(said) {
				t.Errorf("%s\n%q", text, said)
			}
		}
	}
}
