package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

// TestAClientIsNotStaleWhileItSends has a client send a part of a message, and not answer a PING: the answer
// comes after the message.
func TestAClientIsNotStaleWhileItSends(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	secure := func(o *Options) {
		o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
	}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		dial   func(testing.TB, *Server) *wire.Client
	}{{"plain", nil, dialClient}, {"TLS", secure, probingTLS}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const interval = time.Second
			s := broker(t, tt.change)
			w := tt.dial(t, s)
			c := s.clients.all()[0]
			c.mu.Lock()
			c.ping.outstanding = 1
			c.mu.Unlock()
			eventually(t, "nothing is received for a while", func() bool { return netio.SinceReceived(c.nc) > interval })
			c.answersLate(interval) // notes what it has taken
			if c.answersLate(interval) {
				t.Error("answers are late where nothing is received")
			}
			okay(t, w.Send("PUB foo 1000\r\nthe beginning"))
			eventually(t, "answers are late", func() bool { return c.answersLate(interval) })
			okay(t, w.Send(strings.Repeat("x", 1000-len("the beginning"))+"\r\n"))
			w.Sync() // PING
			c.lastIn.Store(0)
			if c.answersLate(interval) {
				t.Error("answers are late where nothing is received but PINGs")
			}
		})
	}
}
