package server

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestClientsThatComeDuringReloads connect as a user that reloads remove and bring back. None may
// stay behind in the end.
func TestClientsThatComeDuringReloads(t *testing.T) {
	t.Parallel()
	const with = "authorization { users: [{user: steady, password: s}, {user: victim, password: v}] }"
	const without = "authorization { users: [{user: steady, password: s}] }"
	s := startReloader(t, with)
	quit := make(chan struct{})
	var comers sync.WaitGroup
	for range 4 {
		comers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				w := openClient(t, s.Server)
				_ = w.Send(`CONNECT {"verbose":false,"user":"victim","pass":"v"}` + "\r\nSUB a 1\r\n")
				_, _ = w.Fence() // or the broker has closed, as it may
			}
		})
	}
	steady := loginWire(t, s.Server)
	for range 50 {
		s.okay(t, without)
		s.okay(t, with)
	}
	s.okay(t, without)
	close(quit)
	comers.Wait()
	eventually(t, "the removed user has gone", func() bool {
		return s.NumClients() == 1 && s.NumSubscriptions() == 0
	})
	steady.Drain()
}

func TestShutdownDuringReloads(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	for i := range 20 {
		texts := loadedTexts(dir)
		s := startReloader(t, texts[0])
		started, done := make(chan struct{}), make(chan error, 1)
		go func() { // ends with the server
			for n := 0; ; n++ {
				s.lines()
				if err := s.Reload(); err != nil {
					done <- err
					return
				}
				if n == i%3 {
					close(started)
				}
			}
		}()
		<-started
		s.Shutdown()
		if err := <-done; !errors.Is(err, errStopping) {
			t.Fatal(fmt.Errorf("round %d: got %w", i, err))
		}
	}
}
