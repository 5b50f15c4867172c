package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file compares what -t, a start and a reload make of one configuration file.

// settingValues are the values that files of FuzzCheckStartReload have. In them CERTS stands for a
// folder of certificates, and DIR for an empty one.
var settingValues = []string{
	"true", "false", "0", "1", "2", "3", "-1", "-7", "77", "5000", "70000", "4222", "4333", "6222", "1k", "8mb", "1.5", "9223372036854775807",
	`"1s"`, `"2m"`, `"10ms"`, `"25h"`, `"-1s"`, `"a"`, `"A"`, `"b"`, `"x y"`, `""`, `"*"`, `"a.>"`, `"a..b"`, "{}", "[]", "{ a: 1 }", "[1]", "$NOT_SET", "$HOME",
	`"127.0.0.1"`, `"127.0.0.1:4333"`, `"0.0.0.0:4222"`, `"h:1"`, `":4444"`, `["127.0.0.1:5001"]`, `["127.0.0.1:5001", "127.0.0.1:5002"]`, `["127.0.0.1:4222"]`,
	`["nats://127.0.0.1:6001"]`, `["nats://u:p@127.0.0.1:6002", "nats://127.0.0.1:6222"]`, `"nats://h:1"`, `"udp://127.0.0.1:514"`, `"foo://x"`,
	`{ user: a, password: b }`, `{ user: a }`, `{ token: abc, timeout: 2 }`, `{ users: [{user: a, password: b}, {user: c, password: d, permissions: {publish: "x", subscribe: {deny: ["y.>"]}}}] }`,
	`[{user: a, password: b}]`, `[{user: a, password: b, permissions: {publish: {allow: ["x", "y.>"]}, allow_responses: true}}]`, `[{user: a, password: b}, {user: a, password: c}]`,
	`[{nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT}]`, `{ publish: "x", subscribe: ["y", "z.*"] }`, `{ import: "a.>", export: { deny: b } }`, `{ max_payload: 100, max_connections: 2 }`,
	`{ A: { users: [{user: s, password: t}] } }`, `{ A: { users: [] }, SYS: { users: [{user: s, password: t}] } }`, `"SYS"`, `"text"`, `"json"`, `"s2_fast"`, `"off"`, `"accept"`, `"1.3"`, `"1.2"`,
	`["TLS_RSA_WITH_AES_128_CBC_SHA"]`, `["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]`, `["CurveP256"]`, `"DIR/file"`, `"DIR/none/file"`, `"DIR"`,
	`"CERTS/server-cert.pem"`, `"CERTS/server-key.pem"`, `"CERTS/ca.pem"`, `"CERTS/client-cert.pem"`,
	`{ cert_file: "CERTS/server-cert.pem", key_file: "CERTS/server-key.pem" }`, `{ cert_file: "CERTS/server-cert.pem", key_file: "CERTS/server-key.pem", ca_file: "CERTS/ca.pem", verify: true }`,
	`{ cert_file: "CERTS/server-cert.pem", key_file: "CERTS/client-key.pem" }`, `{ timeout: 3 }`,
}

// settingTree is a section of a file: what follows each key is a value or a section.
type settingTree struct {
	keys   []string
	values map[string]string
	inner  map[string]*settingTree
}

func newSettingTree() *settingTree {
	return &settingTree{values: map[string]string{}, inner: map[string]*settingTree{}}
}

// set sets a key in sections.
func (s *settingTree) set(path []string, value string) {
	key := path[0]
	if _, is := s.values[key]; !is && s.inner[key] == nil {
		s.keys = append(s.keys, key)
	}
	if len(path) == 1 {
		s.values[key] = value
		delete(s.inner, key)
		return
	}
	delete(s.values, key)
	if s.inner[key] == nil {
		s.inner[key] = newSettingTree()
	}
	s.inner[key].set(path[1:], value)
}

func (s *settingTree) write(b *strings.Builder) {
	for _, key := range s.keys {
		if in := s.inner[key]; in != nil {
			fmt.Fprintf(b, "%s {\n", key)
			in.write(b)
			b.WriteString("}\n")
			continue
		}
		fmt.Fprintf(b, "%s: %s\n", key, s.values[key])
	}
}

