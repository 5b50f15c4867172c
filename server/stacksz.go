package server

import (
	"bytes"
	"net/http"
	"runtime"
	"runtime/pprof"
)

// maxFullStacks is how many goroutines /stacksz dumps one by one. The dump stops
// the whole program, 10 us for each (measured); beyond that, goroutines with
// the same stack are counted together, which stops nobody.
const maxFullStacks = 1000

// HandleStacksz answers /stacksz: what every goroutine does.
func (s *Server) HandleStacksz(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	s.largePage(r, func() {
		debug := 1
		if runtime.NumGoroutine() <= maxFullStacks {
			debug = 2
		}
		pprof.Lookup("goroutine").WriteTo(&b, debug)
	})
	s.answer(w, r, b.Bytes())
}
