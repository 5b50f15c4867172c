package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tests here walk the tables of settings in conf/README.md, which another test keeps equal to
// the broker's own, so that no key and no flag can come without a test that runs the binary: every
// spelling must be taken, and every setting must have an effect in serverEffects or a table like it.

// setting is a row of the tables in conf/README.md.
type setting struct {
	section     string   // "" for the top level
	keys, flags []string // all spellings; flags with their dashes
	kind        string
	reload      string // "yes" or "no"; empty for what is no value of its own
}

// name is the path of the setting or, if it is a flag only, the flag.
func (s setting) name() string {
	switch {
	case len(s.keys) == 0:
		return s.flags[0]
	case s.section == "":
		return s.keys[0]
	}
	return s.section + "." + s.keys[0]
}

// documentedSettings reads the tables of conf/README.md.
func documentedSettings(t *testing.T) (all []setting) {
	t.Helper()
	text, err := os.ReadFile("../conf/README.md")
	must(t, err)
	_, tables, _ := strings.Cut(string(text), "<!-- options:")
	tables, _, ok := strings.Cut(tables, "<!-- end of options -->")
	if !ok {
		t.Fatal("conf/README.md has no tables of settings")
	}
	section := ""
	code := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(tables) {
		if title, ok := strings.CutPrefix(line, "#### "); ok {
			section = strings.Trim(title, "`\n")
			if section == "Top level" {
				section = ""
			}
		}
		cells := strings.Split(line, " | ")
		if len(cells) < 6 || !strings.Contains(cells[0]+cells[1], "`") {
			continue
		}
		s := setting{section: section, kind: strings.TrimSpace(cells[2]), reload: strings.TrimSpace(cells[4])}
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			s.keys = append(s.keys, m[1])
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			s.flags = append(s.flags, m[1])
		}
		all = append(all, s)
	}
	return all
}

// sample is a value for a setting.
type sample struct {
	file    string // as in a file
	flag    string // as on a command line, if that is not the same without quotes
	printed string // as --print-config shows it, if that is not as in a file; a pattern
	as      string // the key it shows it at, if another
}

// kindSamples are values that do for most settings of a kind.
var kindSamples = map[string]sample{
	"string":            {file: `"x"`},
	"integer":           {file: "7"},
	"size":              {file: "7"},
	"port":              {file: "7"},
	"boolean":           {file: "true"},
	"duration":          {file: `"7s"`},
	"seconds":           {file: "7"},
	"port or host:port": {file: `"127.0.0.1:7"`},
	"list of host:port": {file: `["127.0.0.2:7"]`},
	`"text" or "json"`:  {file: "json", printed: `"json"`},
	`"1.2" or "1.3"`:    {file: `"1.3"`},

	`boolean, "auto" or duration`: {file: "true"},
}

