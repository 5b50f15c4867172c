package server

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/spacesaving"
)

// Subjectz is the page /subjectz: the subjects that clients of this server publish most on, as a
// sample of messages shows (see deliver_subjects.go). What other servers send is counted there.
type Subjectz struct {
	ID          string        `json:"server_id"`
	ServerName  string        `json:"server_name"`
	Now         time.Time     `json:"now"`
	NoReceivers int64         `json:"messages_without_receivers"` // since the start, counted
	Total       int           `json:"total"`                      // before the window was applied
	Offset      int           `json:"offset"`
	Limit       int           `json:"limit"`
	Subjects    []SubjectInfo `json:"subjects"`
}

// SubjectInfo is one subject on the page /subjectz, with estimates of the last half minute, per
// second. Inboxes are one subject together.
type SubjectInfo struct {
	Subject     string  `json:"subject"` // cut at 128 bytes
	Msgs        float64 `json:"msgs_rate"`
	Error       float64 `json:"msgs_rate_error"` // by how much Msgs may be too large, beside the error of sampling
	Bytes       float64 `json:"bytes_rate"`
	Deliveries  float64 `json:"deliveries_rate"`   // messages times receivers
	Fanout      float64 `json:"fanout"`            // receivers of a message: subscriptions, queue groups, other servers
	NoReceivers float64 `json:"no_receivers_rate"` // of Msgs
	Publishers  int     `json:"publishers"`        // clients that were seen to publish on it
	TopCid      uint64  `json:"top_cid,omitempty"`
	TopClient   string  `json:"top_client,omitempty"` // name of the client that publishes most on it
}

func (z *Subjectz) encode(w io.Writer, f monitor.Form) error { return monitor.Encode(w, f, z) }

// SubjectzOptions are the parameters of [Server.Subjectz].
type SubjectzOptions struct {
	Sort   string // "msgs" (or ""), "bytes", "deliveries" or "no_receivers"; all descending
	Offset int    // of the window; negative = 0
	Limit  int    // subjects in the window; 0 or less = 1024
}

func subjectzOptions(p *monitor.Params) *SubjectzOptions {
	return &SubjectzOptions{Sort: p.Text("sort"), Offset: p.Number("offset"), Limit: p.Number("limit")}
}

// subjectOrders are the orders of the page.
var subjectOrders = map[string]func(*spacesaving.Rate) float64{
	"":             func(r *spacesaving.Rate) float64 { return r.Messages },
	"msgs":         func(r *spacesaving.Rate) float64 { return r.Messages },
	"bytes":        func(r *spacesaving.Rate) float64 { return r.Bytes },
	"deliveries":   func(r *spacesaving.Rate) float64 { return r.Deliveries },
	"no_receivers": func(r *spacesaving.Rate) float64 { return r.NoReceivers },
}

// Subjectz returns the page /subjectz. opts may be nil. The error reports invalid options.
func (s *Server) Subjectz(opts *SubjectzOptions) (*Subjectz, error) {
	if opts == nil {
		opts = &SubjectzOptions{}
	}
	order := subjectOrders[opts.Sort]
	if order == nil {
		return nil, fmt.Errorf("invalid sorting option: %s", opts.Sort)
	}
	now := time.Now()
	z := &Subjectz{ID: s.id, ServerName: s.Name(), Now: now.UTC(), NoReceivers: s.counters.noReceivers(), Subjects: []SubjectInfo{}}
	z.Offset, z.Limit = window(opts.Offset, opts.Limit)
	rates, clients := s.topSubjects(now)
	slices.SortStableFunc(rates, func(a, b spacesaving.Rate) int { return cmp.Compare(order(&b), order(&a)) })
	if opts.Sort == "no_receivers" {
		rates = slices.DeleteFunc(rates, func(r spacesaving.Rate) bool { return r.NoReceivers == 0 })
	}
	z.Total = len(rates)
	for _, r := range windowOf(rates, z.Offset, z.Limit) {
		z.Subjects = append(z.Subjects, newSubjectInfo(&r, clients[r.Heaviest]))
	}
	return z, nil
}

// topSubjects merges the sketches of all clients. The clients are those that [spacesaving.Rate]
// counts, nil for those that are gone.
func (s *Server) topSubjects(now time.Time) ([]spacesaving.Rate, []*client) {
	sketches, clients := []*spacesaving.Sketch{s.goneSubjects}, []*client{nil}
	var y monitor.Yielder
	for _, c := range s.clients.all() {
		y.Step()
		if sketch := c.subjects.Load(); sketch != nil {
			sketches, clients = append(sketches, sketch), append(clients, c)
		}
	}
	return spacesaving.Merge(sketches, now.UnixNano()), clients
}

func newSubjectInfo(r *spacesaving.Rate, top *client) SubjectInfo {
	round := func(n float64) float64 { return math.Round(100*n) / 100 }
	i := SubjectInfo{
		Subject: r.Key, Msgs: round(r.Messages), Error: round(r.Error), Bytes: math.Round(r.Bytes), Deliveries: round(r.Deliveries),
		Fanout: round(r.Deliveries / r.Messages), NoReceivers: round(r.NoReceivers), Publishers: r.Keepers,
	}
	if top != nil {
		i.TopCid, i.TopClient = top.id, top.connectOptions().Name
	}
	return i
}
