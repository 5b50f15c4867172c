package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
	"gnatsd/test/wire"
)

// TestGuessersDoNotDelayALogin has 40 clients that try passwords all the time, and then one that
// knows its password, for the first time: how many of their passwords are checked before it is
// counted.
func TestGuessersDoNotDelayALogin(t *testing.T) {
	t.Parallel()
	const guessers = 40
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), 8)
	okay(t, err)
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) { o.Username, o.Password = "u", string(hash) })
			addr := s.Addr().String()
			var refused atomic.Int64
			var all sync.WaitGroup
			quit := make(chan struct{})
			for i := range guessers {
				all.Go(func() { // ends with quit
					for n := 0; ; n++ {
						select {
						case <-quit:
							return
						default:
						}
						nc, err := net.Dial("tcp", addr)
						if err != nil {
							return
						}
						nc.SetDeadline(time.Now().Add(patience))
						fmt.Fprintf(nc, "CONNECT {\"user\":\"u\",\"pass\":\"%d.%d\"}\r\n", i, n)
						if text, _ := io.ReadAll(nc); strings.Contains(string(text), "Authorization Violation") {
							refused.Add(1)
						}
						nc.Close()
					}
				})
			}
			t.Cleanup(func() {
				close(quit)
				all.Wait()
			})
			eventually(t, "they are known", func() bool { return refused.Load() > guessers })
			before := refused.Load()
			w := wire.Of(t, attack(t, from, s.Addr(), `CONNECT {"verbose":false,"user":"u","pass":"right"}`+"\r\nPING\r\n"))
			w.ReadInfo()
			if line, err := w.Line(); err != nil || line != "PONG\r\n" {
				t.Fatalf("got %q, %v, want PONG", line, err)
			}
			if got := refused.Load() - before; got > guessers/2 {
				t.Errorf("%d of %d guessers were answered first, want %d at most", got, guessers, guessers/2)
			}
		})
	}
}

// TestAllPortsShareOneLimiter occupies the limiter of a server: no port checks a password.
func TestAllPortsShareOneLimiter(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	okay(t, err)
	s := monitored(t, Options{
		Username: "u", Password: string(hash), HTTPUsername: "u", HTTPPassword: string(hash),
		Cluster: ClusterOpts{Host: "127.0.0.1", Port: RandomPort, Username: "r", Password: string(hash), AuthTimeout: 60}, AuthTimeout: 60,
	})
	var slots []*admission.Slot
	for range admission.SpareProcessors() {
		slot, err := s.limiter.Acquire(t.Context(), admission.Source{})
		okay(t, err)
		slots = append(slots, slot)
	}
	var open atomic.Bool
	var logins sync.WaitGroup
	login := func(port string, answered func() error) {
		logins.Go(func() { // ends with the answer
			err := answered()
			if err != nil || !open.Load() {
				t.Errorf("%s: answered while the limiter was occupied, or %v", port, err)
			}
		})
	}
	login("clients", func() error {
		nc := attack(t, "127.0.0.1", s.Addr(), `CONNECT {"verbose":false,"user":"u","pass":"wrong"}`+"\r\n")
		_, err := io.ReadAll(nc)
		return err
	})
	login("routes", func() error {
		nc := attack(t, "127.0.0.1", s.ClusterAddr(), `CONNECT {"verbose":false,"user":"r","pass":"wrong"}`+"\r\n")
		_, err := io.ReadAll(nc)
		return err
	})
	login("monitoring", func() error {
		r, err := http.NewRequest(http.MethodGet, "http://"+s.MonitorAddr().String()+"/varz", nil)
		if err != nil {
			return err
		}
		r.SetBasicAuth("u", "wrong")
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	eventually(t, "all three wait", func() bool { return s.limiter.Waiting() == 3 })
	open.Store(true)
	for _, slot := range slots {
		slot.Release()
	}
	logins.Wait()
}