// triedServer is a server with a file that is replaced, and reloaded, again and again.
type triedServer struct {
	server *Server
	dir    string // of the file, of CERTS and DIR
	file   string
	base   string
	keys   [][]string
	first  *Options
}

// triedBase are the settings of the first file. All others have them, too, unless their script says
// something else.
var triedBase = []struct {
	path  []string
	value string
}{{[]string{"listen"}, "127.0.0.1:4222"}, {[]string{"cluster", "listen"}, "127.0.0.1:6222"}, {[]string{"http"}, "127.0.0.1:8222"}}

func newTriedServer(t testing.TB, dir string) *triedServer {
	t.Helper()
	p := &triedServer{dir: dir, file: filepath.Join(dir, "tried.conf")}
	p.base = p.text(nil)
	for _, r := range optionTable().Rows() {
		switch r.Key {
		case "", "syslog", "remote_syslog", "http_socket", "log_file": // what they need is not in the file
		default:
			p.keys = append(p.keys, strings.Split(r.Key, "."))
		}
	}
	okay(t, os.WriteFile(p.file, []byte(p.base), 0o600))
	o, _ := CommandLine([]string{"-c", p.file}, io.Discard, io.Discard)
	o.network, o.NoSigs, o.NoLog = newMemoryNet(), true, true
	p.server = startInMemory(t, o)
	p.first = p.server.options()
	return p
}

// text returns the file that a script describes: settings, and text as it is.
func (p *triedServer) text(script []byte) string {
	tree := newSettingTree()
	for _, s := range triedBase {
		tree.set(s.path, s.value)
	}
	for len(script) >= 2 && script[0] != 255 {
		key, value := p.keys[int(script[0])%len(p.keys)], settingValues[int(script[1])%len(settingValues)]
		if (key[0] == "pid_file" || key[0] == "ports_file_dir") && !strings.Contains(value, "DIR") {
			value = `"DIR/file"` // what is written is written there
		}
		tree.set(key, value)
		script = script[2:]
	}
	var b strings.Builder
	tree.write(&b)
	if len(script) > 0 {
		b.Write(script[1:])
	}
	return strings.NewReplacer("CERTS/", p.dir+"/certs/", "DIR", p.dir+"/data").Replace(b.String())
}

// try compares what -t, a start and a reload say of a file, and reloads the first one again.
func (p *triedServer) try(t *testing.T, text string) {
	t.Helper()
	okay(t, os.WriteFile(p.file, []byte(text), 0o600))
	var said strings.Builder
	_, status := CommandLine([]string{"-t", "-c", p.file}, io.Discard, &said)
	check := status == 0
	o, _ := CommandLine([]string{"-c", p.file}, io.Discard, io.Discard)
	unknown := o != nil && len(o.loaded.values.Unknown) > 0         // an error of -t only
	warned := strings.Contains(said.String(), "a start fails here") // on this machine, for lack of a folder
	if err := startOnce(o); !unknown && check != (err == nil) && !(check && warned) {
		t.Errorf("-t accepts it: %v, start: %v\n-t says %s\n%s", check, err, &said, text)
	}
	if !p.reload(t, text, check, unknown, said.String()) {
		return
	}
	okay(t, os.WriteFile(p.file, []byte(p.base), 0o600))
	if err := p.server.Reload(); err != nil {
		t.Fatalf("the first file cannot be loaded again: %v, after\n%s", err, text)
	}
	if diff := optionTable().Compare(p.first, p.server.options()); len(diff) > 0 {
		t.Fatalf("after the first file was loaded again %s is %s, after\n%s", diff[0].Row.Key, diff[0].New, text)
	}
}

