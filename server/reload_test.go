package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gnatsd/conf"
)

// reloader is a server with a configuration file and a log to look at.
type reloader struct {
	*Server
	file string
	log  *lineLog
}

// startReloader runs a server with a file, and flags, until the test ends.
func startReloader(t testing.TB, text string, args ...string) *reloader {
	t.Helper()
	o := mustConfigure(t, text+"\n", append([]string{"-a", "127.0.0.1", "-p", "-1"}, args...)...)
	o.NoSigs = true
	return runReloader(t, o)
}

func runReloader(t testing.TB, o *Options) *reloader {
	t.Helper()
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &reloader{Server: s, file: o.ConfigFile, log: newLineLog()}
	s.SetLogger(r.log, o.Debug, o.Trace)
	go s.Start() // ends with Shutdown, which waits
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	r.lines()
	return r
}

// write replaces the file.
func (r *reloader) write(t testing.TB, text string) {
	t.Helper()
	okay(t, os.WriteFile(r.file, []byte(text+"\n"), 0o600))
}

// change replaces the file and reloads it.
func (r *reloader) change(t testing.TB, text string) error {
	t.Helper()
	r.write(t, text)
	return r.Reload()
}

// must is change without an error.
func (r *reloader) okay(t testing.TB, text string) {
	t.Helper()
	if err := r.change(t, text); err != nil {
		t.Fatal(err)
	}
}

// lines returns what has been logged so far.
func (r *reloader) lines() []string { return r.log.soFar() }

func TestEveryEffectHasAStep(t *testing.T) {
	t.Parallel()
	taken := map[conf.Effect]bool{conf.Fixed: true}
	for i, step := range reloadSteps {
		if step.apply == nil || len(step.effects) == 0 {
			t.Errorf("step %d does nothing", i)
		}
		for _, effect := range step.effects {
			taken[effect] = true
		}
	}
	called := map[conf.Effect]bool{}
	for _, r := range optionTable().Rows() {
		called[r.Reload] = true
		if r.Reload != "" && !taken[r.Reload] {
			t.Errorf("no step for effect %q of %s", r.Reload, r.Key)
		}
	}
	for effect := range taken {
		if !called[effect] {
			t.Errorf("no row calls for effect %q", effect)
		}
	}
}

// reloadCase is what a reload does about one row: the file says before, then after, and the log
// says so.
type reloadCase struct {
	before, after string
	want          string // lines of the log, or the refusal
}

