package server

import (
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"gnatsd/server/internal/monitor"
)

// This file remembers what the server did during the last hour: for charts that are full when a
// page is opened, and for what was counted recently.

const (
	// sampleInterval is the time between two samples of the history.
	sampleInterval = 5 * time.Second
	// maxSamples bounds the samples, to those of an hour and the one before: some 80 KB.
	maxSamples = int(time.Hour/sampleInterval) + 1
)

// history has the samples of the last hour.
type history struct {
	mu      sync.Mutex      // guards what follows
	samples []historySample // the oldest is at next once there are maxSamples
	next    int
}

// historySample is what was counted since the start, and what was in use, at one moment.
type historySample struct {
	at          int64 // UnixNano
	traffic     trafficSum
	events      eventSum
	cpu         time.Duration
	mem         int64 // resident
	pending     int64
	connections int64
}

// eventSum counts what an operator should see soon.
type eventSum struct {
	slowConsumers int64
	refused       int64 // logins
	linesLost     int64 // of the log
	noReceivers   int64 // messages
	dropped       int64 // events of the system account
}

// sample returns what the history remembers of this moment.
func (s *Server) sample(now time.Time) historySample {
	h := historySample{at: now.UnixNano(), events: s.events(), pending: s.io.Pending.Load(), connections: int64(s.clients.len())}
	_, h.traffic = s.counters.sum()
	h.cpu, h.mem, _ = s.usage.Total() // zero if the operating system does not report them
	return h
}

// events returns what was counted since the start.
func (s *Server) events() eventSum {
	e := eventSum{
		slowConsumers: s.counters.slowConsumers.Load(),
		refused:       s.closed.count(closeAuthFailure),
		linesLost:     int64(s.log.sink.Load().linesLost()),
		noReceivers:   s.counters.noReceivers(),
	}
	if st := s.system.stats(); st != nil {
		e.dropped = st.Dropped
	}
	return e
}

// add adds a sample, in place of the oldest if there are too many.
func (h *history) add(sample historySample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) < maxSamples {
		h.samples = append(h.samples, sample)
		return
	}
	h.samples[h.next] = sample
	h.next = (h.next + 1) % maxSamples
}

// all returns the samples, the oldest first.
func (h *history) all() []historySample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(append(make([]historySample, 0, len(h.samples)), h.samples[h.next:]...), h.samples[:h.next]...)
}

// eventsBefore returns what had been counted at a moment, zero if the history does not reach that
// far: then the server had not started.
func (h *history) eventsBefore(at time.Time) (e eventSum) {
	for _, sample := range h.all() {
		if sample.at > at.UnixNano() {
			break
		}
		e = sample.events
	}
	return e
}

// Historyz is the page /historyz: what the server did during the last hour. The rows are the oldest
// first, with a number for each of the columns.
type Historyz struct {
	ID       string      `json:"server_id"`
	Start    time.Time   `json:"start"`
	Now      time.Time   `json:"now"`
	Interval int         `json:"interval"` // seconds between two rows
	Columns  []string    `json:"columns"`
	Rows     [][]float64 `json:"rows"`
}

// historyColumns are the columns of /historyz. The first is the time in milliseconds since the Unix
// epoch; rates are per second, since the row before; cpu is in percent of one core.
var historyColumns = []string{"at", "in_msgs", "out_msgs", "in_bytes", "out_bytes", "connections", "pending_bytes", "cpu", "mem"}

// HistoryzOptions are the parameters of [Server.Historyz].
type HistoryzOptions struct {
	Minutes int // how far back; 0 or less = 60
}

func historyzOptions(p *monitor.Params) *HistoryzOptions {
	return &HistoryzOptions{Minutes: p.Number("minutes")}
}

// Historyz returns the page /historyz. opts may be nil. The error is always nil.
func (s *Server) Historyz(opts *HistoryzOptions) (*Historyz, error) {
	now := time.Now()
	from := now.Add(-time.Hour)
	if opts != nil && opts.Minutes > 0 && opts.Minutes < 60 {
		from = now.Add(-time.Duration(opts.Minutes) * time.Minute)
	}
	z := &Historyz{ID: s.id, Start: s.start.UTC(), Now: now.UTC(), Interval: int(sampleInterval / time.Second), Columns: historyColumns, Rows: [][]float64{}}
	all := s.history.all()
	for i := range all {
		if i > 0 && all[i].at >= from.UnixNano() && all[i].at > all[i-1].at {
			z.Rows = append(z.Rows, all[i].row(&all[i-1]))
		}
	}
	return z, nil
}

// row returns a sample as a row of the page; before is the sample before it.
func (h *historySample) row(before *historySample) []float64 {
	seconds := float64(h.at-before.at) / 1e9
	rate := func(now, then int64) float64 { return math.Round(max(0, float64(now-then)/seconds)) }
	t, b := &h.traffic, &before.traffic
	return []float64{
		float64(h.at / 1e6),
		rate(t.inMsgs, b.inMsgs), rate(t.outMsgs, b.outMsgs), rate(t.inBytes, b.inBytes), rate(t.outBytes, b.outBytes),
		float64(h.connections), float64(h.pending),
		math.Round(1000*max(0, (h.cpu-before.cpu).Seconds()/seconds)) / 10, float64(h.mem),
	}
}

// encode writes a row on a line: one number on each would be ten thousand lines.
func (z *Historyz) encode(w io.Writer, _ monitor.Form) error {
	page := *z
	page.Rows = [][]float64{}
	return monitor.EncodeLines(w, &page, "rows", z.Rows, func(b []byte, row []float64) []byte {
		b = append(b, '[')
		for i, n := range row {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendFloat(b, n, 'f', -1, 64)
		}
		return append(b, ']')
	})
}
