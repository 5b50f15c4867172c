package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
	"gnatsd/test/wire"
)

// TestGuessersDoNotDelayALogin has 40 clients that try passwords all the time, and then others at
// another address that know theirs, each for the first time: how many guesses are answered before
// each is counted. What guessers do to their own address is tested in package admission.
func TestGuessersDoNotDelayALogin(t *testing.T) {
	t.Parallel()
	const guessers, logins = 40, 3
	cost := 8
	if raceEnabled { // which makes bcrypt much slower
		cost = 5
	}
	var users []*User
	for i := range logins + 1 {
		hash, err := bcrypt.GenerateFromPassword([]byte("right"), cost)
		okay(t, err)
		users = append(users, &User{Username: fmt.Sprintf("u%d", i), Password: string(hash)})
	}
	s := broker(t, func(o *Options) { o.Users = users })
	guesses := guessing(t, s, guessers)
	eventually(t, "they are known", func() bool { return guesses.Load() > 10 && s.limiter.Waiting() >= guessers/2 })
	var waited []int64
	for _, u := range users[1:] {
		before := guesses.Load()
		w := wire.Of(t, attack(t, "127.0.0.2", s.Addr(), fmt.Sprintf("CONNECT {\"verbose\":false,\"user\":%q,\"pass\":\"right\"}\r\nPING\r\n", u.Username)))
		w.ReadInfo()
		if line, err := w.Line(); err != nil || line != "PONG\r\n" {
			t.Fatalf("got %q, %v, want PONG", line, err)
		}
		waited = append(waited, guesses.Load()-before)
	}
	slices.Sort(waited)
	if waited[logins/2] > guessers/2 {
		t.Errorf("logins came after %d guesses, want %d at most for half of them", waited, guessers/2)
	}
}

// guessing has clients at 127.0.0.1 try passwords of the user u0 until the test ends, and counts
// those that are refused.
func guessing(t *testing.T, s *Server, guessers int) *atomic.Int64 {
	t.Helper()
	addr := s.Addr().String()
	refused := new(atomic.Int64)
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
				fmt.Fprintf(nc, "CONNECT {\"user\":\"u0\",\"pass\":\"%d.%d\"}\r\n", i, n)
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
	return refused
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

// TestClientsThatResetTheirConnectionWaitForNoCheck has more clients wait for the check of their password
// than there are checks at a time, none of which ends, and for a TLS handshake likewise.
func TestClientsThatResetTheirConnectionWaitForNoCheck(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what is known of a peer without reading is asked of Linux")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	okay(t, err)
	config := mustTLS(t, certOpts(certDir(t), "server"))
	for _, tt := range []struct {
		name      string
		text      func(client int) string
		configure func(*Options)
	}{
		{
			"a password", func(client int) string { return fmt.Sprintf("CONNECT {\"user\":\"u\",\"pass\":\"%d\"}\r\n", client) },
			func(o *Options) { o.Username, o.Password = "u", string(hash) },
		},
		{
			"a handshake", func(int) string { return emptyHello },
			func(o *Options) { o.TLSConfig, o.TLSTimeout = config, 60 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clientsThatReset(t, broker(t, tt.configure), tt.text)
		})
	}
}

// emptyHello is a TLS record with a whole ClientHello in which there is nothing.
const emptyHello = "\x16\x03\x01\x00\x04\x01\x00\x00\x00"

// clientsThatReset has clients that send a text wait for the limiter of s, and all but one reset their
// connection.
func clientsThatReset(t *testing.T, s *Server, text func(client int) string) {
	t.Helper()
	for range admission.SpareProcessors() {
		slot, err := s.limiter.Acquire(t.Context(), admission.SourceOf(s.Addr()))
		okay(t, err)
		defer slot.Release()
	}
	const clients = 20 // more than may wait for a pass at once
	var list []net.Conn
	for i := range clients {
		list = append(list, attack(t, "127.0.0.2", s.Addr(), text(i)))
	}
	eventually(t, "many wait", func() bool { return s.NumClients() == clients && s.limiter.Waiting() >= clients/2 })
	for _, nc := range list[1:] {
		okay(t, nc.(*net.TCPConn).SetLinger(0))
		nc.Close()
	}
	eventually(t, "those that are there are left", func() bool { return s.NumClients() == 1 })
}
