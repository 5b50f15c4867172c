package system

import (
	"slices"
	"strings"
	"sync"
)

// This file is the requests that wait to be served: which is the next one, and which are dropped where
// there are too many.

// class says how soon a request is served.
type class int

const (
	classAction class = iota // makes this server, or another one, do something
	classShort
	classLong // its answer may be long
	classes   = iota
)

// servedInTurn is how many requests of a class are served before one of the classes behind it, if some
// wait there: a flood of short requests does not keep out long ones.
var servedInTurn = [classes]int{classAction: 64, classShort: 16, classLong: 1}

// longRequests are the last tokens of requests whose answers may be long.
var longRequests = []string{"CONNZ", "ROUTEZ", "SUBSZ"}

// classOf returns the class of a request to the service of the server with an id.
func classOf(r *request, id string) class {
	switch {
	case r.ask, r.who != "", r.subject == counts(id):
		return classAction
	case slices.Contains(longRequests, r.subject[strings.LastIndexByte(r.subject, '.')+1:]):
		return classLong
	}
	return classShort
}

// requestQueue is the requests that wait. Within a class those who ask take turns, one request each.
type requestQueue struct {
	some chan struct{} // has room for one; is sent something while requests wait that may be served

	mu      sync.Mutex // guards what follows
	classes [classes]classQueue
	held    int64 // what all of them count
}

// classQueue is the requests of one class.
type classQueue struct {
	asking    map[string]*asking // by who asks
	turns     []*asking          // those whose requests may be served, the next one first
	postponed []*asking          // the others
	served    int                // since the last turn of all classes
}

// asking is the requests of one class that one of those who ask has sent, the oldest first. There is at
// least one.
type asking struct {
	list      []*request
	held      int64 // what they count
	postponed bool
}

func newRequestQueue() *requestQueue {
	q := &requestQueue{some: make(chan struct{}, 1)}
	for i := range q.classes {
		q.classes[i].asking = map[string]*asking{}
	}
	return q
}

// add adds a request. It returns those that are dropped to make room, or the request itself: the latest
// ones of who has most requests waiting.
func (q *requestQueue) add(r *request) (dropped []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.insertLocked(r, false)
	for q.held > maxHeld {
		dropped = append(dropped, q.dropLocked())
	}
	q.signalLocked()
	return dropped
}

// insertLocked inserts a request behind those of who asks, or before them if it is put back.
func (q *requestQueue) insertLocked(r *request, back bool) *asking {
	k := &q.classes[r.class]
	a := k.asking[r.asker]
	if a == nil {
		a = &asking{}
		k.asking[r.asker] = a
		k.turns = append(k.turns, a)
	}
	at := len(a.list)
	if back {
		at = 0
	}
	a.list = slices.Insert(a.list, at, r)
	a.held += r.size()
	q.held += r.size()
	return a
}

// removeLocked removes a request, and who asks if that has no more.
func (q *requestQueue) removeLocked(a *asking, at int) *request {
	r := a.list[at]
	a.list = slices.Delete(a.list, at, at+1)
	a.held -= r.size()
	q.held -= r.size()
	if len(a.list) == 0 {
		k, same := &q.classes[r.class], func(other *asking) bool { return other == a }
		delete(k.asking, r.asker)
		k.turns, k.postponed = slices.DeleteFunc(k.turns, same), slices.DeleteFunc(k.postponed, same)
	}
	return r
}

// dropLocked removes the latest request of who has most waiting.
func (q *requestQueue) dropLocked() *request {
	var most *asking
	for i := range q.classes {
		for _, a := range q.classes[i].asking {
			if most == nil || a.held > most.held {
				most = a
			}
		}
	}
	return q.removeLocked(most, len(most.list)-1)
}

// signalLocked makes some ready if a request may be served.
func (q *requestQueue) signalLocked() {
	if slices.ContainsFunc(q.classes[:], func(k classQueue) bool { return len(k.turns) > 0 }) {
		select {
		case q.some <- struct{}{}:
		default:
		}
	}
}

// next returns the request that is served next, and removes it; nil if there is none.
func (q *requestQueue) next() *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signalLocked()
	for range 2 {
		for i := range q.classes {
			if k := &q.classes[i]; len(k.turns) > 0 && k.served < servedInTurn[i] {
				k.served++
				a := k.turns[0]
				k.turns = append(slices.Delete(k.turns, 0, 1), a)
				return q.removeLocked(a, 0)
			}
		}
		for i := range q.classes {
			q.classes[i].served = 0
		}
	}
	return nil
}

// postpone puts a request back, which is not served before resume is called, nor are others of who asks.
func (q *requestQueue) postpone(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a, k := q.insertLocked(r, true), &q.classes[r.class]
	if !a.postponed {
		a.postponed = true
		k.turns = slices.DeleteFunc(k.turns, func(other *asking) bool { return other == a })
		k.postponed = append(k.postponed, a)
	}
}

// resume lets what was postponed be served.
func (q *requestQueue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.classes {
		k := &q.classes[i]
		for _, a := range k.postponed {
			a.postponed = false
		}
		k.turns, k.postponed = append(k.turns, k.postponed...), nil
	}
	q.signalLocked()
}
