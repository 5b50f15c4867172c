package test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// The tests here type what stands in the blocks of the pages, in a network of its own, where all
// ports are free, and among processes of its own, where no other broker can be found. What a block
// is, the word after its fence says:
//
//	sh       commands, one a line; one that serves goes on until the next heading
//	console  commands after "$ ", and what they write; "..." stands for anything
//	log      what the broker that was started last logs, in this order, among other lines
//	conf     a configuration that -t finds valid; under the name in its first line, if that is "# NAME.conf"
//	go       a program, under the name in its first line, "// NAME.go"
//	text, yaml, ini  not run

// pageKinds are the blocks that pages may have.
var pageKinds = map[string]func(*typist, *testing.T, *pageBlock){
	"sh":      (*typist).script,
	"console": (*typist).dialogue,
	"log":     (*typist).logged,
	"conf":    (*typist).configuration,
	"go":      func(w *typist, t *testing.T, b *pageBlock) { w.keep(t, b, "// ") },
	"text":    nil, "yaml": nil, "ini": nil,
}

// TestCommandsOfThePages runs TestAmongThePages in name spaces of its own.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	path, err := program()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := inNamespaces(t, []string{"--net", "--fork", "--pid", "--mount-proc", "--kill-child"}, self, "-test.run=^TestAmongThePages$", "-test.v")
	cmd.Env = append(os.Environ(), builtProgram+"="+path)
	out, err := cmd.CombinedOutput()
	if lacks := regexp.MustCompile(`(?m)^ .*: not run: needs .*$`).FindAllString(string(out), -1); err == nil && len(lacks) > 0 {
		missing(t, strings.Join(lacks, "; "))
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAmongThePages") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestAmongThePages is what TestCommandsOfThePages runs. The pages follow each other, for they
// share ports.
func TestAmongThePages(t *testing.T) {
	if os.Getenv(builtProgram) == "" {
		t.Skip("for TestCommandsOfThePages")
	}
	bringUpLoopback(t)
	for _, path := range pagePaths {
		t.Run(path, func(t *testing.T) {
			w := newTypist(t)
			p := readPage(t, path)
			for i := range p.blocks {
				b := &p.blocks[i]
				if i > 0 && p.blocks[i-1].heading != b.heading {
					w.endServers(t)
				}
				do, known := pageKinds[b.kind]
				if !known {
					t.Errorf("%s:%d: a block of an unknown kind: %q", path, b.line, b.kind)
				}
				if do != nil {
					w.at = b
					do(w, t, b)
				}
			}
			w.endServers(t)
		})
	}
}

// typist follows a page from top to bottom, with a copy of the repository.
type typist struct {
	at      *pageBlock
	root    string // of the files that sudo works on
	dir     string // the working directory
	env     []string
	servers []*process
}

func newTypist(t *testing.T) *typist {
	t.Helper()
	tmp := t.TempDir()
	w := &typist{root: filepath.Join(tmp, "root"), dir: filepath.Join(tmp, "gnatsd")}
	copyRepository(t, w.dir)
	path, err := program()
	must(t, err)
	bin := filepath.Join(tmp, "bin")
	must(t, os.Mkdir(bin, 0o755))
	for name, script := range standIns {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	w.env = append(os.Environ(), "ROOT="+w.root, "PATH="+bin+":"+filepath.Dir(path)+":"+os.Getenv("PATH"),
		"GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "CGO_ENABLED=0") // what is in the module cache must do
	for _, dir := range []string{"etc/systemd/system", "usr/sbin"} {
		must(t, os.MkdirAll(filepath.Join(w.root, dir), 0o755))
	}
	must(t, os.Symlink(path, filepath.Join(w.dir, "gnatsd")))
	return w
}

// copyRepository makes a copy that has what a clone of the repository has: no certificates.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	must(t, os.Mkdir(to, 0o755))
	for _, name := range []string{"main.go", "go.mod", "go.sum", "Makefile", "README.md", "server", "conf", "logger", "sublist", "util", "test"} {
		from := filepath.Join("..", name)
		info, err := os.Stat(from)
		must(t, err)
		if info.IsDir() {
			must(t, os.CopyFS(filepath.Join(to, name), os.DirFS(from)))
			continue
		}
		text, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), text, 0o644))
	}
	must(t, os.RemoveAll(filepath.Join(to, "test", "configs", "certs")))
}

