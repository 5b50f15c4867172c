package server

import "testing"

// TestSpeedSilentLogAllocatesNothing: lines that no log takes cost no memory.
func TestSpeedSilentLogAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := broker(t, nil)
	log := newLineLog()
	s.SetLogger(log, false, false)
	c := dialClient(t, s)
	c.Drain()
	owner := s.clients.all()[0]
	for name, f := range map[string]func(){
		"debugf":       func() { owner.debugf("Client Ping Timer") },
		"tracef":       func() { owner.tracef("<<- [PONG]") },
		"server debug": func() { s.Debugf("Server id is known") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}