// reloadCases has every row whose value a reload can find changed.
func reloadCases(dir string) map[string]reloadCase {
	users := func(list string) string { return "authorization { users: [" + list + "] }" }
	cluster := func(text string) string { return "cluster { listen: 127.0.0.1:-1\n" + text + " }" }
	block := func(name, more string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, %s }",
			filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem"), filepath.Join(dir, "ca.pem"), more)
	}
	const anna, bert = "{user: anna, pass: a}", "{user: bert, pass: b}"
	return map[string]reloadCase{
		"watch_config":           {"", "watch_config: true", "config reload not supported for WatchConfig: old=false, new=true (FILE:1:1)"},
		"host":                   {"", "", ""}, // a flag holds it here; see TestFixedRows
		"port":                   {"", "", ""},
		"also_listen":            {"", "", ""}, // likewise; see TestReloadOfSeveralAddresses
		"server_name":            {"", "server_name: x", "config reload not supported for ServerName: old=, new=x (FILE:1:1)"},
		"pid_file":               {"", "pid_file: " + conf.Quote(filepath.Join(dir, "pid")), "Reloaded: pid_file = " + filepath.Join(dir, "pid")},
		"ports_file_dir":         {"", "ports_file_dir: " + conf.Quote(dir), "Reloaded: ports_file_dir = " + dir},
		"http_host":              {"", "http_host: 127.0.0.2", "config reload not supported for HTTPHost: old=127.0.0.1, new=127.0.0.2 (FILE:1:1)"},
		"http_port":              {"", "http_port: 1", "config reload not supported for HTTPPort: old=0, new=1 (FILE:1:1)"},
		"https_port":             {block("server", ""), "https_port: 1\n" + block("server", ""), "config reload not supported for HTTPSPort: old=0, new=1 (FILE:1:1)"},
		"http_base_path":         {"", "http_base_path: /x", "config reload not supported for HTTPBasePath: old=, new=/x (FILE:1:1)"},
		"prof_port":              {"prof_port: -1", "", "config reload not supported for ProfPort: old=-1, new=0 (default)"},
		"system_account":         {"accounts { A {}, B { users: [] } }\nsystem_account: A", "accounts { A {}, B { users: [] } }\nsystem_account: B", "Reloaded: system_account = B"},
		"accounts":               {"accounts { A { users: [{user: a, password: x}] } }", "accounts { A { users: [{user: a, password: y}] } }", "Reloaded: accounts"},
		"client_advertise":       {"", "client_advertise: \"a:1\"", "Reload: client_advertise = a:1"},
		"http_socket":            {"", "http_socket: x", "config reload not supported for HTTPSocket: old=, new=x (FILE:1:1)"},
		"http_user":              {"", "http_user: x, http_password: y", "Reloaded: http_user = x"},
		"http_password":          {"http_user: x, http_password: y", "http_user: x, http_password: z", "Reloaded: http_password"},
		"http_verify":            {"", "http_verify: true", "config reload not supported for HTTPVerify: old=false, new=true (FILE:1:1)"},
		"http_same_origin":       {"", "http_same_origin: true", "Reloaded: http_same_origin = true"},
		"http_hosts":             {"", "http_hosts: [nats.example.com]", "Reloaded: http_hosts = [\"nats.example.com\"]"},
		"metrics_prefix":         {"", "metrics_prefix: x", "Reloaded: metrics_prefix = x"},
		"max_connections":        {"", "max_connections: 10", "Reloaded: max_connections = 10"},
		"max_subscriptions":      {"max_subs: 1", "max_subs: 2", "config reload not supported for MaxSubs: old=1, new=2 (FILE:1:1)"},
		"max_control_line":       {"", "max_control_line: 1KB", "Reloaded: max_control_line = 1024"},
		"max_payload":            {"", "max_payload: 1KB", "Reloaded: max_payload = 1024"},
		"max_pending":            {"", "max_pending: 1MB", "config reload not supported for MaxPending: old=67108864, new=1048576 (FILE:1:1)"},
		"max_pending_total":      {"", "max_pending_total: 1GB\nmax_pending_total: 2GB", "config reload not supported for MaxPendingTotal: old=1073741824, new=2147483648 (FILE:2:1)"},
		"ping_interval":          {"", "ping_interval: 5", "Reloaded: ping_interval = 5s"},
		"ping_max":               {"", "ping_max: 5", "Reloaded: ping_max = 5"},
		"write_deadline":         {"", "write_deadline: 5s", "Reloaded: write_deadline = 5s"},
		"max_closed_clients":     {"", "max_closed_clients: 5", "config reload not supported for MaxClosedClients: old=10000, new=5 (FILE:1:1)"},
		"lame_duck_duration":     {"", "lame_duck_duration: 5s", "config reload not supported for LameDuckDuration: old=30s, new=5s (FILE:1:1)"},
		"lame_duck_grace_period": {"", "lame_duck_grace_period: 5s", "config reload not supported for LameDuckGracePeriod: old=1s, new=5s (FILE:1:1)"},
		"log_file":               {"", "log_file: x", "Reloaded: log_file = x"},
		"logtime":                {"", "logtime: false", "Reloaded: logtime = false"},
		"syslog":                 {"", "syslog: true", "Reloaded: syslog = true"},
		"remote_syslog":          {"", "remote_syslog: \"udp://127.0.0.1:1\"", "Reloaded: remote_syslog = udp://127.0.0.1:1"},
		"logfile_size_limit":     {"", "logfile_size_limit: 1KB", "Reloaded: logfile_size_limit = 1024"},
		"logfile_max_num":        {"", "logfile_max_num: 2", "Reloaded: logfile_max_num = 2"},
		"log_format":             {"", "log_format: json", "Reloaded: log_format = json"},
		"debug":                  {"", "debug: true", "Reloaded: debug = true"},
		"trace":                  {"", "trace: true", "Reloaded: trace = true"},
		"max_traced_msg_len":     {"", "max_traced_msg_len: 2", "Reloaded: max_traced_msg_len = 2"},
		"no_busy_poll":           {"", "no_busy_poll: true", "Reloaded: no_busy_poll = true"},
		"no_auth_user":           {users(anna), "no_auth_user: anna\n" + users(anna), "Reloaded: no_auth_user = anna"},

		"authorization.user":                {"authorization { user: a, pass: x }", "authorization { user: b, pass: x }", "Reloaded: authorization username"},
		"authorization.password":            {"authorization { user: a, pass: x }", "authorization { user: a, pass: y }", "Reloaded: authorization password"},
		"authorization.token":               {"authorization { token: a }", "authorization { token: b }", "Reloaded: authorization token"},
		"authorization.timeout":             {"", "authorization { timeout: 2.5 }", "Reloaded: authorization timeout = 2.5"},
		"authorization.default_permissions": {users(anna), "authorization { default_permissions: {publish: x}, users: [" + anna + "] }", "Reloaded: authorization users"},
		"authorization.default_limits":      {users(anna), "authorization { default_limits: {max_connections: 5}, users: [" + anna + "] }", "Reloaded: authorization users"},
		"authorization.users":               {users(anna), users(bert), "Reloaded: authorization users"},

		"max_connections_per_address":       {"", "max_connections_per_address: 10", "Reloaded: max_connections_per_address = 10"},
		"max_logins_per_second_per_address": {"", "max_logins_per_second_per_address: 10", "Reloaded: max_logins_per_second_per_address = 10"},

		"allow_non_tls":         {block("server", ""), "allow_non_tls: true\n" + block("server", ""), "Reloaded: tls = enabled"},
		"tls.cert_file":         {block("server", ""), block("srva", ""), "Reloaded: tls = enabled"},
		"tls.key_file":          {"", block("server", ""), "Reloaded: tls = enabled"},
		"tls.verify":            {block("server", ""), block("server", "verify: true"), "Reloaded: tls = enabled"},
		"tls.ca_file":           {block("server", ""), "", "Reloaded: tls = disabled"},
		"tls.timeout":           {block("server", ""), block("server", "timeout: 3"), "Reloaded: tls timeout = 3"},
		"tls.cipher_suites":     {block("server", ""), block("server", "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"), "Reloaded: tls = enabled"},
		"tls.curve_preferences": {block("server", ""), block("server", "curve_preferences: [CurveP256]"), "Reloaded: tls = enabled"},
		"tls.min_version":       {block("server", ""), block("server", "min_version: \"1.3\""), "Reloaded: tls = enabled"},
		"tls.verify_and_map":    {block("server", "") + "\n" + users(anna), block("server", "verify_and_map: true") + "\n" + users(anna), "Reloaded: tls = enabled"},
		"tls.handshake_first":   {block("server", ""), block("server", "handshake_first: true"), "Reloaded: tls = enabled"},

		"cluster.host":                      {cluster(""), "cluster { listen: 127.0.0.2:-1 }", "config reload not supported for cluster host: old=127.0.0.1, new=127.0.0.2 (FILE:1:11)"},
		"cluster.port":                      {cluster(""), "cluster { listen: 127.0.0.1:1 }", "config reload not supported for cluster port: old=-1, new=1 (FILE:1:11)"},
		"cluster.also_listen":               {cluster(""), `cluster { listen: ["127.0.0.1:-1", "127.0.0.2:-1"] }`, `config reload not supported for cluster alsolisten: old=, new=["127.0.0.2:-1"] (FILE:1:11)`},
		"cluster.name":                      {cluster(""), cluster("name: x"), "config reload not supported for cluster name: old=, new=x (FILE:2:1)"},
		"cluster.routes":                    {cluster(""), cluster(`routes: ["nats://127.0.0.1:1"]`), "Reloaded: cluster routes"},
		"cluster.no_advertise":              {cluster(""), cluster("no_advertise: true"), "Reloaded: cluster"},
		"cluster.cluster_advertise":         {cluster(""), cluster(`advertise: "a:1"`), "Reloaded: cluster"},
		"cluster.connect_retries":           {cluster(""), cluster("connect_retries: 3"), "Reloaded: cluster"},
		"cluster.pool_size":                 {cluster(""), cluster("pool_size: 3"), "Reloaded: cluster"},
		"cluster.compression":               {cluster(""), cluster("compression: s2_fast"), "Reloaded: cluster"},
		"cluster.prefer_local":              {cluster(""), cluster("prefer_local: true"), "Reloaded: cluster"},
		"cluster.permissions":               {cluster(""), cluster("permissions { import: x }"), "Reloaded: cluster"},
		"cluster.authorization.user":        {cluster("authorization { user: a, pass: x }"), cluster("authorization { user: b, pass: x }"), "Reloaded: cluster"},
		"cluster.authorization.password":    {cluster("authorization { user: a, pass: x }"), cluster("authorization { user: a, pass: y }"), "Reloaded: cluster"},
		"cluster.authorization.timeout":     {cluster("authorization { user: a, pass: x }"), cluster("authorization { user: a, pass: x, timeout: 3 }"), "Reloaded: cluster"},
		"cluster.authorization.permissions": {cluster(""), cluster("authorization { permissions { export: x } }"), "Reloaded: cluster"},
		"cluster.tls.cert_file":             {cluster(block("server", "")), cluster(block("srva", "")), "Reloaded: cluster"},
		"cluster.tls.key_file":              {cluster(""), cluster(block("server", "")), "Reloaded: cluster"},
		"cluster.tls.verify":                {cluster(block("server", "")), cluster(block("server", "verify: true")), "Reloaded: cluster"},
		"cluster.tls.ca_file":               {cluster(block("server", "")), cluster(""), "Reloaded: cluster"},
		"cluster.tls.timeout":               {cluster(block("server", "")), cluster(block("server", "timeout: 3")), "Reloaded: cluster"},
		"cluster.tls.cipher_suites":         {cluster(block("server", "")), cluster(block("server", "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]")), "Reloaded: cluster"},
		"cluster.tls.min_version":           {cluster(block("server", "")), cluster(block("server", "min_version: \"1.3\"")), "Reloaded: cluster"},
		"cluster.tls.curve_preferences":     {cluster(block("server", "")), cluster(block("server", "curve_preferences: [CurveP256]")), "Reloaded: cluster"},
	}
}