// ownSamples are values for settings that need one of their own. CERTS is a directory of
// certificates.
var ownSamples = map[string]sample{
	"listen":         {file: `"127.0.0.1:7"`, printed: "7", as: "port"},
	"http":           {file: `"127.0.0.1:7"`, printed: "7", as: "http_port"},
	"https":          {file: `"127.0.0.1:7"`, printed: "7", as: "https_port"},
	"http_base_path": {file: `"/x"`},
	"http_password":  {file: `"x"`, printed: `"\$\{GNATSD_HTTP_PASSWORD\}"`},

	"authorization.password":            {file: `"x"`, printed: `"\$\{GNATSD_AUTHORIZATION_PASSWORD\}"`},
	"authorization.token":               {file: `"x"`, printed: `"\$\{GNATSD_AUTHORIZATION_TOKEN\}"`},
	"authorization.default_permissions": {file: "{ publish: x }", printed: `\{publish: .*\}`},
	"authorization.default_limits":      {file: "{ max_payload: 5 }", printed: `\{max_payload: 5\}`},
	"accounts":                          {file: "{ A { users: [ { user: x, password: y } ] } }", printed: `\{`},
	"system_account":                    {file: "A\naccounts: { A { users: [] } }", printed: `"A"`},
	"authorization.users":               {file: "[ { user: x, password: y } ]", printed: `\[`},

	"tls.cert_file":         {file: `"CERTS/server-cert.pem"`},
	"tls.key_file":          {file: `"CERTS/server-key.pem"`},
	"tls.ca_file":           {file: `"CERTS/ca.pem"`},
	"cluster.compression":   {file: `"s2_fast"`},
	"http_hosts":            {file: `["nats.example.com"]`},
	"tls.cipher_suites":     {file: `["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`},
	"tls.curve_preferences": {file: `["CurveP256"]`},

	"cluster.listen":      {file: `"127.0.0.1:7"`, printed: "7", as: "port"},
	"cluster.routes":      {file: `["nats://h:7"]`, flag: "nats://h:7"},
	"cluster.permissions": {file: "{ import: x }", printed: `\{import: .*\}`},

	"cluster.authorization.password":    {file: `"x"`, printed: `"\$\{GNATSD_CLUSTER_AUTHORIZATION_PASSWORD\}"`},
	"cluster.authorization.permissions": {file: "{ import: x }", printed: `\{import: .*\}`},

	"cluster.tls.cert_file":         {file: `"CERTS/srva-cert.pem"`},
	"cluster.tls.key_file":          {file: `"CERTS/srva-key.pem"`},
	"cluster.tls.ca_file":           {file: `"CERTS/ca.pem"`},
	"cluster.tls.cipher_suites":     {file: `["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`},
	"cluster.tls.curve_preferences": {file: `["CurveP256"]`},
}

// sampleOf returns a value for a setting, with directories filled in.
func sampleOf(t *testing.T, s setting, certs string) sample {
	t.Helper()
	v, ok := ownSamples[s.name()]
	if !ok {
		v, ok = kindSamples[s.kind]
	}
	if !ok {
		t.Fatalf("no value for %s, %s", s.name(), s.kind)
	}
	v.file = strings.ReplaceAll(v.file, "CERTS", certs)
	if v.flag == "" {
		v.flag = strings.Trim(v.file, `"`)
	}
	if v.printed == "" {
		v.printed = regexp.QuoteMeta(v.file)
	}
	if v.as == "" && len(s.keys) > 0 {
		v.as = s.keys[0]
	}
	return v
}

// inSection puts a line into the maps it belongs to. The line is the last but the closing braces.
func inSection(section, line, certs string) string {
	pair := func(name string) string {
		return fmt.Sprintf("cert_file: \"%s/%s-cert.pem\"\nkey_file: \"%s/%s-key.pem\"\n", certs, name, certs, name)
	}
	switch section {
	case "authorization":
		switch key := strings.ToLower(line); {
		case strings.Contains(key, "token") || strings.Contains(key, "users"):
		case strings.Contains(key, "permission"):
			line = "users = [{user: u, password: p}]\n" + line
		default:
			line = "user: u\npassword: p\n" + line
		}
		return "authorization {\n" + line + "\n}"
	case "tls":
		return "tls {\n" + pair("server") + line + "\n}"
	case "cluster":
		return "cluster {\nport: 8\n" + line + "\n}"
	case "cluster.authorization":
		return "cluster {\nport: 8\nauthorization {\nuser: u\npassword: p\n" + line + "\n} }"
	case "cluster.tls":
		return "cluster {\nport: 8\ntls {\n" + pair("srva") + line + "\n} }"
	}
	if strings.Contains(strings.ToLower(line), "http_user") || strings.Contains(strings.ToLower(line), "http_password") {
		return "http_user: u\nhttp_password: p\n" + line // one of them alone is refused
	}
	return line
}

// hasNoValue says which settings print nothing of their own.
func hasNoValue(s setting) bool {
	return s.kind == "map" && !strings.HasSuffix(s.name(), "permissions") || s.name() == "cluster.authorization.token" || s.name() == "cluster.authorization.users"
}

