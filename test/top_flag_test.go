package test

import (
	"strings"
	"testing"

	"gnatsd/test/wire"
)

func TestTopFlag(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--server_name", "first")
	pages := p.await(t, `Starting http monitor on (\S+)$`)[1]
	c := wire.Dial(t, p.addr(t))
	c.Do(`CONNECT {"verbose":false,"name":"orders-service"}`)
	out, stderr, code := run(t, "--top", "http://"+pages, "-n", "1")
	if code != 0 || stderr != "" {
		t.Fatalf("got exit %d: %s", code, stderr)
	}
	for _, want := range []string{"first", "orders-service"} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in %s", want, out)
		}
	}
	if out, stderr, code := run(t, "--top", "http://127.0.0.1:1", "-n", "1"); code != 1 || out != "" || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("nothing listens there: got exit %d, %q, %q", code, out, stderr)
	}
}