// TestWhatAReloadDoesAboutEveryRow changes each row alone, looks at what is said of it and whether
// it is in force, and changes it back.
func TestWhatAReloadDoesAboutEveryRow(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	cases := reloadCases(dir)
	for _, r := range optionTable().Rows() {
		c, known := cases[r.Key]
		if len(optionTable().Compare(&Options{}, &Options{})) != 0 {
			t.Fatal("equal options differ")
		}
		if r.Reload == "" {
			continue // it is no value of its own
		}
		if !known && r.Key != "" {
			t.Errorf("no case for %s", r.Key)
		}
		if !known || c.before == c.after {
			continue
		}
		t.Run(r.Key, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, c.before)
			old := s.options()
			err := s.change(t, c.after)
			if r.Reload == conf.Fixed {
				if want := strings.ReplaceAll(c.want, "FILE", s.file); err == nil || err.Error() != want {
					t.Errorf("got error %v, want %s", err, want)
				}
				if s.options() != old {
					t.Error("the options were swapped")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(s.lines(), func(line string) bool { // a route dials meanwhile
				return strings.HasPrefix(line, "Error trying to connect to route")
			})
			if !slices.Contains(got, c.want) || got[len(got)-1] != "Reloaded server configuration" {
				t.Errorf("got log %q, want %q", got, c.want)
			}
			if s.options() == old || len(optionTable().Compare(old, s.options())) == 0 {
				t.Error("nothing is in force")
			}
			s.okay(t, c.before)
			if diff := optionTable().Compare(old, s.options()); len(diff) > 0 {
				t.Errorf("%s was not changed back", diff[0].Row.Key)
			}
		})
	}
}

