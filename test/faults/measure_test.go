package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gnatsd/test/check"
)

// This file counts what clients received, whatever the reason, and makes the table of it. Whether
// a broker may have lost it is for package check to say.

// result is a row of the table for one broker.
type result struct {
	mesh             time.Duration // until the mesh was complete; 0 if it never was
	due, lost, twice int           // messages, for each subscriber or queue group that they are for
	dropped, clients int           // connections of clients that the broker ended, of how many clients
	memory           int64         // most bytes that one server has occupied
}

// place is what a subscriber is interested in, whatever connection it has.
type place struct {
	person         int // 0 for a queue group
	pattern, queue string
}

// count fills in the messages that were published from one event to another. Persons are the
// clients, which have a new number after each reconnect: it maps their numbers to them.
func (r *result) count(events []check.Event, from, to int, persons map[int]int) {
	type subscription struct {
		client int
		sid    string
	}
	places := map[subscription]place{}
	all := map[place]bool{}
	got := map[place]map[check.ID]int{}
	for _, e := range events {
		switch e.Kind {
		case check.Subscribed:
			p := place{persons[e.Client], e.Pattern, e.Queue}
			if p.queue != "" {
				p.person = 0
			}
			if persons[e.Client] == 0 {
				continue
			}
			places[subscription{e.Client, e.Sid}], all[p] = p, true
		case check.Received:
			if p, ok := places[subscription{e.Client, e.Sid}]; ok {
				if got[p] == nil {
					got[p] = map[check.ID]int{}
				}
				got[p][e.Message]++
			}
		case check.Dropped:
			if persons[e.Client] != 0 {
				r.dropped++
			}
		}
	}
	for _, e := range events[from:to] {
		if e.Kind != check.Published || !counted(e.Subject) {
			continue
		}
		for p := range all {
			if !check.Matches(p.pattern, e.Subject) {
				continue
			}
			r.due++
			switch n := got[p][check.ID{Client: e.Client, N: e.N}]; {
			case n == 0:
				r.lost++
			case n > 1:
				r.twice += n - 1
			}
		}
	}
}

// counted reports whether messages on a subject are those of the load.
func counted(subject string) bool {
	return strings.HasPrefix(subject, "load.") || subject == "req" || strings.HasPrefix(subject, "in.")
}

// cells are the columns of the table.
func (r *result) cells() string {
	if r == nil {
		return "| | | | | |"
	}
	mesh := "never"
	if r.mesh > 0 {
		mesh = fmt.Sprint(r.mesh.Round(time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("| %s | %d of %d | %d | %d of %d | %.0f |", mesh, r.lost, r.due, r.twice, r.dropped, r.clients, float64(r.memory)/1e6)
}

// TestCountFollowsClientsThatReconnect counts a few events by hand.
func TestCountFollowsClientsThatReconnect(t *testing.T) {
	t.Parallel()
	events := []check.Event{
		{Kind: check.Subscribed, Client: 2, Sid: "1", Pattern: "load.*"},
		{Kind: check.Subscribed, Client: 3, Sid: "1", Pattern: "load.1", Queue: "q"},
		{Kind: check.Subscribed, Client: 5, Sid: "1", Pattern: "load.1", Queue: "q"},
		{Kind: check.Subscribed, Client: 9, Sid: "1", Pattern: "load.1"}, // not one of those that count
		{Kind: check.Published, Client: 1, N: 1, Subject: "load.1"},
		{Kind: check.Received, Client: 2, Sid: "1", Message: check.ID{Client: 1, N: 1}},
		{Kind: check.Received, Client: 3, Sid: "1", Message: check.ID{Client: 1, N: 1}},
		{Kind: check.Received, Client: 5, Sid: "1", Message: check.ID{Client: 1, N: 1}}, // twice in the group
		{Kind: check.Dropped, Client: 2},
		{Kind: check.Published, Client: 1, N: 2, Subject: "load.1"}, // lost for client 2
		{Kind: check.Received, Client: 5, Sid: "1", Message: check.ID{Client: 1, N: 2}},
		{Kind: check.Subscribed, Client: 4, Sid: "1", Pattern: "load.*"}, // client 2 again
		{Kind: check.Published, Client: 1, N: 3, Subject: "load.1"},      // lost for the group
		{Kind: check.Received, Client: 4, Sid: "1", Message: check.ID{Client: 1, N: 3}},
		{Kind: check.Published, Client: 1, N: 4, Subject: "settle.1"},
		{Kind: check.Published, Client: 1, N: 5, Subject: "load.1"}, // after the window
	}
	got := result{clients: 3, mesh: 1500 * time.Microsecond, memory: 25_400_000}
	got.count(events, 0, len(events)-1, map[int]int{1: 1, 2: 2, 4: 2, 3: 3, 5: 4})
	if want := "| 2 | 2 of 6 | 1 | 1 of 3 | 25 |"; got.cells() != want {
		t.Errorf("got %s, want %s", got.cells(), want)
	}
}
