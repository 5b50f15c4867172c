//go:build !race

package system

import (
	"encoding/json"
	"math"
	"net"
	"testing"
	"time"
)

// nowhere takes what is written to it.
type nowhere struct{ net.Conn }

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// shortest returns the time of the shortest of many rounds. They are short enough that some are not
// interrupted, whatever else the machine does.
func shortest(round func()) time.Duration {
	const rounds = 100
	least := time.Duration(math.MaxInt64)
	for range rounds {
		begin := time.Now()
		round()
		least = min(least, time.Since(begin))
	}
	return least
}

// TestSpeedEventsTakeLessThanTheirEncodingByReflection publishes events, from the connection of the
// client to the broker's end of the service, and compares that with encoding/json.
func TestSpeedEventsTakeLessThanTheirEncodingByReflection(t *testing.T) {
	s, w := New(fakeBroker{}, "ID"), &writer{nc: nowhere{}}
	now := time.Now()
	d := Departure{Client: ClientInfo{Start: now, Host: "10.1.2.3", ID: 123456, Account: "APP", User: "app", Name: "a client with a name",
		Lang: "go", Version: "1.45.0", RTT: 200 * time.Microsecond, Stop: &now}, Reason: "Client Closed"}
	const clients, most, tries = 50, 0.7, 10
	ratio := math.Inf(1)
	for try := 0; try < tries && ratio > most; try++ {
		published := shortest(func() {
			for range clients {
				s.Disconnected("APP", func() Departure { return d })
			}
			if n := s.publishWaiting(w); n != clients {
				t.Fatalf("%d events were published, want %d", n, clients)
			}
			w.flush()
		})
		reflected := shortest(func() {
			for range clients {
				e := &disconnectEvent{s.advisory(typeDisconnect, now), &d.Client, d.Sent, d.Received, d.Reason}
				if _, err := json.Marshal(e); err != nil {
					t.Fatal(err)
				}
			}
		})
		t.Logf("an event takes %v, its encoding by reflection %v", published/clients, reflected/clients)
		ratio = float64(published) / float64(reflected)
	}
	if ratio > most {
		t.Errorf("the ratio is %.2f, want %.2f at most", ratio, most)
	}
}

// TestSpeedEncodingAllocatesNothing encodes into memory that is there.
func TestSpeedEncodingAllocatesNothing(t *testing.T) {
	server := fakeBroker{}.Identify()
	e := &event{kind: typeDisconnect, at: time.Now(), Departure: Departure{Client: ClientInfo{Name: "me", Stop: &time.Time{}}, Reason: "Client Closed"}}
	b := make([]byte, 0, 4<<10)
	if n := testing.AllocsPerRun(100, func() { b = e.appendEvent(b[:0], "id", &server) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