// standIns are in the place of programs that a test cannot run, because they change the machine or
// need a daemon. They do what can be done without, and fail if the files that they are given are
// not there.
var standIns = map[string]string{
	// sudo moves what is absolute below $ROOT.
	"sudo": `program=$1; shift; n=$#
while [ $n -gt 0 ]; do case $1 in /*) set -- "$@" "$ROOT$1";; *) set -- "$@" "$1";; esac; shift; n=$((n-1)); done
exec "$program" "$@"`,
	"useradd": `for name; do :; done; echo "$name" >>"$ROOT/users"`,
	"systemctl": `case "$*" in
"enable --now gnatsd") grep -q gnatsd "$ROOT/users" && test -x "$ROOT/usr/sbin/gnatsd" && exec gnatsd -t -c "$ROOT/etc/gnatsd.conf" 2>/dev/null;;
"daemon-reload") ;;
"reload gnatsd"|"restart gnatsd"|"stop gnatsd"|"status gnatsd"|"edit gnatsd") test -f "$ROOT/etc/systemd/system/gnatsd.service";;
*) echo "systemctl $*?" >&2; exit 1;;
esac`,
	"journalctl": `test "$*" = "-u gnatsd"`,
	// docker runs the program as the image would, but on the files of this machine.
	"docker": `verb=$1; shift
case $verb in
build) while [ $# -gt 1 ]; do case $1 in
	-f) test -f "$2" || exit 1; shift 2;;
	-t|--build-arg) shift 2;;
	*) echo "docker build $1?" >&2; exit 1;;
	esac; done; test -d "$1";;
run) conf=util/docker/gnatsd.conf
	while :; do case $1 in
	-d|--rm) shift;;
	-p|--name) shift 2;;
	-v) conf=${2%%:*}; shift 2;;
	gnatsd) shift; break;;
	*) echo "docker run $1?" >&2; exit 1;;
	esac; done
	if [ $# -eq 0 ]; then set -- -c "$conf"; fi
	exec gnatsd "$@";;
exec) test "$2" = /gnatsd || exit 1; shift 2; exec gnatsd "$@";;
stop) while gnatsd -sl term 2>/dev/null; do :; done;;
*) echo "docker $verb?" >&2; exit 1;;
esac`,
	"chgrp":   `grep -q "$1" "$ROOT/users" && test -f "$2"`,
	"apt-get": `test "$1" = install`,
	"kubectl": `test "$1 $2" = "apply -f" && test -f "$3"`,
	"helm":    `test "$1" = install && test -f "$3/Chart.yaml"`,
}

// script types the lines of a block.
func (w *typist) script(t *testing.T, b *pageBlock) {
	for _, line := range joinContinued(b.lines) {
		if line != "" && !strings.HasPrefix(line, "#") {
			w.typed(t, line, nil)
		}
	}
}

// dialogue types the lines after "$ ", and compares what they write with the lines that follow.
func (w *typist) dialogue(t *testing.T, b *pageBlock) {
	var line string
	var want []string
	for _, next := range append(joinContinued(b.lines), "$ ") {
		command, typed := strings.CutPrefix(next, "$ ")
		if !typed {
			want = append(want, next)
			continue
		}
		if line != "" {
			w.typed(t, line, want)
		}
		line, want = command, []string{}
	}
}

// joinContinued joins lines that end with a backslash with the next one.
func joinContinued(lines []string) []string {
	text := strings.Join(lines, "\n")
	return strings.Split(regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, ""), "\n")
}

// configuration checks a configuration.
func (w *typist) configuration(t *testing.T, b *pageBlock) {
	t.Helper()
	name := w.keep(t, b, "# ")
	if name == "" {
		name = "unnamed.conf"
		must(t, os.WriteFile(filepath.Join(w.dir, name), []byte(b.text()), 0o600))
	}
	cmd := exec.Command("sh", "-c", "gnatsd -t -c "+name)
	cmd.Dir, cmd.Env = w.dir, w.env
	out, err := cmd.CombinedOutput()
	got := adviceInExamples.ReplaceAllString(string(out), "")
	if want := "gnatsd: configuration file " + name + " is valid\n"; err != nil || got != want {
		t.Errorf("%s: got %v, %s", name, err, out)
	}
}

// adviceInExamples are warnings about what is right for an example.
var adviceInExamples = regexp.MustCompile(`(?m)^warning: .*(Plaintext passwords detected|have no (subscribe|publish) entries).*\n`)

