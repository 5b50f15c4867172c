package monitor

import (
	"net/http"
	"runtime"
	"runtime/pprof"
)

// maxFullStacks is how many goroutines /stacksz dumps one by one. The dump stops the whole program,
// 10 us for each (measured); beyond that, goroutines with the same stack are counted together,
// which stops nothing.
const maxFullStacks = 1000

// serveStacks answers /stacksz: what every goroutine does.
func (m *Monitor) serveStacks(w http.ResponseWriter, r *http.Request) {
	var body *Body
	var err error
	dump := func(b *Body) {
		debug := 1
		if runtime.NumGoroutine() <= maxFullStacks {
			debug = 2
		}
		body, err = b, pprof.Lookup("goroutine").WriteTo(b, debug)
	}
	if written := m.alone(r, dump); written != nil {
		defer written()
		if err != nil {
			m.fail(w, r, err)
			return
		}
		m.answer(w, r, body)
	}
}