// printedConfig is what --print-config says of a command line.
func printedConfig(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, append(args, "--print-config")...)
	if code != 0 || stderr != "" {
		t.Fatalf("gnatsd %q: exit %d: %s", args, code, stderr)
	}
	return stdout
}

func TestEverySpellingOfEveryKey(t *testing.T) {
	t.Parallel()
	certs := filepath.ToSlash(certFiles(t))
	for _, s := range documentedSettings(t) {
		if hasNoValue(s) || len(s.keys) == 0 {
			continue
		}
		v := sampleOf(t, s, certs)
		for _, key := range s.keys {
			t.Run(s.section+"/"+key, func(t *testing.T) {
				t.Parallel()
				line := "   " + strings.ToUpper(key) + ": " + v.file
				text := inSection(s.section, line, certs)
				before, _, _ := strings.Cut(text, line)
				file := writeConfig(t, text)
				want := fmt.Sprintf(`(?m)^ *%s: %s +# %s:%d:4$`, v.as, v.printed, regexp.QuoteMeta(file), 1+strings.Count(before, "\n"))
				if got := printedConfig(t, "-c", file); !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("got no %s in\n%s", want, got)
				}
			})
		}
	}
}

// flagOnly says what a flag without a key of its own sets, by the key it is printed at.
var flagOnly = map[string]sample{
	"--tls":     {printed: `"[^"]*server-cert.pem"`, as: "cert_file"},
	"-DV":       {printed: "true", as: "trace"},
	"--cluster": {flag: "nats://h:7", printed: `"h"`, as: "host"},
}

// beside are flags that others need.
func beside(flag, certs string) []string {
	if strings.HasPrefix(flag, "--tls") {
		return []string{"--tlscert", certs + "/server-cert.pem", "--tlskey", certs + "/server-key.pem"}
	}
	switch flag {
	case "--user":
		return []string{"--pass", "p"}
	case "--pass":
		return []string{"--user", "u"}
	}
	if slices.Contains([]string{"--routes", "--no_advertise", "--cluster_advertise", "--connect_retries", "--cluster_name"}, flag) {
		return []string{"--cluster", "nats://127.0.0.1:8"}
	}
	return nil
}

// TestEverySpellingOfEveryFlag types every flag in all the ways there are, over a file that says
// something else.
func TestEverySpellingOfEveryFlag(t *testing.T) {
	t.Parallel()
	certs := filepath.ToSlash(certFiles(t))
	for _, s := range documentedSettings(t) {
		for _, flag := range s.flags {
			if flag == "-c" || flag == "--config" {
				continue // every other test reads a file
			}
			t.Run(flag, func(t *testing.T) {
				t.Parallel()
				v, ok := flagOnly[s.flags[0]]
				if !ok {
					v = sampleOf(t, s, certs)
				}
				file := writeConfig(t, "port: 1\nhost: file\ndebug: false\nlogtime: true\nping_max: 3")
				name := strings.TrimLeft(flag, "-")
				forms := [][]string{{"-" + name, v.flag}, {"--" + name, v.flag}, {"-" + name + "=" + v.flag}, {"--" + name + "=" + v.flag}}
				if s.kind == "boolean" {
					forms = [][]string{{"-" + name}, {"--" + name}, {"-" + name + "=true"}, {"--" + name + "=t"}}
				}
				want := fmt.Sprintf(`(?m)^ *%s: %s +# flag -`, v.as, v.printed)
				for _, form := range forms {
					args := slices.Concat(beside(flag, certs), []string{"-c", file}, form)
					if got := printedConfig(t, args...); !regexp.MustCompile(want).MatchString(got) {
						t.Errorf("%q: got no %s in\n%s", args, want, got)
					}
				}
			})
		}
	}
}