// keep writes a block to the file that its first line names behind the mark, if it does.
func (w *typist) keep(t *testing.T, b *pageBlock, mark string) (name string) {
	t.Helper()
	name, ok := strings.CutPrefix(b.lines[0], mark)
	if !ok || strings.Contains(name, " ") || filepath.Ext(name) == "" {
		return ""
	}
	must(t, os.WriteFile(filepath.Join(w.dir, name), []byte(b.text()), 0o600))
	return name
}

// oneShot are the flags with which the program does not serve.
var oneShot = regexp.MustCompile(` (-t|-v|-h|-sl|--signal|--help_tls|--print-config|--explain|--schema|--man|--completion|--top|--diff|--health)\b`)

// typed runs a command. What it writes is compared with want, unless that is nil.
func (w *typist) typed(t *testing.T, line string, want []string) {
	t.Helper()
	words := strings.Fields(line)
	line = strings.NewReplacer("REPOSITORY", "..", "/path/to/gnatsd", repositoryRoot(t),
		"go mod tidy", "go mod tidy -e").Replace(line) // without a network it lacks what tests of others need
	switch {
	case words[0] == "cd":
		w.dir = filepath.Join(w.dir, words[1])
	case words[0] == "export":
		w.env = append(w.env, strings.Trim(strings.TrimPrefix(line, "export "), `"'`))
	case strings.HasPrefix(line, "go test ./"):
		w.tests(t, words[2:])
	case strings.HasPrefix(line, "git clone "):
		w.dir = t.TempDir()
		copyRepository(t, filepath.Join(w.dir, words[len(words)-1]))
	case words[0] == "make":
		w.makes(t, words[1:])
	case words[0] == "telnet":
		w.telnet(t, want)
	case words[0] == "nats":
		w.nats(t, words)
	case w.lacks(t, words[0]):
	case strings.HasPrefix(line, "docker run "), filepath.Base(words[0]) == "gnatsd" && !oneShot.MatchString(line):
		w.serves(t, line, want)
	default:
		w.runs(t, line, want)
	}
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	must(t, err)
	return root
}

// pagePackages are packages of Debian that are not called as their program is.
var pagePackages = map[string]string{"promtool": "prometheus"}

// lacks reports whether a program is not installed, which is noted.
func (w *typist) lacks(t *testing.T, program string) bool {
	t.Helper()
	find := exec.Command("sh", "-c", "command -v "+program)
	find.Dir, find.Env = w.dir, w.env
	if find.Run() == nil {
		return false
	}
	t.Logf("%s:%d: not run: needs %s", w.at.page, w.at.line, debianPackage(program, cmp.Or(pagePackages[program], program)))
	return true
}

// nats is in the place of the NATS command line, which Debian does not have: it connects as that
// would, with the same flags. The lines of README.md are typed by make clients, which installs it.
func (w *typist) nats(t *testing.T, words []string) {
	t.Helper()
	if w.at.page == "README.md" {
		return
	}
	flags := map[string]string{}
	for i := 1; i+1 < len(words); i += 2 {
		flags[words[i]] = words[i+1]
	}
	file := func(flag string) string { return filepath.Join(w.dir, flags[flag]) }
	nc, err := goClient(flags["--server"], nats.RootCAs(file("--tlsca")), nats.ClientCert(file("--tlscert"), file("--tlskey")))
	if err != nil {
		t.Errorf("%s:%d: %v", w.at.page, w.at.line, err)
		return
	}
	nc.Close()
}

// makes looks whether a target of the Makefile is there: CI makes all of them. After a build there
// is the binary.
func (w *typist) makes(t *testing.T, words []string) {
	t.Helper()
	targets := slices.DeleteFunc(words, func(word string) bool { return strings.Contains(word, "=") })[:1]
	cmd := exec.Command("make", "-n", targets[0])
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", w.at.page, w.at.line, err, out)
	}
	path, err := program()
	must(t, err)
	if err := os.Symlink(path, filepath.Join(w.dir, "gnatsd")); err != nil && !os.IsExist(err) {
		t.Error(err)
	}
}

// tests looks whether a package is there, and the test that is to be run of it: they are run
// anyway.
func (w *typist) tests(t *testing.T, words []string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(w.dir, words[0])); err != nil {
		t.Errorf("%s:%d: %v", w.at.page, w.at.line, err)
	}
	if i := slices.Index(words, "-run"); i >= 0 && len(testPlaces(t)[words[i+1]]) == 0 {
		t.Errorf("%s:%d: there is no %s", w.at.page, w.at.line, words[i+1])
	}
}