// TestMessagesOfAReloadComeInOrder changes all that can be changed at once.
func TestMessagesOfAReloadComeInOrder(t *testing.T) {
	t.Parallel()
	s := startReloader(t, `max_connections: 20, cluster { listen: 127.0.0.1:-1 }`)
	s.okay(t, `write_deadline: 7s, prot = 1, authorization { user: u, password: p, timeout: 3 }, syslog: true
		cluster { listen: 127.0.0.1:-1, no_advertise: true, routes: ["nats://127.0.0.1:1"] }
		log_file: x, max_payload: 10, max_control_line: 512, ping_max: 9, ping_interval: "9s", max_connections: 10
		debug: true, trace: true, logtime: false, client_advertise: "a:1", pid_file: `+conf.Quote(filepath.Join(t.TempDir(), "pid")))
	var got []string
	for _, line := range s.lines() {
		if subject, _, _ := strings.Cut(line, " ="); strings.HasPrefix(line, "Reload") {
			got = append(got, strings.TrimPrefix(subject, "Reloaded: "))
		}
	}
	want := []string{
		"Reload: client_advertise", "trace", "debug", "logtime", "max_connections", "authorization username", "authorization password",
		"ping_interval", "ping_max", "authorization timeout", "max_control_line", "max_payload", "cluster", "pid_file", "log_file", "syslog",
		"cluster routes", "write_deadline", "Reloaded server configuration",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestFlagsNeverBlockAReload starts with every flag that made each reload of the classic broker
// fail, or was forgotten by one.
func TestFlagsNeverBlockAReload(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	pem := func(name string) string { return filepath.Join(dir, name) }
	withTLS := []string{"--tls", "--tlscert", pem("server-cert.pem"), "--tlskey", pem("server-key.pem")}
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"--tls", withTLS},
		{"--tlsverify", append([]string{"--tlsverify", "--tlscacert", pem("ca.pem")}, withTLS...)},
		{"--cluster", []string{"--cluster", "nats://u:p@127.0.0.1:6222", "--routes", "nats://127.0.0.1:1", "--no_advertise", "--connect_retries", "2"}},
		{"-ms", append([]string{"-ms", "-1"}, withTLS...)},
		{"-m and --profile", []string{"-m", "-1", "--profile", "-1"}},
		{"-r", []string{"-r", "udp://127.0.0.1:1"}},
		{"-D -V", []string{"-D", "-V"}},
		{"-DV", []string{"-DV"}},
		{"-T=false", []string{"-T=false"}},
		{"-D=false", []string{"-D=false"}},
		{"--user --pass", []string{"--user", "u", "--pass", "p"}},
		{"--auth", []string{"--auth", "t"}},
		{"-P", []string{"-P", filepath.Join(t.TempDir(), "pid")}},
		{"-s", []string{"-s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := mustConfigure(t, "max_payload: 100\n", append([]string{"-a", "127.0.0.1", "-p", "-1"}, tc.args...)...)
			o.NoSigs = true
			if o.Cluster.Port != 0 { // no port is free for sure in the machine's network
				o.network = &simHost{newSimNet(1), "127.0.0.1"}
			}
			s := runReloader(t, o)
			old := s.options()
			s.okay(t, "max_payload: 200, debug: true, trace: true, logtime: true")
			s.okay(t, "max_payload: 100")
			if diff := optionTable().Compare(old, s.options()); len(diff) > 0 {
				t.Errorf("%s: %s became %s", diff[0].Row.Key, diff[0].Old, diff[0].New)
			}
			if now := s.options(); (now.TLSConfig == nil) != (old.TLSConfig == nil) || now.RoutesStr != old.RoutesStr || now.Cluster.ListenStr != old.Cluster.ListenStr {
				t.Error("what flags lead to was lost")
			}
		})
	}
}

