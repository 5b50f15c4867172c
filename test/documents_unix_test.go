//go:build unix

package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// printed is what the program prints with an option, and the file it is in.
func printed(t *testing.T, name string, args ...string) (text, file string) {
	t.Helper()
	stdout, stderr, code := run(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit %d, %q", args, code, stderr)
	}
	file = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return stdout, file
}

func TestPagesOfTheManual(t *testing.T) {
	t.Parallel()
	usage, _, _ := run(t, "-h")
	for name, page := range map[string]struct{ option, has string }{
		"gnatsd.8":      {"--man", "\n\\fB\\-p\\fR, \\fB\\-\\-port\\fR <port>\n"},
		"gnatsd.conf.5": {"--man=5", "\n\\fBmax_payload\\fR (size)\n"},
	} {
		text, file := printed(t, name, page.option)
		if !strings.Contains(text, page.has) {
			t.Errorf("%s has no %q", name, page.has)
		}
		for _, check := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"man", "--warnings", "-l"}} {
			tool := lookFor(t, check[0], map[string]string{"mandoc": "mandoc", "man": "man-db"}[check[0]])
			if tool == "" {
				continue
			}
			cmd := exec.Command(tool, append(check[1:], file)...)
			var faults strings.Builder
			cmd.Stderr = &faults
			if check[0] == "mandoc" {
				cmd.Stdout = &faults
			}
			cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
			if err := cmd.Run(); err != nil || faults.Len() > 0 {
				t.Errorf("%s: %s: %v\n%s", name, check[0], err, faults.String())
			}
		}
	}
	text, _, _ := run(t, "--man")
	for line := range strings.Lines(usage) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, "-") {
			name = strings.TrimRight(strings.Split(strings.Split(name, "[")[0], ",")[0], ",")
			if !strings.Contains(text, `\fB`+strings.ReplaceAll(name, "-", `\-`)+`\fR`) {
				t.Errorf("gnatsd(8) has no %s", name)
			}
		}
	}
	if _, stderr, code := run(t, "--man=1"); code != 1 || !strings.Contains(stderr, "there are 8 and 5") {
		t.Errorf("section 1: got %d, %q", code, stderr)
	}
}

// lookFor returns the path of a program, "" if it is not installed. Where the environment has CI, all
// must be.
func lookFor(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("CI") != "" {
		t.Errorf("needs %s (Debian: apt-get install %s)", program, debian)
	} else if err != nil {
		t.Logf("without %s (Debian: apt-get install %s)", program, debian)
	}
	return path
}

func TestCompletionInTheShells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "my own.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for shell, script := range map[string]string{
		// Each writes what it completes to one line each.
		"bash": `source "$1"
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gnatsd; (IFS=,; echo "${COMPREPLY[*]}"); }
complete_line gnatsd --comp
complete_line gnatsd -sl re
complete_line gnatsd --signal = ld
complete_line gnatsd -c my
complete_line gnatsd --server_n
complete_line gnatsd -p 4`,
		"fish": `source $argv[1]
for line in 'gnatsd --comp' 'gnatsd -sl re' 'gnatsd --signal=ld' 'gnatsd -c my' 'gnatsd --server_n' 'gnatsd -p 4'
	set -l out (complete -C $line | string split -f 1 \t)
	echo (string join -- , $out)
end`,
		"zsh": zshAsks,
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			program := lookFor(t, shell, shell)
			if program == "" {
				return
			}
			_, file := printed(t, "gnatsd."+shell, "--completion", shell)
			args := []string{"-c", script, "-", file}
			if shell == "fish" {
				args = []string{"-N", "-c", script, file}
			}
			cmd := exec.Command(program, args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			if err != nil || len(lines) != 6 {
				t.Fatalf("%v\n%s", err, out)
			}
			for i, want := range []string{"--completion", "reopen,reload", "ldm", "my own.conf", "--server_name", ""} {
				got := strings.ReplaceAll(strings.ReplaceAll(lines[i], "--signal=", ""), `\ `, " ")
				if want == "reopen,reload" && got == "reload,reopen" {
					continue
				}
				if got != want {
					t.Errorf("line %d: got %q, want %q", i, got, want)
				}
			}
		})
	}
	if _, stderr, code := run(t, "--completion", "tcsh"); code != 1 || !strings.Contains(stderr, "bash, zsh, fish") {
		t.Errorf("tcsh: got %d, %q", code, stderr)
	}
}

// zshAsks replaces _arguments by a function that understands as much of its arguments as the test
// asks for: the real one works only inside an editor with a terminal.
const zshAsks = `
function _files { print -l -- $~prefix*(N) | paste -sd, -; found=1 }
function _arguments {
	local spec names
	for spec in "$@"; do
		spec=${spec#\(*\)}
		names=${spec%%\[*}; names=${names%=-}
		if [[ -z $flag ]]; then
			[[ $names == $prefix* ]] && hits+=($names)
		elif [[ $names == $flag ]]; then
			case $spec in
			*:_files) _files ;;
			*:\(*\)) local words=${spec##*:\(}; for w in ${(s: :)${words%\)}}; do [[ $w == $prefix* ]] && hits+=($w); done ;;
			esac
		fi
	done
}
function ask { flag=$1 prefix=$2 hits=() found=; source $file; [[ -n $found ]] || print -- ${(j:,:)hits} }
file=$1
ask '' --comp
ask -sl re
ask --signal ld
ask -c my
ask '' --server_n
ask -p 4
`

func TestSchemaHasTheKeys(t *testing.T) {
	t.Parallel()
	text, _ := printed(t, "schema.json", "--schema")
	type schema struct {
		Schema     string `json:"$schema"`
		Properties map[string]schema
		Type       any
		Enum       []string
		Deprecated bool
		Maximum    *int64
	}
	var root schema
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	at := func(path string) schema {
		s := root
		for key := range strings.SplitSeq(path, ".") {
			next, ok := s.Properties[key]
			if !ok {
				t.Fatalf("no %s", path)
			}
			s = next
		}
		return s
	}
	if p := at("port"); p.Type != "integer" || p.Maximum == nil || *p.Maximum != 65535 {
		t.Errorf("port: got %+v", p)
	}
	if p := at("cluster.authorization.pass"); p.Type != "string" {
		t.Errorf("an alias: got %+v", p)
	}
	if p := at("log_format"); strings.Join(p.Enum, " ") != "text json" {
		t.Errorf("log_format: got %+v", p)
	}
	if p := at("jetstream"); !p.Deprecated {
		t.Errorf("a key of nats-server: got %+v", p)
	}
	if p := at("max_payload"); p.Maximum != nil {
		t.Errorf("max_payload: larger values are allowed, but the maximum is %d", *p.Maximum)
	}
}