// telnet compares the conversation with the one that TestTelnet has.
func (w *typist) telnet(t *testing.T, want []string) {
	t.Helper()
	got := strings.ReplaceAll(strings.Join(want, "\n")+"\n", `INFO {...} `, "INFO {}")
	if said := strings.ReplaceAll(telnetSession, "\n>", "\n"); got != said {
		t.Errorf("%s:%d: got %s, want what TestTelnet sees: %s", w.at.page, w.at.line, got, said)
	}
}

// runs runs a command that must end, and well.
func (w *typist) runs(t *testing.T, line string, want []string) {
	t.Helper()
	late, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(late, "sh", "-c", line)
	cmd.Dir, cmd.Env, cmd.WaitDelay = w.dir, w.env, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", w.at.page, w.at.line, line, err, out)
	}
	if want != nil && !looseText(want).MatchString(string(out)) {
		t.Errorf("%s:%d: %s: got\n%swant\n%s", w.at.page, w.at.line, line, out, strings.Join(want, "\n"))
	}
}

// serves starts a broker and waits until it is ready, or has logged all that the page says.
func (w *typist) serves(t *testing.T, line string, want []string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = w.dir, w.env
	p := launch(t, cmd)
	w.servers = append(w.servers, p)
	if len(want) == 0 {
		want = []string{"... Server is ready"}
	}
	for _, one := range want {
		p.await(t, looseLine(one))
	}
}

// logged looks for lines in the log of the broker that was started last, each behind the one
// before.
func (w *typist) logged(t *testing.T, b *pageBlock) {
	t.Helper()
	p := w.servers[len(w.servers)-1]
	from := 0
	for _, want := range b.lines {
		re := regexp.MustCompile(looseLine("..." + want))
		if i := slices.IndexFunc(p.seen[from:], re.MatchString); i >= 0 {
			from += i + 1
			continue
		}
		p.await(t, re.String())
		from = len(p.seen)
	}
}

// endServers ends what serves under a heading, in order.
func (w *typist) endServers(t *testing.T) {
	t.Helper()
	for _, p := range slices.Backward(w.servers) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // nothing new for one that a command of the page has stopped
		if code, log := p.finish(); code != 0 {
			t.Errorf("%s:%d: a broker ended with status %d:\n%s", w.at.page, w.at.line, code, strings.Join(log, "\n"))
		}
	}
	w.servers = nil
}

// looseText matches lines as a page has them; a line "..." stands for any number of lines.
func looseText(lines []string) *regexp.Regexp {
	var b strings.Builder
	for _, line := range lines {
		if line == "..." {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSuffix(strings.TrimPrefix(looseLine(line), "^"), "$"))
	}
	return regexp.MustCompile("^" + strings.TrimSuffix(b.String(), "\n") + "\n?$")
}

// looseParts are what differs from run to run, as a page has it, and patterns for what may stand
// there.
var looseParts = []struct{ written, matches *regexp.Regexp }{
	{regexp.MustCompile(`\\\.\\\.\\\.`), regexp.MustCompile(`.*`)},
	{regexp.MustCompile(`^\\\[\d+\\\] `), regexp.MustCompile(`\[\d+\] `)},                                               // process id
	{regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\\\.\d{6}`), regexp.MustCompile(`\d+/\d+/\d+ \d+:\d+:\d+\.\d+`)}, // time
	{regexp.MustCompile(`Git commit \\\[[0-9a-f]+\\\]`), regexp.MustCompile(`Git commit \[.*\]`)},
	{regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`), regexp.MustCompile(`[0-9A-Za-z]{22}`)},        // server id
	{regexp.MustCompile(`127\\\.0\\\.0\\\.1:5\d{4}`), regexp.MustCompile(`127\.0\.0\.1:\d+`)}, // a port of the system's choice
	{regexp.MustCompile(`process \d+`), regexp.MustCompile(`process \d+`)},
}

// looseLine is a pattern for a line as a page has it.
func looseLine(line string) string {
	pattern := regexp.QuoteMeta(line)
	for _, part := range looseParts {
		pattern = part.written.ReplaceAllLiteralString(pattern, part.matches.String())
	}
	return "^" + pattern + "$"
}