// TestWhatAProgramSetStays has settings by a program beside those of the file.
func TestWhatAProgramSetStays(t *testing.T) {
	t.Parallel()
	t.Run("after loading the file", func(t *testing.T) {
		t.Parallel()
		o, err := ProcessConfigFile(writeConfig(t, "port: 4222, max_payload: 100\n"))
		okay(t, err)
		o.Host, o.Port, o.NoSigs, o.MaxConn, o.CustomClientAuthentication = "127.0.0.1", RandomPort, true, 7, admitAll{}
		s := runReloader(t, o)
		s.okay(t, "port: 5222, max_payload: 200, max_connections: 9")
		if now := s.options(); now.MaxPayload != 200 || now.MaxConn != 7 || now.Port != RandomPort || !now.NoSigs || now.CustomClientAuthentication == nil {
			t.Errorf("got %+v", now)
		}
	})
	t.Run("without loading the file", func(t *testing.T) {
		t.Parallel()
		dir := certDir(t)
		o := &Options{ConfigFile: writeConfig(t, "max_payload: 100\n"), Host: "127.0.0.1", Port: RandomPort, NoSigs: true,
			TLSCert: filepath.Join(dir, "server-cert.pem"), TLSKey: filepath.Join(dir, "server-key.pem")}
		s := runReloader(t, o)
		if got := s.options().MaxPayload; got != 1<<20 {
			t.Errorf("before: got max_payload %d", got)
		}
		okay(t, s.Reload())
		if now := s.options(); now.MaxPayload != 100 || now.Port != RandomPort || now.TLSConfig == nil || !s.info.Load().info.TLSRequired {
			t.Errorf("got %+v", now)
		}
		s.okay(t, "")
		if got := s.options().MaxPayload; got != 1<<20 {
			t.Errorf("after: got max_payload %d", got)
		}
	})
	t.Run("a TLS configuration of its own", func(t *testing.T) {
		t.Parallel()
		o, err := ProcessConfigFile(writeConfig(t, ""))
		okay(t, err)
		o.Host, o.Port, o.NoSigs, o.TLSConfig = "127.0.0.1", RandomPort, true, mustTLS(t, certOpts(certDir(t), "server"))
		s := runReloader(t, o)
		holder := s.policy.Load().tls
		s.okay(t, "authorization { timeout: 2 }")
		if s.policy.Load().tls != holder || s.options().TLSConfig == nil {
			t.Error("the configuration was replaced")
		}
	})
}

