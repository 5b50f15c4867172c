package server

import (
	"crypto/tls"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFlagsAndFileCombine(t *testing.T) {
	t.Parallel()
	const cluster = `cluster { listen: f:1, authorization { user: u, password: p }, routes: ["nats://r:1"], permissions { import: a } }`
	for _, tc := range []struct {
		name, text string
		args       []string
		want       func(o *Options) bool
	}{
		{"the flag wins", "port: 1\ndebug: true", []string{"-p", "2", "-D=false"}, func(o *Options) bool { return o.Port == 2 && !o.Debug }},
		{"log lines have the time unless it is turned off", "", nil, func(o *Options) bool { return o.Logtime }},
		{"the file says no", "logtime: false", nil, func(o *Options) bool { return !o.Logtime }},
		{"the flag says yes", "logtime: false", []string{"-T"}, func(o *Options) bool { return o.Logtime }},
		{"both letters at once come last", "", []string{"-DV=false", "-D", "-V"}, func(o *Options) bool { return !o.Debug && !o.Trace }},
		{"a cluster URL leaves the rest of the block", cluster, []string{"--cluster", "nats://x:2"}, func(o *Options) bool {
			return o.Cluster.Host == "x" && o.Cluster.Port == 2 && o.Cluster.Username == "u" && o.Cluster.Password == "p" && len(o.Routes) == 1 && o.Cluster.Permissions != nil
		}},
		{"a cluster URL brings its user", cluster, []string{"--cluster_listen", "x://a:b@x:2"}, func(o *Options) bool {
			return o.Cluster.Username == "a" && o.Cluster.Password == "b" && o.Cluster.ListenStr == "x://a:b@x:2"
		}},
		{"a cluster URL takes any free port", "", []string{"--cluster", "nats://a:b@x:-1"}, func(o *Options) bool {
			return o.Cluster.Host == "x" && o.Cluster.Port == -1 && o.Cluster.Password == "b"
		}},
		{"an empty cluster URL turns clustering off", cluster, []string{"--cluster", ""}, func(o *Options) bool { return o.Cluster.Port == 0 }},
		{"what a cluster URL turns off may have routes", cluster, []string{"--cluster", ""}, func(o *Options) bool {
			_, err := NewServer(o)
			return err == nil && len(o.Routes) == 1
		}},
		{"a cluster without a port may have them, too", "cluster { port: 0, routes: [nats://h:1] }", nil, func(o *Options) bool {
			_, err := NewServer(o)
			return err == nil
		}},
		{"routes replace those of the file", cluster, []string{"--routes", "nats://a:1, nats://b:2"}, func(o *Options) bool {
			return len(o.Routes) == 2 && o.Routes[1].Host == "b:2" && o.RoutesStr == "nats://a:1, nats://b:2"
		}},
		{"no routes", cluster, []string{"--routes", ""}, func(o *Options) bool { return len(o.Routes) == 0 }},
		{"a user and a token from flags are no conflict", "", []string{"--user", "u", "--pass", "p", "--auth", "t"}, func(o *Options) bool {
			return o.Username == "u" && o.Password == "p" && o.Authorization == "t"
		}},
		{"a user from a flag beside a list", "authorization { users: [{user: a, password: b}] }", []string{"--user", "u"}, func(o *Options) bool {
			return o.Username == "u" && len(o.Users) == 1
		}},
		{"an empty configuration file", "", []string{"-c", "", "-p", "5"}, func(o *Options) bool { return o.Port == 5 && o.ConfigFile == "" }},
		{"those of nats-server 2.x", "", strings.Fields("--name s -VV --max_traced_msg_len 5"), func(o *Options) bool {
			return o.ServerName == "s" && o.Trace && !o.Debug && o.MaxTracedMsgLen == 5 && len(o.loaded.warnings) == 0
		}},
		{"debug and trace of nats-server 2.x", "", []string{"-DVV"}, func(o *Options) bool { return o.Trace && o.Debug }},
		{"what only nats-server 2.x has", "", strings.Fields("-js -sd /data"), func(o *Options) bool {
			return len(o.loaded.warnings) == 2 && strings.HasPrefix(o.loaded.warnings[0], "--jetstream: ") && strings.HasPrefix(o.loaded.warnings[1], "--store_dir: ")
		}},
		{"what only nats-server 2.x has, turned off", "", []string{"--jetstream=false"}, func(o *Options) bool { return len(o.loaded.warnings) == 0 }},
		{"an empty signal", "", []string{"-sl", ""}, func(o *Options) bool { return o != nil }},
		{"the rest of the flags", "", strings.Fields("-a h -P p -m 1 -ms 2 -l l -s -r r -profile 3 --client_advertise c --cluster_advertise k --no_advertise --connect_retries 4 --ports_file_dir d -n s --cluster_name n --log_size_limit 5"),
			func(o *Options) bool {
				want := &Options{Logtime: true, Host: "h", PidFile: "p", HTTPPort: 1, HTTPSPort: 2, LogFile: "l", Syslog: true, RemoteSyslog: "r", ProfPort: 3,
					ClientAdvertise: "c", PortsFileDir: "d", ServerName: "s", LogSizeLimit: 5,
					Cluster: ClusterOpts{Advertise: "k", NoAdvertise: true, ConnectRetries: 4, Name: "n"}}
				o.loaded = nil
				return reflect.DeepEqual(o, want)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if o := mustConfigure(t, tc.text, tc.args...); !tc.want(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestFlagsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--cluster", "nats://u@h:1"}, "--cluster: expected cluster password to be set"},
		{[]string{"--cluster", "nats://127.0.0.1"}, "--cluster: address 127.0.0.1: missing port in address"},
		{[]string{"--cluster", "127.0.0.1:22103"}, `--cluster: parse "127.0.0.1:22103": first path segment in URL cannot contain colon`},
		{[]string{"--cluster", "nats://u:secret@h:x"}, `--cluster: parse "nats://[REDACTED]@h:x": invalid port ":x" after host`},
		{[]string{"--routes", "nats://h:1"}, "solicited routes require cluster capabilities, e.g. --cluster"},
		{[]string{"--cluster", "nats://h:1", "--routes", "nats://h:1,"}, `--routes: error parsing route url [""]: the host is missing`},
		{[]string{"--cluster", "nats://h:1", "--routes", "nats://u:secret@h:1x"}, `--routes: error parsing route url ["nats://[REDACTED]@h:1x"]: invalid port ":1x" after host`},
		{[]string{"--tls"}, "TLS Server certificate must be present and valid"},
		{[]string{"--tlscert", "c"}, "TLS Server private key must be present and valid"},
		{[]string{"--tlsverify"}, "TLS Server certificate must be present and valid"},
		{[]string{"foo"}, `unrecognized command: "foo"`},
		{[]string{"-T", "false"}, `unrecognized command: "false"`},
		{[]string{"-p", "70000"}, `invalid value "70000" for flag -p: want an integer from -1 to 65535`},
		{[]string{"-n", "a b"}, `invalid value "a b" for flag -n: a name cannot contain white space`},
		{[]string{"-c", "/no/such.conf"}, "error opening config file: open /no/such.conf: no such file or directory"},
		{[]string{"-sl", "a=b=c=d"}, "invalid signal parameters: [c d]"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			_, err := configured(t, "", tc.args...)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestFlagsWithoutEffectAreWarnedAbout has logins on the command line that the file outdoes, and flags that
// replace what restricts access in it.
func TestFlagsWithoutEffectAreWarnedAbout(t *testing.T) {
	t.Parallel()
	dir := filepath.ToSlash(certDir(t))
	block := strings.ReplaceAll(`tls { verify: true, cert_file: "DIR/server-cert.pem", key_file: "DIR/server-key.pem", ca_file: "DIR/ca.pem" }`, "DIR", dir)
	const single = "authorization { user: a, password: b }"
	const users, token = "authorization { users: [{user: a, password: b}] }", "authorization { token: t }"
	for _, tc := range []struct {
		file string
		args []string
		want string
	}{
		{users, []string{"--auth", "t"}, "--auth: it has no effect: the file has users, at FILE:1:17"},
		{users, []string{"--user", "u", "--pass", "p"}, "--user: it has no effect: the file has users, at FILE:1:17\n--pass: it has no effect: the file has users, at FILE:1:17"},
		{token, []string{"--user", "u", "--pass", "p"}, "--user: it has no effect: the file has a token, at FILE:1:17\n--pass: it has no effect: the file has a token, at FILE:1:17"},
		{token, []string{"--auth", "t"}, "--auth: it replaces the token of the file, at FILE:1:17"},
		{single, []string{"--auth", "t"}, "--auth: it replaces the user of the file, at FILE:1:17"},
		{single, []string{"--user", "u", "--pass", "p"}, "--user: it replaces the user of the file, at FILE:1:17\n--pass: it replaces the password of the file, at FILE:1:26"},
		{block, []string{"--tls=false"}, "--tls: it turns off the tls block of the file, at FILE:1:1"},
		{block, []string{"--tlsverify=false"}, "--tlsverify: it turns off verify of the file, at FILE:1:7"},
		{block, []string{"--tls", "--tlsverify"}, ""},
		{"authorization { user: a }", []string{"--pass", "p"}, ""},
	} {
		o := mustConfigure(t, tc.file, tc.args...)
		if got := strings.ReplaceAll(strings.Join(o.loaded.warnings, "\n"), o.ConfigFile, "FILE"); got != tc.want {
			t.Errorf("%s with %q: got\n%s\nwant\n%s", tc.file, tc.args, got, tc.want)
		}
	}
}

func TestTLSFromFileAndFlags(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	path := func(name string) string { return filepath.ToSlash(filepath.Join(dir, name)) }
	block := `tls { cert_file: "` + path("server-cert.pem") + `", key_file: "` + path("server-key.pem") + `", timeout: 3
		cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], curve_preferences: [CurveP256] }`
	flags := []string{"--tlscert", path("server-cert.pem"), "--tlskey", path("server-key.pem")}
	for _, tc := range []struct {
		name, text string
		args       []string
		want       func(o *Options) bool
	}{
		{"none", "", nil, func(o *Options) bool { return o.TLSConfig == nil && o.tlsFiles == nil && !o.TLS }},
		{"a block", block, nil, func(o *Options) bool {
			return o.TLS && o.TLSConfig != nil && o.TLSTimeout == 3 && o.TLSConfig.CurvePreferences[0] == tls.CurveP256 && o.tlsFiles.CertFile == path("server-cert.pem")
		}},
		{"flags alone", "", flags, func(o *Options) bool { return o.TLS && o.TLSConfig.ClientAuth == tls.NoClientCert }},
		{"flags that verify", "", append(flags, "--tlsverify", "--tlscacert", path("ca.pem")), func(o *Options) bool {
			return o.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert && o.TLSConfig.ClientCAs != nil
		}},
		{"a flag beside a block keeps its ciphers and curves", block, []string{"--tlsverify", "--tlscacert", path("ca.pem")}, func(o *Options) bool {
			return o.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert && len(o.TLSConfig.CipherSuites) == 1 && len(o.TLSConfig.CurvePreferences) == 1
		}},
		{"a flag turns a block off", block, []string{"--tls=false", "--tlsverify"}, func(o *Options) bool { return !o.TLS && o.TLSConfig == nil }},
		{"certificates that name users are demanded", strings.Replace(block, "timeout: 3", "verify_and_map: true", 1) + "\nauthorization { users: [{user: \"CN=x\"}] }", nil,
			func(o *Options) bool { return o.TLSVerify && o.TLSMap && len(o.Users) == 1 }},
		{"names of nats-server 2.x", strings.NewReplacer("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", `TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
			"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`, "CurveP256", "X25519MLKEM768, CurveP256").Replace(block), nil, func(o *Options) bool {
			return len(o.TLSConfig.CipherSuites) == 5 && o.TLSConfig.CurvePreferences[0] == tls.X25519MLKEM768
		}},
		{"the oldest version", strings.Replace(block, "timeout: 3", "min_version: 1.3", 1), nil, func(o *Options) bool { return o.TLSConfig.MinVersion == tls.VersionTLS13 }},
		{"TLS before INFO", strings.Replace(block, "timeout: 3", "handshake_first: true", 1), nil, func(o *Options) bool { return o.TLSHandshakeFirst && o.TLSHandshakeFirstFallback == 0 }},
		{"TLS before INFO for clients that begin it", strings.Replace(block, "timeout: 3", "handshake_first: auto", 1), nil,
			func(o *Options) bool {
				return o.TLSHandshakeFirst && o.TLSHandshakeFirstFallback == 50*time.Millisecond
			}},
		{"TLS before INFO for clients that begin it in time", strings.Replace(block, "timeout: 3", `handshake_first: "300ms"`, 1), nil,
			func(o *Options) bool {
				return o.TLSHandshakeFirst && o.TLSHandshakeFirstFallback == 300*time.Millisecond
			}},
		{"INFO before TLS", strings.Replace(block, "timeout: 3", "handshake_first: no", 1), nil, func(o *Options) bool { return !o.TLSHandshakeFirst }},
		{"TLS for clients that want it", "allow_non_tls: true\n" + block, nil, func(o *Options) bool { return o.TLS && o.AllowNonTLS }},
		{"routes always verify", "cluster { port: 1\n" + strings.Replace(block, "}", `, ca_file: "`+path("ca.pem")+`" }`, 1) + "}", nil, func(o *Options) bool {
			c := o.Cluster.TLSConfig
			return o.TLSConfig == nil && c.ClientAuth == tls.RequireAndVerifyClientCert && c.RootCAs != nil && c.ClientCAs != nil && o.Cluster.TLSTimeout == 3
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if o := mustConfigure(t, tc.text, tc.args...); !tc.want(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestUserMayBeAURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string][2]string{
		"nats://derek:s%40fe@localhost:4222": {"derek", "s@fe"},
		"nats://derek@localhost":             {"derek", "other"},
		"derek:s3cret":                       {"derek:s3cret", "other"},
	} {
		o := mustConfigure(t, "", "--user", url, "--pass", "other")
		if got := [2]string{o.Username, o.Password}; got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	for _, url := range []string{"nats://localhost:4222", "nats://:s3cret@localhost", "nats://a:s3cret%zz@localhost"} {
		if _, err := configured(t, "", "--user", url); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.HasPrefix(err.Error(), "--user: ") {
			t.Errorf("%s: got %v, want an error without the password", url, err)
		}
	}
}
