package torture

import (
	"flag"
	"time"
)

// The flags exist on every system, so that the target of the Makefile does, too.
var (
	all    = flag.Bool("torture.all", false, "let every call fail, as make torture does, not a sample")
	seed   = flag.Uint64("torture.seed", 1, "which sample")
	only   = flag.String("torture.only", "", "one fault, as it is named in a report: write log:3:ENOSPC:1")
	places = flag.String("torture.places", "", "calls at places that match this expression only, such as '(write|rename) log'")
	jobs   = flag.Int("torture.jobs", 4, "sessions at a time")
)

// patience bounds every wait. It is long, because only a failure uses it up.
const patience = 2 * time.Minute