func TestOptionsAreNeverWrittenAfterNew(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "authorization { users: [{user: a, pass: b, permissions: {publish: x}}] }")
	before := s.options()
	copied := before.Clone()
	s.okay(t, "authorization { users: [{user: a, pass: c}], timeout: 3 }, max_payload: 9, debug: true")
	if s.options() == before {
		t.Error("the options were not replaced")
	}
	if diff := optionTable().Compare(copied, before); len(diff) > 0 || !reflect.DeepEqual(copied.Users, before.Users) {
		t.Error("the old options were written")
	}
}

func TestLinesOfWarningsAreReportedOnce(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "strange: 1, authorization { user: u, pass: p }")
	s.okay(t, "strange: 1, authorization { user: u, pass: q }")
	for _, line := range s.lines() {
		if strings.Contains(line, "strange") || strings.Contains(line, "Plaintext") {
			t.Errorf("logged again: %s", line)
		}
	}
	s.okay(t, "strange: 1, other: 1, authorization { user: u, pass: q }")
	s.log.wait(t, `unknown field "other"`)
}

// TestARandomPortIsThePortThatItBecame reloads files that name a port by its number and by -1, in
// turn. Scripts that restart a server on its own port write one for the other.
func TestARandomPortIsThePortThatItBecame(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{false, true} {
		files := certOpts(certDir(t), "server")
		text := func(port, cluster, monitor, profile int) string {
			key := "http"
			if https {
				key = fmt.Sprintf("tls { cert_file: %q, key_file: %q }\nhttps", files.CertFile, files.KeyFile)
			}
			return fmt.Sprintf("listen: \"127.0.0.1:%d\"\ncluster { listen: \"127.0.0.1:%d\" }\n%s: \"127.0.0.1:%d\"\nprof_port: %d", port, cluster, key, monitor, profile)
		}
		o := mustConfigure(t, text(-1, -1, -1, -1)+"\n")
		o.NoSigs = true
		s := runReloader(t, o)
		port, cluster, monitor, profile := s.Addr().(*net.TCPAddr).Port, s.ClusterAddr().Port, s.MonitorAddr().Port, s.ProfilerAddr().Port
		s.okay(t, text(port, cluster, monitor, profile))
		s.okay(t, text(port, cluster, monitor, profile)+"\nmax_payload: 100")
		s.okay(t, text(-1, -1, -1, -1))
		s.okay(t, text(-1, cluster, -1, profile))
		for _, other := range []string{
			text(port+1, -1, -1, -1), text(-1, cluster+1, -1, -1), text(-1, -1, monitor+1, -1), text(-1, -1, -1, profile+1),
			text(cluster, -1, -1, -1), text(-1, 0, -1, -1), text(-1, -1, 0, -1), text(-1, -1, -1, 0),
		} {
			if err := s.change(t, other); err == nil || !strings.Contains(err.Error(), "config reload not supported for ") {
				t.Errorf("%s: got %v, want a refusal", other, err)
			}
		}
	}
}

// TestAPanicWhileReadingIsARefusal holds that a fault in what reads a file ends no broker.
func TestAPanicWhileReadingIsARefusal(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "max_payload: 100")
	err := s.reloadBy(func(*Options) (*Options, []error) { panic("an index out of range") })
	if want := "a fault of this program (please report it): an index out of range"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	s.log.wait(t, "Panic while reading the settings: an index out of range")
	s.okay(t, "max_payload: 200")
}
