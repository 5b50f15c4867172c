package server

import (
	"path/filepath"
	"testing"
	"time"
)

// TestAClientIsNotStaleWhileItSends has a client send a part of a message, and not answer a PING: the answer
// comes after the message.
func TestAClientIsNotStaleWhileItSends(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	secure := func(o *Options) {
		o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
	}
	for _, dial := range []func() (*Server, error){
		func() (*Server, error) {
			s := broker(t, nil)
			return s, dialClient(t, s).Send("PUB foo 1000\r\nthe beginning")
		},
		func() (*Server, error) {
			s := broker(t, secure)
			return s, probingTLS(t, s).Send("PUB foo 1000\r\nthe beginning")
		},
	} {
		s, err := dial()
		okay(t, err)
		c := s.clients.all()[0]
		if c.answersLate(time.Hour) {
			t.Error("answers are late where none is missing")
		}
		c.mu.Lock()
		c.ping.outstanding = 1
		c.mu.Unlock()
		eventually(t, "what the client sends is known", func() bool { return c.answersLate(time.Hour) })
		if c.answersLate(0) {
			t.Error("what it sent before the last tick counts")
		}
	}
}
