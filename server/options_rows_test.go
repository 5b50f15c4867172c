package server

import (
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// programOnly are the fields of Options that no row sets, with the reason.
var programOnly = map[string]string{
	"ConfigFile":                 "flag -c",
	"NoLog":                      "for programs",
	"NoSigs":                     "for programs",
	"DontListen":                 "for programs",
	"RQSubsSweep":                "for programs; it has no effect",
	"NoSystemAccount":            "for programs; it has no effect",
	"DisableShortFirstPing":      "for programs",
	"Nkeys":                      "for programs; in a file an nkey is in users",
	"RoutesStr":                  "the text of --routes",
	"TLS":                        "a tls block or flag",
	"TLSConfig":                  "made of the rows of tls",
	"TLSHandshakeFirstFallback":  "a value of tls.handshake_first",
	"CustomClientAuthentication": "for programs",
	"CustomRouterAuthentication": "for programs",
	"Cluster.ListenStr":          "the text of --cluster",
	"Cluster.TLSConfig":          "made of the rows of cluster.tls",
	"Cluster.TLSTimeout":         "a row of cluster.tls",
}

// fieldNames lists the exported fields of Options as rows name them.
func fieldNames() []string {
	var names []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for f := range t.NumField() {
			f := t.Field(f)
			switch {
			case !f.IsExported():
			case f.Type == reflect.TypeFor[ClusterOpts]():
				walk(f.Type, f.Name+".")
			default:
				names = append(names, prefix+f.Name)
			}
		}
	}
	walk(reflect.TypeFor[Options](), "")
	return names
}

func TestEveryFieldHasARow(t *testing.T) {
	t.Parallel()
	inRow := map[string]bool{}
	for _, r := range optionTable().Rows() {
		if r.Field != "" {
			inRow[r.Field] = true
		}
	}
	names := fieldNames()
	for _, name := range names {
		if !inRow[name] && programOnly[name] == "" {
			t.Errorf("no row sets %s", name)
		}
	}
	for name := range inRow {
		if !slices.Contains(names, name) {
			t.Errorf("a row names field %s, which is not there", name)
		}
	}
}

func TestEveryRowIsDocumentedAndSaysWhatAReloadDoes(t *testing.T) {
	t.Parallel()
	for _, r := range optionTable().Rows() {
		name := r.Key
		if name == "" {
			name = r.Flags[0].Name()
		}
		if r.Doc == "" {
			t.Errorf("%s has no documentation", name)
		}
		if r.Field != "" && r.Expands == nil && r.Reload == "" {
			t.Errorf("%s does not say what a reload does", name)
		}
		for _, word := range []string{"password", "token"} {
			if strings.HasSuffix(r.Key, "."+word) && !r.Secret {
				t.Errorf("%s is not secret", name)
			}
		}
	}
}

// classicKeys are the keys of 1.1.0 and 1.4.1, and those of 2.x that are understood.
const classicKeys = `listen client_advertise port host net debug trace logtime authorization http https http_port monitor_port
	https_port cluster logfile log_file syslog remote_syslog pidfile pid_file prof_port max_control_line max_payload max_connections
	max_conn ping_interval ping_max tls write_deadline ports_file_dir max_pending max_subscriptions max_subs lame_duck_duration
	authorization.user authorization.username authorization.pass authorization.password authorization.token authorization.timeout
	authorization.users authorization.default_permissions authorization.default_permission authorization.permissions
	cluster.listen cluster.host cluster.net cluster.port cluster.authorization cluster.routes cluster.tls cluster.cluster_advertise
	cluster.advertise cluster.no_advertise cluster.connect_retries cluster.permissions
	cluster.authorization.user cluster.authorization.username cluster.authorization.pass cluster.authorization.password
	cluster.authorization.token cluster.authorization.timeout cluster.authorization.users cluster.authorization.permissions
	tls.cert_file tls.key_file tls.ca_file tls.verify tls.timeout tls.cipher_suites tls.curve_preferences
	cluster.tls.cert_file cluster.tls.key_file cluster.tls.ca_file cluster.tls.verify cluster.tls.timeout
	cluster.tls.cipher_suites cluster.tls.curve_preferences
	server_name cluster.name lame_duck_grace_period logfile_size_limit log_size_limit logfile_max_num max_traced_msg_len
	no_auth_user http_base_path log_format cluster.prefer_local tls.handshake_first tls.verify_and_map max_closed_clients allow_non_tls`

func TestEveryKeyIsKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range optionTable().Rows() {
		known[r.Key] = true
		i := strings.LastIndexByte(r.Key, '.')
		for _, a := range r.Aliases {
			known[r.Key[:i+1]+a] = true
		}
	}
	for _, key := range strings.Fields(classicKeys) {
		if !known[key] {
			t.Errorf("key %s is unknown", key)
		}
	}
}

func TestEveryFlagIsKnown(t *testing.T) {
	t.Parallel()
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	optionTable().Define(fs)
	switches := strings.Fields(`T logtime s syslog D debug V trace DV tls tlsverify no_advertise h help v version help_tls t print-config diff watch-config man schema`)
	values := strings.Fields(`a addr net p port client_advertise P pid m http_port ms https_port c config sl signal l log r
		remote_syslog user pass auth tlscert tlskey tlscacert routes cluster cluster_listen cluster_advertise connect_retries
		profile ports_file_dir n server_name cluster_name log_size_limit explain completion`)
	for _, name := range append(switches, values...) {
		f := fs.Lookup(name)
		if f == nil {
			t.Errorf("flag -%s is unknown", name)
			continue
		}
		if got := f.Value.(interface{ IsBoolFlag() bool }).IsBoolFlag(); got != slices.Contains(switches, name) {
			t.Errorf("flag -%s: got switch %v", name, got)
		}
	}
}

func TestDefaultsAreThoseOf14(t *testing.T) {
	t.Parallel()
	got := Defaults()
	got.network = nil
	want := &Options{
		Host: "0.0.0.0", Port: 4222, MaxConn: 65536, MaxControlLine: 4096, MaxPayload: 1 << 20, MaxPending: 64 << 20,
		MaxPendingTotal: 1 << 30, AuthTimeout: 1, TLSTimeout: .5, PingInterval: 120e9, MaxPingsOut: 2, WriteDeadline: 2e9,
		HTTPHost: "0.0.0.0", LogFormat: "text", MetricsPrefix: "gnatsd", MaxClosedClients: 10000, LameDuckDuration: 30e9, LameDuckGracePeriod: 1e9,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

var updateTables = flag.Bool("update-tables", false, "write the option tables into conf/README.md")

func TestConfigurationReferenceHasTheOptionTables(t *testing.T) {
	t.Parallel()
	const file, madeBy = "../conf/README.md", ": made by go test ./server -run OptionTables -update-tables -->\n"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(content)
	for name, table := range map[string]string{"options": OptionsMarkdown(), "refused keys": refusedKeysMarkdown()} {
		before, rest, ok := strings.Cut(want, "<!-- "+name+madeBy)
		_, after, ok2 := strings.Cut(rest, "<!-- end of "+name+" -->\n")
		if !ok || !ok2 {
			t.Fatalf("%s lacks the marks around the table of %s", file, name)
		}
		want = before + "<!-- " + name + madeBy + "\n" + table + "\n<!-- end of " + name + " -->\n" + after
	}
	if *updateTables {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(content) != want {
		t.Errorf("the option tables are out of date: run go test ./server -run OptionTables -update-tables")
	}
}
