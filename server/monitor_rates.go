package server

import (
	"cmp"
	"math"
	"time"
)

// This file has the rates of clients. Nothing is measured for them while they are not asked for:
// the first request remembers what clients have sent and received, and the next one what came since.

const (
	// connRateStep is the shortest time that rates are measured over.
	connRateStep = time.Second
	// connRateLinger is for how long what one request saw is kept for the next.
	connRateLinger = time.Minute
)

// rateSamples are the last two samples, which do not change.
type rateSamples struct{ older, newer *rateSample }

// rateSample is what each client had sent and received at one time, without those that had neither.
type rateSample struct {
	at     time.Time
	counts map[uint64]trafficSum // by cid
}

// ConnRates are the rates of a client on the page /connz, per second. In and Out are seen from the
// server.
type ConnRates struct {
	InMsgs   float64 `json:"in_msgs"`
	OutMsgs  float64 `json:"out_msgs"`
	InBytes  float64 `json:"in_bytes"`
	OutBytes float64 `json:"out_bytes"`
}

// total is what the client takes of the server: a kilobyte counts as much as a message.
func (r *ConnRates) total() float64 { return r.InMsgs + r.OutMsgs + (r.InBytes+r.OutBytes)/1024 }

// setRates sets the rates of rows, which are those of all connected clients and perhaps of others.
// They stay nil if there is nothing to compare with yet.
func (s *Server) setRates(rows []*connRow, now time.Time) {
	last := s.rates.Load()
	base := last.before(now)
	if base != nil {
		for _, r := range rows {
			if r.c != nil {
				r.rates = r.since(base, now)
			}
		}
	}
	if last != nil && now.Sub(last.newer.at) < connRateStep {
		return
	}
	next := &rateSamples{newer: &rateSample{at: now, counts: map[uint64]trafficSum{}}}
	if last != nil {
		next.older = last.newer
	}
	for _, r := range rows {
		if n := r.traffic(); r.c != nil && n != (trafficSum{}) {
			next.newer.counts[r.cid] = n
		}
	}
	s.rates.CompareAndSwap(last, next) // another request may have been faster
}

// before returns the sample to compare with at now, nil if there is none.
func (r *rateSamples) before(now time.Time) *rateSample {
	if r == nil {
		return nil
	}
	for _, sample := range []*rateSample{r.newer, r.older} {
		if sample != nil && now.Sub(sample.at) >= connRateStep && now.Sub(sample.at) <= 2*connRateLinger {
			return sample
		}
	}
	return nil
}

// dropRates gives the samples back when rates have not been asked for.
func (s *Server) dropRates(now time.Time) {
	if last := s.rates.Load(); last != nil && now.Sub(last.newer.at) > connRateLinger {
		s.rates.CompareAndSwap(last, nil)
	}
}

// traffic returns what the client has sent and received.
func (r *connRow) traffic() trafficSum {
	return trafficSum{inMsgs: r.inMsgs, inBytes: r.inBytes, outMsgs: r.out.Messages, outBytes: r.out.Payload}
}

// since returns the rates since a sample, or since the client connected if that was later.
func (r *connRow) since(base *rateSample, now time.Time) *ConnRates {
	from := base.at
	if r.start.After(from) {
		from = r.start
	}
	seconds := max(now.Sub(from), connRateStep/2).Seconds()
	n, before := r.traffic(), base.counts[r.cid] // zero if it had neither sent nor received anything
	rate := func(n, before int64) float64 { return math.Round(10*float64(max(0, n-before))/seconds) / 10 }
	return &ConnRates{InMsgs: rate(n.inMsgs, before.inMsgs), OutMsgs: rate(n.outMsgs, before.outMsgs),
		InBytes: rate(n.inBytes, before.inBytes), OutBytes: rate(n.outBytes, before.outBytes)}
}

// byRate returns the descending order of a rate.
func byRate(of func(*ConnRates) float64) rowOrder {
	none := &ConnRates{}
	return func(a, b *connRow, _ time.Time) int {
		return cmp.Compare(of(cmp.Or(b.rates, none)), of(cmp.Or(a.rates, none)))
	}
}
