package server

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failingListener fails some times, as where no descriptor is left, and is closed then.
type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures < 0 {
		return nil, net.ErrClosed
	}
	return nil, errors.New("too many open files")
}

// TestAcceptPausesAfterErrors has a port where nothing can be accepted: it is tried less and less
// often, once a second at last, and each attempt is a line of the log.
func TestAcceptPausesAfterErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(nil)
		okay(t, err)
		log := &lineCollector{}
		s.SetLogger(log, false, false)
		const failures = 20
		began := time.Now()
		s.conns.Add(1)
		s.accept(&failingListener{failures: failures}, "Client", s.roomForClient, func(net.Conn) { t.Error("a connection is served") })
		if took := time.Since(began); took < (failures-8)*acceptMaxPause || took > failures*acceptMaxPause {
			t.Errorf("%d attempts took %v", failures, took)
		}
		lines := 0
		for _, line := range log.all() {
			if strings.HasPrefix(line, "Temporary Client Accept Error (too many open files), sleeping ") {
				lines++
			}
		}
		if lines != failures {
			t.Errorf("got %d lines in the log, want %d: %q", lines, failures, log.all())
		}
	})
}

// TestEachRefusedClientIsALineOfTheLog has more clients than may connect.
func TestEachRefusedClientIsALineOfTheLog(t *testing.T) {
	t.Parallel()
	const refused = 30
	log := &lineCollector{}
	s := broker(t, func(o *Options) { o.MaxConn = 1 })
	s.SetLogger(log, false, false)
	dialClient(t, s).Drain()
	for range refused {
		attack(t, "127.0.0.1", s.Addr(), "")
	}
	count := func() (n int) {
		for _, line := range log.all() {
			if strings.HasSuffix(line, " - maximum connections exceeded") {
				n++
			}
		}
		return n
	}
	eventually(t, "a line for each", func() bool { return count() >= refused })
	if got := count(); got != refused {
		t.Errorf("got %d lines in the log, want %d", got, refused)
	}
}
