package server

import (
	"io"
	"time"

	"gnatsd/server/internal/monitor"
)

// Routez is the page /routez.
type Routez struct {
	ID         string             `json:"server_id"`
	Now        time.Time          `json:"now"`
	Import     *SubjectPermission `json:"import,omitempty"`
	Export     *SubjectPermission `json:"export,omitempty"`
	NumRoutes  int                `json:"num_routes"`
	Routes     []*RouteInfo       `json:"routes"`
	ServerName string             `json:"server_name"`
	Expected   []RouteTarget      `json:"expected,omitempty"`

	// lists are the subscriptions of Routes, unless they are in these or are not wanted.
	lists  []subList
	detail bool // all of the subscriptions are wanted, not only the subjects
}

// RouteTarget is an address that should be connected by a route.
type RouteTarget struct {
	URL          string     `json:"url"` // without password
	IsConfigured bool       `json:"is_configured"`
	RemoteID     string     `json:"remote_id,omitempty"` // of the server at the address, if known
	Connected    bool       `json:"connected"`
	Self         bool       `json:"self,omitempty"`       // it is an address of this server
	Failures     int        `json:"failures,omitempty"`   // failed attempts in a row
	LastError    string     `json:"last_error,omitempty"` // of the last of them
	Next         *time.Time `json:"next,omitempty"`       // time of the next attempt, if there is one
}

// encode implements encoder.
func (z *Routez) encode(w io.Writer, f monitor.Form) error {
	page := *z
	page.Routes = []*RouteInfo{}
	return monitor.EncodeNested(w, f, &page, "routes", len(z.Routes), func(i int) (*RouteInfo, *monitor.Rest) {
		r := z.Routes[i]
		if z.lists == nil || z.lists[i].len() == 0 {
			return r, nil
		}
		first := *r
		return &first, z.lists[i].begin(&first.Subs, &first.SubsDetail, z.detail)
	})
}

// complete puts the subscriptions into Routes.
func (z *Routez) complete() {
	for i := range z.lists {
		if z.lists[i].len() > 0 {
			z.lists[i].fill(&z.Routes[i].Subs, &z.Routes[i].SubsDetail, z.detail)
		}
	}
	z.lists = nil
}

// RoutezOptions are the parameters of [Server.Routez].
type RoutezOptions struct {
	Subscriptions       bool // include the subjects that each route is subscribed to
	SubscriptionsDetail bool // include its subscriptions with all that is known about them
}

// routezOptions decodes the parameters of /routez.
func routezOptions(p *monitor.Params) *RoutezOptions {
	if p.Text("subs") == "detail" {
		return &RoutezOptions{SubscriptionsDetail: true}
	}
	return &RoutezOptions{Subscriptions: p.Flag("subs")}
}

// RouteInfo is one route on the page /routez.
type RouteInfo struct {
	Rid          uint64             `json:"rid"`
	RemoteID     string             `json:"remote_id"`
	DidSolicit   bool               `json:"did_solicit"`
	IsConfigured bool               `json:"is_configured"`
	IP           string             `json:"ip"`
	Port         int                `json:"port"`
	Import       *SubjectPermission `json:"import,omitempty"` // of the remote server
	Export       *SubjectPermission `json:"export,omitempty"` // of the remote server
	Pending      int                `json:"pending_size"`
	InMsgs       int64              `json:"in_msgs"`
	OutMsgs      int64              `json:"out_msgs"`
	InBytes      int64              `json:"in_bytes"`
	OutBytes     int64              `json:"out_bytes"`
	NumSubs      uint32             `json:"subscriptions"`
	Subs         []string           `json:"subscriptions_list,omitempty"`

	SubsDetail         []SubDetail `json:"subscriptions_list_detail,omitempty"`
	RemoteName         string      `json:"remote_name"` // the id if it has none, and of a 1.x server
	RemoteVersion      string      `json:"remote_version,omitempty"`
	MonitorURL         string      `json:"monitor_url,omitempty"` // of its monitoring port
	Start              time.Time   `json:"start"`
	LastActivity       time.Time   `json:"last_activity"`
	RTT                string      `json:"rtt,omitempty"`
	Uptime             string      `json:"uptime"`
	Idle               string      `json:"idle"`
	WaitingForInterest int64       `json:"waiting_for_interest,omitempty"` // changes of interest queued for it
	HeadersDropped     int64       `json:"headers_dropped,omitempty"`      // messages sent without their headers

	Compression    string            `json:"compression,omitempty"`      // level of what is sent: s2_uncompressed, s2_fast, s2_better, s2_best
	CompressedData *RouteCompression `json:"compressed_bytes,omitempty"` // nil before either side compresses

	Pool *RoutePool `json:"pool,omitempty"` // nil if the remote server knows nothing of pools
}

