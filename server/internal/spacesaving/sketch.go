// Package spacesaving finds the heaviest of many keys in little memory: the algorithm Space-Saving
// (Metwally, Agrawal, El Abbadi 2005) with weights, which decay, so that a sum is about the last
// minute.
package spacesaving

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Weight is what is summed for a key. Messages decides which keys are kept.
type Weight struct {
	Messages    float64
	Bytes       float64
	Deliveries  float64 // messages times receivers
	NoReceivers float64 // of Messages
}

func (w *Weight) add(o Weight) {
	w.Messages += o.Messages
	w.Bytes += o.Bytes
	w.Deliveries += o.Deliveries
	w.NoReceivers += o.NoReceivers
}

func (w *Weight) scale(f float64) {
	w.Messages *= f
	w.Bytes *= f
	w.Deliveries *= f
	w.NoReceivers *= f
}

// score is what keys are kept by: a key that is heavy in one way must not be displaced by many that
// are not. A kilobyte weighs as much as a message.
func (w *Weight) score() float64 {
	return w.Messages + w.Bytes/1024 + w.Deliveries/16
}

const (
	// HalfLife is how long it takes until a weight counts half.
	HalfLife = 15 * time.Second
	// MaxKey bounds the bytes of a key. What is longer is cut.
	MaxKey = 128
)

// entry is one key. What it took over from the key that it displaced is error.
type entry struct {
	key    string
	weight Weight
	error  Weight // of which it is not known that they are of this key
}

// Sketch keeps the heaviest keys, with their weights and how much too large those may be. It grows
// with the number of keys, up to its limit. It is safe for concurrent use.
type Sketch struct {
	max int

	mu      sync.Mutex // guards what follows
	entries []entry
	at      int64 // UnixNano up to which weights have decayed
	began   int64 // UnixNano
}

// New returns a sketch that keeps at most max keys, and counts from now on (UnixNano).
func New(max int, now int64) *Sketch { return &Sketch{max: max, at: now, began: now} }

// Add adds a weight to a key at now (UnixNano). The bytes of key are copied.
func (s *Sketch) Add(key []byte, w Weight, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(key[:min(len(key), MaxKey)], w, Weight{}, now)
}

func (s *Sketch) addLocked(key []byte, w, err Weight, now int64) {
	s.decayLocked(now)
	lightest := 0
	for i := range s.entries {
		e := &s.entries[i]
		if e.key == string(key) {
			e.weight.add(w)
			e.error.add(err)
			return
		}
		if e.weight.score() < s.entries[lightest].weight.score() {
			lightest = i
		}
	}
	if len(s.entries) < s.max {
		if len(s.entries) == cap(s.entries) { // by hand: append would begin with one and overshoot
			s.entries = slices.Grow(s.entries, min(max(len(s.entries), 2), s.max-len(s.entries)))
		}
		s.entries = append(s.entries, entry{strings.Clone(string(key)), w, err})
		return
	}
	e := &s.entries[lightest]
	e.error = e.weight
	e.error.add(err)
	e.key = string(key)
	e.weight.add(w)
}

// decayEvery is how much time is let pass before weights decay again.
const decayEvery = 100 * time.Millisecond

func (s *Sketch) decayLocked(now int64) {
	passed := time.Duration(now - s.at)
	if passed < decayEvery {
		return
	}
	f := math.Exp2(-float64(passed) / float64(HalfLife))
	for i := range s.entries {
		s.entries[i].weight.scale(f)
		s.entries[i].error.scale(f)
	}
	s.at = now
}

// MergeInto adds what the sketch has to another one at now (UnixNano). The two are never locked at
// the same time.
func (s *Sketch) MergeInto(to *Sketch, now int64) {
	for _, e := range s.copied(now) {
		to.mu.Lock()
		to.addLocked([]byte(e.key), e.weight, e.error, now)
		to.mu.Unlock()
	}
}

func (s *Sketch) copied(now int64) []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decayLocked(now)
	return slices.Clone(s.entries)
}

// Rate is a key and what it amounts to per second. Error is how much too large Messages may be.
type Rate struct {
	Key string
	Weight
	Error float64
	// Keepers is how many of the sketches that were merged have the key.
	Keepers int
	// Heaviest is the number of the sketch that has most messages of the key.
	Heaviest int

	most float64 // messages of that
}

// Merge returns the rates of all keys of several sketches at now (UnixNano), those with most
// messages first. Keys whose weight has decayed to nothing are left out.
func Merge(sketches []*Sketch, now int64) []Rate {
	sum := map[string]*Rate{}
	for i, s := range sketches {
		perSecond := s.perSecond(now)
		for _, e := range s.copied(now) {
			e.weight.scale(perSecond)
			r := sum[e.key]
			if r == nil {
				r = &Rate{Key: e.key}
				sum[e.key] = r
			}
			r.Weight.add(e.weight)
			r.Error += e.error.Messages * perSecond
			r.Keepers++
			if e.weight.Messages > r.most {
				r.most, r.Heaviest = e.weight.Messages, i
			}
		}
	}
	list := make([]Rate, 0, len(sum))
	for _, r := range sum {
		if r.Messages >= nothing {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b Rate) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Key, b.Key))
	})
	return list
}

// nothing is a rate below which a key is not shown: less than one message in some minutes.
const nothing = 0.005

// perSecond returns what makes a rate of a decayed sum: what one message per second adds up to,
// since the sketch began.
func (s *Sketch) perSecond(now int64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := max(float64(now-s.began), float64(time.Second)) / float64(HalfLife)
	return math.Ln2 / HalfLife.Seconds() / (1 - math.Exp2(-age))
}
