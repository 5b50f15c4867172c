package server

import "time"

// This file holds a publisher back while everybody who receives from it lags.

// holdTime is the longest time a publisher is held back at a time.
const holdTime = 100 * time.Millisecond

// maxHold bounds how many targets a held publisher waits on.
const maxHold = 64

// hold waits until one of the targets, all of which lag, has caught up. Once is
// enough while there is room for what the publisher may send next; when all are
// so full that it might cut them, although they read, it waits on, as long as a
// write may take.
func (st *stage) hold() {
	wait := st.lagging[:min(len(st.lagging), maxHold)]
	for held := time.Duration(0); st.holdOnce(wait); {
		held += holdTime
		if held >= st.srv.options().WriteDeadline || st.from.ended() || !allCrowded(wait) {
			return
		}
	}
}

// holdOnce waits for holdTime. It reports false if one of the targets does not
// lag, or stopped lagging meanwhile.
func (st *stage) holdOnce(wait []*outbound) bool {
	select {
	case <-st.relief: // left over from an earlier wait
	default:
	}
	for i, o := range wait {
		if !o.await(st.relief) {
			forgetAll(wait[:i], st.relief)
			return false
		}
	}
	defer forgetAll(wait, st.relief)
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-st.relief:
		return false
	case <-timer.C:
		return true
	}
}

func forgetAll(wait []*outbound, relief chan<- bool) {
	for _, o := range wait {
		o.forget(relief)
	}
}

func allCrowded(wait []*outbound) bool {
	for _, o := range wait {
		if !o.crowded() {
			return false
		}
	}
	return true
}
