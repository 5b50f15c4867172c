package server

import (
	"testing"
)

// slowHook is an [Authentication] that admits the client "slow" only when it is told to.
type slowHook struct {
	asked, admit chan struct{}
}

func (h *slowHook) Check(c ClientAuthentication) bool {
	if c.GetOpts().Name == "slow" {
		h.asked <- struct{}{}
		<-h.admit
	}
	return true
}

// TestASlowHookDelaysNoOthers has the hook of an embedding program wait, for a client that has just
// connected, and for one that has published before: what others send and ask for goes on.
func TestASlowHookDelaysNoOthers(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"a new client":           "",
		"one that has published": `CONNECT {"verbose":false,"name":"quick"}` + "\r\nPUB foo 2\r\nhi\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := &slowHook{asked: make(chan struct{}, 1), admit: make(chan struct{})}
			s := broker(t, func(o *Options) { o.CustomClientAuthentication = hook })
			sub := dialClient(t, s)
			okay(t, sub.Send("SUB foo 1\r\nPING\r\n"))
			if d, err := sub.Next(); d != nil || err != nil {
				t.Fatalf("got %v, %v, want PONG", d, err)
			}
			slow := openClient(t, s)
			okay(t, slow.Send(first+`CONNECT {"verbose":false,"name":"slow"}`+"\r\nPING\r\n"))
			<-hook.asked
			if first != "" {
				if d, err := sub.Next(); d == nil || err != nil {
					t.Fatalf("got %v, %v, want a message", d, err)
				}
			}
			okay(t, sub.Send("UNSUB 1\r\nPING\r\n"))
			if d, err := sub.Next(); d != nil || err != nil {
				t.Errorf("got %v, %v, want PONG: an UNSUB waits for the hook", d, err)
			}
			if n := s.grace.Pinned(); n != 0 {
				t.Errorf("%d batches are pinned, want none", n)
			}
			close(hook.admit)
			if d, err := slow.Next(); d != nil || err != nil {
				t.Errorf("the slow client: got %v, %v, want PONG", d, err)
			}
		})
	}
}