// RouteCompression counts the bytes of a route since it is compressed.
type RouteCompression struct {
	In     int64 `json:"in"`      // received
	InRaw  int64 `json:"in_raw"`  // what that was decompressed to
	Out    int64 `json:"out"`     // sent
	OutRaw int64 `json:"out_raw"` // what that was compressed from
}

// RoutePool is the place of a route among those to the same server.
type RoutePool struct {
	ID      string `json:"id"`      // chosen by the server that dials
	Member  int    `json:"member"`  // number of the connection, which is not used again
	Size    int    `json:"size"`    // connections that are in use
	Carrier bool   `json:"carrier"` // this server sends its interest on it
}

// Routez returns the page /routez. opts may be nil. The error is always nil.
func (s *Server) Routez(opts *RoutezOptions) (*Routez, error) {
	z, err := s.routez(opts)
	if err != nil {
		return nil, err
	}
	z.complete()
	return z, nil
}

// routez is Routez, with the subscriptions in lists.
func (s *Server) routez(opts *RoutezOptions) (*Routez, error) {
	o := s.options()
	if opts == nil {
		opts = &RoutezOptions{}
	}
	z := &Routez{
		ID:         s.id,
		Now:        time.Now().UTC(),
		ServerName: s.Name(),
		detail:     opts.SubscriptionsDetail,
	}
	z.Routes, z.lists = s.routeInfos(opts)
	if p := o.Cluster.Permissions; p != nil {
		z.Import, z.Export = shownPermission(newPeerPermission(p.Import)), shownPermission(newPeerPermission(p.Export))
	}
	if z.Routes == nil {
		z.Routes = []*RouteInfo{}
	}
	z.NumRoutes = len(z.Routes)
	z.Expected = s.routeTargets()
	return z, nil
}

// routeTargets returns the addresses that should be connected.
func (s *Server) routeTargets() []RouteTarget {
	if s.cluster == nil {
		return nil
	}
	var list []RouteTarget
	for _, t := range s.cluster.targetStates() {
		r := RouteTarget{URL: t.url, IsConfigured: t.configured, RemoteID: t.remoteID, Connected: t.connected,
			Self: t.self, Failures: t.failures, LastError: t.lastErr}
		if !t.next.IsZero() && !t.connected {
			next := t.next.UTC()
			r.Next = &next
		}
		list = append(list, r)
	}
	return list
}

// routeInfos returns the registered routes, and what they are subscribed to if opts ask for it.
func (s *Server) routeInfos(opts *RoutezOptions) (list []*RouteInfo, lists []subList) {
	now := time.Now()
	states := s.cluster.routeStates()
	list = make([]*RouteInfo, 0, len(states))
	var conns []*conn
	var at []int // the indexes of conns in states
	for i := range states {
		list = append(list, states[i].info(now))
		if c := states[i].holder; c != nil {
			conns, at = append(conns, c), append(at, i)
		}
	}
	if !opts.Subscriptions && !opts.SubscriptionsDetail {
		return list, nil
	}
	lists = make([]subList, len(states))
	for k, live := range s.subsOf(conns) {
		lists[at[k]].live = live
	}
	return list, lists
}

// info returns the route as the page shows it.
func (r *routeState) info(now time.Time) *RouteInfo {
	start := time.Unix(0, r.start)
	info := &RouteInfo{
		Rid: r.id, RemoteID: r.remoteID, DidSolicit: r.solicited, IsConfigured: r.configured,
		IP: r.host, Port: r.port, Import: shownPermission(r.imports), Export: shownPermission(r.exports), Pending: int(r.pending),
		InMsgs: r.inMsgs, InBytes: r.inBytes, OutMsgs: r.outMsgs, OutBytes: r.outBytes,
		NumSubs:    uint32(r.subscriptions),
		RemoteName: r.remoteName, RemoteVersion: r.remoteVersion, MonitorURL: r.monitorURL,
		Start: start.UTC(), LastActivity: r.active.UTC(), RTT: rttText(r.rtt),
		Uptime: spanText(now.Sub(start)), Idle: spanText(now.Sub(r.active)),
		WaitingForInterest: r.waitingForInterest, HeadersDropped: r.headersDropped,
	}
	if p := &r.pool; p.id != "" {
		info.Pool = &RoutePool{ID: p.id, Member: p.number, Size: p.size, Carrier: p.carrier}
	}
	info.Compression = r.compression.mode
	if c := &r.compression; *c != (compressionState{}) {
		info.CompressedData = &RouteCompression{In: c.inWire, InRaw: c.inRaw, Out: c.outWire, OutRaw: c.outRaw}
	}
	return info
}

// shownPermission returns one direction of permissions as the page shows it.
func shownPermission(p *peerPermission) *SubjectPermission {
	if p == nil {
		return nil
	}
	return &SubjectPermission{Allow: p.Allow, Deny: p.Deny}
}
