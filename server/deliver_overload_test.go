package server

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestClientsGetAllInOrderUnderOverload has clients in a room that all publish, while many goroutines want the cores:
// small deliveries wait for their writers then. Each client gets what each one said, in its order.
func TestClientsGetAllInOrderUnderOverload(t *testing.T) {
	const clients, rounds = 16, 100
	var end atomic.Bool
	var others sync.WaitGroup
	for range 16 * runtime.GOMAXPROCS(0) {
		others.Go(func() { // ends with the test
			for !end.Load() {
				runtime.Gosched()
			}
		})
	}
	defer others.Wait()
	defer end.Store(true)
	s := startServer(t, nil)
	problems, subscribed, overloaded := make(chan string, clients), new(sync.WaitGroup), new(atomic.Bool)
	subscribed.Add(clients)
	for k := range clients {
		c := dialClient(t, s)
		c.Do("SUB room 1")
		subscribed.Done()
		go func() { // ends when it has been told everything, or hears something else
			subscribed.Wait()
			for i := range rounds {
				text := fmt.Sprint(k, " ", i)
				c.Say(fmt.Sprintf("PUB room %d", len(text)), text)
				if s.io.Overloaded() {
					overloaded.Store(true)
				}
			}
			next := [clients]int{}
			for range clients * rounds {
				m, err := c.Next()
				if err != nil {
					problems <- err.Error()
					return
				}
				var from, i int
				if _, err := fmt.Sscan(string(m.Payload), &from, &i); err != nil || next[from] != i {
					problems <- fmt.Sprintf("client %d heard %q, want number %d: %v", k, m.Payload, next[from], err)
					return
				}
				next[from]++
			}
			problems <- ""
		}()
	}
	for range clients {
		if problem := <-problems; problem != "" {
			t.Error(problem)
		}
	}
	if !overloaded.Load() {
		t.Error("there was no overload")
	}
}