// TestSwitchesCanBeTurnedOff has a file say true and the flag say false.
func TestSwitchesCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	certs := filepath.ToSlash(certFiles(t))
	for _, s := range documentedSettings(t) {
		if s.kind != "boolean" || len(s.keys) == 0 {
			continue
		}
		for _, flag := range s.flags {
			t.Run(flag, func(t *testing.T) {
				t.Parallel()
				file := writeConfig(t, inSection(s.section, s.keys[0]+": true", certs))
				want := fmt.Sprintf(`(?m)^ *%s: false +# flag -`, s.keys[0])
				if got := printedConfig(t, "-c", file, flag+"=false"); !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("got no %s in\n%s", want, got)
				}
			})
		}
	}
}

// commandFlags are the flags that set nothing, with a test of each.
var commandFlags = map[string]func(*testing.T){
	"-h": TestHelpFlag, "--help": TestHelpFlag,
	"-v": TestVersionFlag, "--version": TestVersionFlag,
	"-t":             TestFilesOfOtherBrokers,
	"--diff":         TestDiffFlag,
	"--health":       TestHealthFlag,
	"--print-config": TestEverySpellingOfEveryKey,
	"--explain":      TestExplainFlag,
	"--help_tls":     TestTLSHelpFlag,
	"--man":          TestPagesOfTheManual,
	"--completion":   TestCompletionInTheShells,
	"--schema":       TestSchemaHasTheKeys,
	"--top":          TestTopFlag,
	"-sl":            TestSignalFlagByTarget, "--signal": TestSignalFlagByTarget,
}

func TestEveryFlagOfTheUsageIsTested(t *testing.T) {
	t.Parallel()
	tested := slices.Collect(maps.Keys(commandFlags))
	for _, s := range documentedSettings(t) {
		tested = append(tested, s.flags...)
	}
	usage, _, _ := run(t, "-h")
	line := regexp.MustCompile(`(?m)^ {4,8}(-\w+)?(?:, ?)?(--[\w-]+)?`)
	for _, m := range line.FindAllStringSubmatch(usage, -1) {
		for _, flag := range m[1:] {
			if flag != "" && !slices.Contains(tested, flag) {
				t.Errorf("no test for flag %s", flag)
			}
		}
	}
}

func TestEverySettingHasItsEffect(t *testing.T) {
	t.Parallel()
	effects := map[string]func(*testing.T){}
	for _, some := range []map[string]func(*testing.T){serverEffects, limitEffects, monitorEffects, loginEffects, tlsEffects, clusterEffects} {
		maps.Copy(effects, some)
	}
	known := map[string]bool{}
	for _, s := range documentedSettings(t) {
		name := s.name()
		known[name] = true
		switch effect := effects[name]; {
		case effect != nil:
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				effect(t)
			})
		case effectsElsewhere[name] == nil:
			t.Errorf("no test shows what %s does", name)
		}
	}
	for _, names := range []map[string]func(*testing.T){effects, effectsElsewhere} {
		for name := range names {
			if !known[name] {
				t.Errorf("a test of %s, which is no setting", name)
			}
		}
	}
}

// effectsElsewhere are settings whose effect a test of its own shows.
var effectsElsewhere = map[string]func(*testing.T){
	"pid_file":           TestPidAndPortsFiles,
	"ports_file_dir":     TestPidAndPortsFiles,
	"prof_port":          TestPidAndPortsFiles,
	"watch_config":       TestWatchedConfig,
	"-c":                 TestEverySpellingOfEveryKey,
	"log_file":           TestLogFileIsReopened,
	"logtime":            TestLogtimeFlag,
	"remote_syslog":      TestRemoteSyslog,
	"syslog":             TestLocalSyslog,
	"logfile_size_limit": TestLogFileIsRotated,
	"logfile_max_num":    TestLogFileIsRotated,
	"log_format":         TestLogFormatJSON,
	"debug":              TestDebugAndTraceFlags,
	"trace":              TestDebugAndTraceFlags,
	"-DV":                TestDebugAndTraceFlags,
	"max_traced_msg_len": TestTracedPayloadIsTruncated,
	"authorization":      TestEverySpellingOfEveryKey, // a map: its keys
	"tls":                TestEverySpellingOfEveryKey,
	"cluster":            TestEverySpellingOfEveryKey,
}