// reload reloads a file, and reports whether that was accepted. Where it is refused nothing may have
// changed, and the reason is one of -t or that a setting needs a restart.
func (p *triedServer) reload(t *testing.T, text string, check, unknown bool, said string) (accepted bool) {
	t.Helper()
	s := p.server
	options, clients, routes, info := s.options(), s.policy.Load(), s.cluster.policy.Load(), s.info.Load()
	err := s.Reload()
	if err == nil {
		if !check && !unknown {
			t.Errorf("a reload accepts what -t refuses: %s\n%s", said, text)
		}
		p.wantInForce(t, text)
		return true
	}
	if s.options() != options || s.policy.Load() != clients || s.cluster.policy.Load() != routes || s.info.Load() != info {
		t.Errorf("something has changed by a reload that was refused: %v\n%s", err, text)
	}
	for _, reason := range reasons(err) {
		if check && !strings.Contains(reason.Error(), "config reload not supported for ") {
			t.Errorf("-t accepts what a reload refuses: %v\n%s", reason, text)
		}
	}
	return false
}

// wantInForce fails if the settings in force are not those of the file.
func (p *triedServer) wantInForce(t *testing.T, text string) {
	t.Helper()
	o, _ := CommandLine([]string{"-c", p.file}, io.Discard, io.Discard)
	if o == nil {
		t.Errorf("a reload accepts what a start refuses:\n%s", text)
		return
	}
	o.fill()
	if diff := optionTable().Compare(o, p.server.options()); len(diff) > 0 {
		t.Errorf("%s is %s, the file has %s:\n%s", diff[0].Row.Key, diff[0].New, diff[0].Old, text)
	}
}

// startOnce starts a server on a network of its own, and shuts it down. o is nil if the settings were
// refused before.
func startOnce(o *Options) error {
	if o == nil {
		return os.ErrInvalid
	}
	o.network, o.NoSigs, o.NoLog = newMemoryNet(), true, true
	if problems := o.startProblems(); len(problems) > 0 { // some are found when a port is opened
		return problems[0]
	}
	s, err := NewServer(o)
	if err != nil {
		return err
	}
	s.SetLogger(silentLog{}, false, false)
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }() // ends with Shutdown
	select {
	case <-s.ready:
	case err := <-ended:
		return err
	}
	s.Shutdown()
	return <-ended
}

// FuzzCheckStartReload makes a file of settings, and compares what -t, a start and a reload make of
// it.
func FuzzCheckStartReload(f *testing.F) {
	oneThread()
	dir := f.TempDir()
	for _, sub := range []string{"certs", "data"} {
		okay(f, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	okay(f, os.CopyFS(filepath.Join(dir, "certs"), os.DirFS(certDir(f))))
	p := newTriedServer(f, dir)
	f.Cleanup(func() {
		if p != nil {
			p.server.Shutdown()
		}
	})
	for i := range max(len(p.keys), len(settingValues)) {
		f.Add([]byte{byte(i), byte(i), byte(i * 3), byte(i * 5), byte(i * 7), byte(i * 11)})
	}
	key := func(name string) byte {
		return byte(slices.IndexFunc(p.keys, func(k []string) bool { return strings.Join(k, ".") == name }))
	}
	value := func(text string) byte { return byte(slices.Index(settingValues, text)) }
	for _, r := range [][2]string{
		{"tls", settingValues[len(settingValues)-4]}, {"tls", settingValues[len(settingValues)-3]}, {"tls", settingValues[len(settingValues)-2]}, {"cluster.tls", settingValues[len(settingValues)-4]},
		{"authorization", `{ user: a, password: b }`}, {"accounts", `{ A: { users: [{user: s, password: t}] } }`}, {"cluster.routes", `["nats://127.0.0.1:6001"]`}, {"pid_file", `"DIR/file"`}, {"ports_file_dir", `"DIR"`},
		{"max_payload", "1k"}, {"ping_interval", `"2m"`}, {"debug", "true"}, {"write_deadline", `"10ms"`}, {"cluster.permissions", `{ import: "a.>", export: { deny: b } }`}, {"cluster.compression", `"s2_fast"`},
	} {
		f.Add([]byte{key(r[0]), value(r[1])})
		f.Add([]byte{key(r[0]), value(r[1]), key("max_control_line"), value("1k"), key("authorization.timeout"), value("3")})
	}
	f.Add([]byte("\xffmax_payload: 5, foo: bar\ninclude \"none\""))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		if p == nil {
			p = newTriedServer(t, dir)
		}
		defer func() {
			if t.Failed() {
				p.server.Shutdown()
				p = nil
			}
		}()
		p.try(t, p.text(script))
	})
}
