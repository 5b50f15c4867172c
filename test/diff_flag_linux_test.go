package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// diff is a run of gnatsd -t --diff that ends with this status, and what it says.
func (r *reloadable) diff(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := command(t, append([]string{"-t", "-c", r.file}, args...)...)
	cmd.Env = append(os.Environ(), "NAME=here")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its status says
	got := cmd.ProcessState.ExitCode()
	if got != code {
		t.Errorf("got exit %d, want %d: %s%s", got, code, stdout.String(), stderr.String())
	}
	return strings.ReplaceAll(stdout.String()+stderr.String(), r.file, "FILE")
}

func TestDiffFlag(t *testing.T) {
	t.Parallel()
	users := func(pass string) string {
		return "authorization { users: [ {user: anna, password: " + pass + "} ] }"
	}
	r := &reloadable{file: writeConfig(t, "max_payload: 10\nmax_pending: 1MB\nserver_name: $NAME\n"+users("canary1"))}
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-D", "-c", r.file)
	cmd.Env = append(os.Environ(), "NAME=of_the_process")
	r.process = launch(t, cmd)
	r.process.addr(t)
	pid := strconv.Itoa(r.cmd.Process.Pid)
	const valid = "gnatsd: configuration file FILE is valid\n"
	warned := func(line int) string {
		return fmt.Sprintf("warning: FILE:%d:26: Plaintext passwords detected. Use Nkeys or Bcrypt passwords in config files.\n", line) + valid
	}
	if got, want := r.diff(t, 0, "--diff="+pid), "A reload of process "+pid+" would change nothing.\n"+warned(4); got != want {
		t.Errorf("nothing: got %q, want %q", got, want)
	}

	r.rewrite(t, "max_payload: 11\nmax_pending: 1MB\nserver_name: $NAME\nport: 77\ndebug: false\n"+users("canary2"))
	want := fmt.Sprintf(`A reload of process %s would change:
  max_payload: 10 -> 11 (FILE:1:1)
  authorization.users: changed, to [{user: "anna", password: "[REDACTED]"}] (FILE:6:17)
`, pid) + warned(6)
	if got := r.diff(t, 0, "--diff="+pid); got != want {
		t.Errorf("under the flags that hold the port: got %s, want %s", got, want)
	}
	r.signal(t, syscall.SIGHUP)
	r.await(t, `Reloaded server configuration$`)
	if got := r.diff(t, 0, "--diff="+pid); !strings.Contains(got, "would change nothing") {
		t.Errorf("after the reload: got %s", got)
	}

	r.rewrite(t, "max_payload: 11\nmax_pending: 2MB\nserver_name: $NAME\n"+users("canary2"))
	want = fmt.Sprintf("A reload of process %s would be refused, because this needs a restart:\n  max_pending: 1MB -> 2MB (FILE:2:1)\n", pid) + warned(4)
	if got := r.diff(t, 1, "--diff="+pid); got != want {
		t.Errorf("a fixed setting: got %s, want %s", got, want)
	}
	r.rewrite(t, "max_payload: 12\nmax_pending: 2MB\nserver_name: $NAME\n"+users("canary2"))
	if got := r.diff(t, 1, "--diff="+pid); !strings.Contains(got, "-> 12 (FILE:1:1)\nbut it would be refused, because this needs a restart:\n  max_pending: ") {
		t.Errorf("both: got %s", got)
	}
	r.rewrite(t, "max_payload: {")
	if got := r.diff(t, 1, "--diff="+pid); strings.Contains(got, "reload of") || !strings.Contains(got, "FILE:1:14: ") {
		t.Errorf("a broken file: got %s", got)
	}

	old := writeConfig(t, "max_payload: 9\ntls { timeout: 2 }")
	must(t, os.WriteFile(old, []byte("max_payload: 9\n"), 0o600))
	r.rewrite(t, "max_payload: 12")
	if got, want := r.diff(t, 0, "--diff="+old), "A reload of a server with "+old+" would change:\n  max_payload: 9 -> 12 (FILE:1:1)\n"+valid; got != want {
		t.Errorf("files: got %s, want %s", got, want)
	}
	for _, args := range [][]string{{"--diff=" + t.TempDir() + "/none"}, {"--diff=2147483647"}} {
		if got := r.diff(t, 1, args...); strings.Contains(got, "reload of") {
			t.Errorf("%q: got %s", args, got)
		}
	}
	if _, stderr, code := run(t, "--diff"); code != 1 || !strings.Contains(stderr, "--diff needs a configuration file") {
		t.Errorf("without a file: got exit %d, %s", code, stderr)
	}
}

// besideOne compares a file with the only broker there is, as pid 1 of a container would.
const besideOne = `
gnatsd=$1; cd $2
echo "max_payload: 10" >x.conf
$gnatsd -a 127.0.0.1 -p -1 -c x.conf 2>log & one=$!
until grep -qs "Server is ready" log; do :; done
echo "max_payload: 11" >x.conf
$gnatsd -t --diff -c x.conf; echo "status $?"
kill $one; wait $one
`

func TestDiffFlagFindsTheBroker(t *testing.T) {
	t.Parallel()
	if got := isolated(t, besideOne); !strings.Contains(got, "would change:\n  max_payload: 10 -> 11 (x.conf:1:1)\n") || !strings.Contains(got, "status 0\n") {
		t.Errorf("got %s", got)
	}
}
