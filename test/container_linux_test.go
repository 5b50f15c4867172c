package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inContainer finds, signals and loses brokers in a name space of processes of its own, where no
// other broker can be found. The first broker stands in for one with pid 1: the shell is replaced
// by it at the end of a second script.
const inContainer = `
ready() { until grep -q "Server is ready" $1; do :; done; }
gnatsd=$1; cd $2; PATH=/none
echo "none: $($gnatsd -sl quit 2>&1)"
$gnatsd -a 127.0.0.1 -p -1 2>one & one=$!
PATH=/bin:/usr/bin; ready one; PATH=/none
$gnatsd -sl reopen && PATH=/bin:/usr/bin && until grep -q "re-open ignored" one; do :; done; PATH=/none
$gnatsd -a 127.0.0.1 -p -1 2>two & two=$!
PATH=/bin:/usr/bin; ready two; PATH=/none
echo "several: $($gnatsd -sl quit 2>&1)"; echo "pids: $one $two"
$gnatsd -sl term=$two; wait $two; echo "two ended: $?"
echo "unknown: $($gnatsd -sl jump 2>&1)"
$gnatsd -sl quit; wait $one; echo "one ended: $?"
`

// asInit runs a broker as pid 1 and ends it by its name from within.
const asInit = `
gnatsd=$1; cd $2
( until grep -qs "Server is ready" init; do :; done; $gnatsd -sl quit ) &
exec $gnatsd -a 127.0.0.1 -p -1 2>init
`

// inNamespaces is a command in name spaces of its own, of these kinds.
func inNamespaces(t *testing.T, kinds []string, words ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("unshare"); err != nil {
		missing(t, debianPackage("unshare", "util-linux"))
	}
	if os.Getuid() != 0 {
		kinds = append([]string{"--map-root-user"}, kinds...)
	}
	if out, err := exec.Command("unshare", append(kinds[:len(kinds):len(kinds)], "true")...).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("name spaces with %v: %v: %s", kinds, err, out))
	}
	late, cancel := context.WithTimeout(t.Context(), 4*patience)
	t.Cleanup(cancel)
	return exec.CommandContext(late, "unshare", append(kinds, words...)...)
}

// isolated runs a script as the only processes there are, with the binary and an empty directory as
// arguments.
func isolated(t *testing.T, script string) string {
	t.Helper()
	gnatsd, err := program()
	must(t, err)
	out, err := inNamespaces(t, []string{"--fork", "--pid", "--mount-proc", "--kill-child"}, "sh", "-c", script, "sh", gnatsd, t.TempDir()).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return string(out)
}

func TestSignalFlagFindsTheBroker(t *testing.T) {
	t.Parallel()
	got := isolated(t, inContainer)
	for _, want := range []string{
		"none: no gnatsd processes running\n",
		"several: multiple gnatsd processes running:\n",
		"two ended: 0\n",
		"unknown: unknown signal \"jump\"\n",
		"one ended: 0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, got)
		}
	}
	m := regexp.MustCompile(`processes running:\n(\d+)\n(\d+)\npids: (\d+) (\d+)\n`).FindStringSubmatch(got)
	if m == nil || m[1] != m[3] || m[2] != m[4] {
		t.Errorf("got not the pids of both in\n%s", got)
	}
}

func TestSignalFlagFindsTheFirstProcess(t *testing.T) {
	t.Parallel()
	script := strings.Replace(asInit, "exec $gnatsd", "exec $gnatsd -P pid", 1)
	if got := isolated(t, script); got != "" {
		t.Errorf("got %q, want silence", got)
	}
}

// inImage runs the image's command with nothing around it, as docker does, and then a second one
// beside it, as docker exec does. The arguments are the image's root, its CMD, and a file for the
// log.
const inImage = `
chroot "$1" /gnatsd $2 2>"$3" & broker=$!
until grep -qs "Server is ready" "$3"; do :; done
chroot "$1" /gnatsd -sl quit
wait $broker; echo "ended: $?"
`

// TestImageStartsFromScratch does what util/Dockerfile does, short of Docker: a static binary and
// its configuration are all there is.
func TestImageStartsFromScratch(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	gnatsd, err := program()
	must(t, err)
	must(t, os.Link(gnatsd, filepath.Join(root, "gnatsd")))
	text, err := os.ReadFile("../util/docker/gnatsd.conf")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "gnatsd.conf"), text, 0o600))
	must(t, os.Mkdir(filepath.Join(root, "proc"), 0o755)) // docker mounts it
	script := `mount -t proc proc "$1/proc"` + "\ncd /\n" + inImage
	log := filepath.Join(t.TempDir(), "log")
	out, err := inNamespaces(t, []string{"--fork", "--pid", "--net", "--mount-proc", "--kill-child"}, "sh", "-c", script, "sh", root, "-c gnatsd.conf", log).CombinedOutput()
	if err != nil || string(out) != "ended: 0\n" {
		t.Errorf("%v:\n%s", err, out)
	}
	logged, err := os.ReadFile(log)
	must(t, err)
	for _, want := range []string{"Starting http monitor on 127.0.0.1:8222", "Listening for client connections on 0.0.0.0:4222"} {
		if !strings.Contains(string(logged), want) {
			t.Errorf("got no %q in\n%s", want, logged)
		}
	}
	if never := "Listening for route connections"; strings.Contains(string(logged), never) {
		t.Errorf("got %q, want no port for routes:\n%s", never, logged)
	}
}
