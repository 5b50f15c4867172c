package test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// inContainer finds, signals and loses brokers in a name space of processes of its own, where no other broker can be found. The
// first broker stands in for one with pid 1: the shell is replaced by it at the end of a second script.
const inContainer = `
ready() { until grep -q "Server is ready" $1; do :; done; }
gnatsd=$1; cd $2; PATH=/none
echo "none: $($gnatsd -sl quit 2>&1)"
$gnatsd -a 127.0.0.1 -p -1 2>one & one=$!
PATH=/bin:/usr/bin; ready one; PATH=/none
$gnatsd -sl reopen && PATH=/bin:/usr/bin && until grep -q "re-open ignored" one; do :; done; PATH=/none
$gnatsd -a 127.0.0.1 -p -1 2>two & two=$!
PATH=/bin:/usr/bin; ready two; PATH=/none
echo "several: $($gnatsd -sl quit 2>&1)"
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

// namespaces skips the test where nobody may make such name spaces.
func namespaces(t *testing.T, kinds ...string) {
	t.Helper()
	if out, err := exec.Command("unshare", append(kinds, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no name spaces with %v here: %v: %s", kinds, err, out)
	}
}

// isolated runs a script as the only processes there are, with the binary and an empty directory as arguments.
func isolated(t *testing.T, script string) string {
	t.Helper()
	gnatsd, err := program()
	must(t, err)
	namespaces(t, "--fork", "--pid", "--mount-proc")
	late, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	out, err := exec.CommandContext(late, "unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", gnatsd, t.TempDir()).CombinedOutput()
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
}

func TestSignalFlagFindsTheFirstProcess(t *testing.T) {
	t.Parallel()
	script := strings.Replace(asInit, "exec $gnatsd", "exec $gnatsd -P pid", 1)
	if got := isolated(t, script); got != "" {
		t.Errorf("got %q, want silence", got)
	}
}
