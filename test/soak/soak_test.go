package soak

import (
	"flag"
	"testing"
	"time"
)

// servers is how many there are.
const servers = 3

// The flags exist on every system, so that the targets of the Makefile do, too.
var (
	duration = flag.Duration("soak.duration", 4*time.Second, "how long clients come, work and leave")
	rate     = flag.Int("soak.rate", 200, "operations of all clients in a second")
	curve    = flag.String("soak.curve", "", "write the curve of memory to this file, an SVG")
	profile  = flag.Bool("soak.profile", false, "open the profiling port, and keep a profile of a heap that has grown beside the curve")
	first    = flag.Uint64("soak.seed", 1, "the seed of the first round; the others follow")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
