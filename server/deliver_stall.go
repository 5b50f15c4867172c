package server

import "time"

// stall holds a publisher back while everyone who receives from it lags behind (a producer stall).
type stall struct {
	resume chan bool // made once
}

// stallStep is the longest time a publisher is stalled at a time.
const stallStep = 100 * time.Millisecond

// maxStallTargets bounds how many targets a stalled publisher waits for.
const maxStallTargets = 64

// wait waits until one of the targets, all of which lag, has caught up. Once is
// enough while there is room for what the publisher may send next; when all are
// so full that it might disconnect them, although they read, it waits on, as long as a
// write may take.
func (w *stall) wait(b *batch, lagging []*outbound) {
	targets := lagging[:min(len(lagging), maxStallTargets)]
	for stalled := time.Duration(0); w.once(targets); {
		stalled += stallStep
		if stalled >= b.srv.options().WriteDeadline || b.from.ended() || !allNearFull(targets) {
			return
		}
	}
}

// once waits for stallStep. It reports false if one of the targets does not
// lag, or stopped lagging meanwhile.
func (w *stall) once(targets []*outbound) bool {
	if w.resume == nil {
		w.resume = make(chan bool, 1)
	}
	select {
	case <-w.resume: // left over from an earlier wait
	default:
	}
	for i, o := range targets {
		if !o.await(w.resume) {
			forgetAll(targets[:i], w.resume)
			return false
		}
	}
	defer forgetAll(targets, w.resume)
	timer := time.NewTimer(stallStep)
	defer timer.Stop()
	select {
	case <-w.resume:
		return false
	case <-timer.C:
		return true
	}
}

func forgetAll(targets []*outbound, resume chan<- bool) {
	for _, o := range targets {
		o.forget(resume)
	}
}

func allNearFull(targets []*outbound) bool {
	for _, o := range targets {
		if !o.crowded() {
			return false
		}
	}
	return true
}
