package server

import (
	"cmp"
	"io"
	"runtime"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// Varz is the page /varz: identity, settings and counters of the server. The fields down to
// ConfigLoadTime are those of gnatsd 1.4, in its order; those that follow are of later servers, or
// our own.
type Varz struct {
	*Info    `json:"-"`
	*Options `json:"-"` // without secrets

	ID                string            `json:"server_id"`
	Version           string            `json:"version"`
	Proto             int               `json:"proto"`
	GitCommit         string            `json:"git_commit,omitempty"`
	GoVersion         string            `json:"go"`
	Host              string            `json:"host"`
	AuthRequired      bool              `json:"auth_required,omitempty"`
	TLSRequired       bool              `json:"tls_required,omitempty"`
	TLSVerify         bool              `json:"tls_verify,omitempty"`
	IP                string            `json:"ip,omitempty"`
	CID               uint64            `json:"client_id,omitempty"`
	ClientConnectURLs []string          `json:"connect_urls,omitempty"`
	Addr              string            `json:"addr"`
	MaxConn           int               `json:"max_connections"`
	MaxSubs           int               `json:"max_subscriptions,omitempty"`
	PingInterval      time.Duration     `json:"ping_interval"`
	MaxPingsOut       int               `json:"ping_max"`
	HTTPHost          string            `json:"http_host"`
	HTTPPort          int               `json:"http_port"`
	HTTPSPort         int               `json:"https_port"`
	AuthTimeout       float64           `json:"auth_timeout"`
	MaxControlLine    int               `json:"max_control_line"`
	Cluster           ClusterOptsVarz   `json:"cluster"`
	TLSTimeout        float64           `json:"tls_timeout"`
	Port              int               `json:"port"`
	MaxPayload        int               `json:"max_payload"`
	Start             time.Time         `json:"start"`
	Now               time.Time         `json:"now"`
	Uptime            string            `json:"uptime"`
	Mem               int64             `json:"mem"`
	Cores             int               `json:"cores"`
	CPU               float64           `json:"cpu"`
	Connections       int               `json:"connections"`
	TotalConnections  uint64            `json:"total_connections"`
	Routes            int               `json:"routes"`
	Remotes           int               `json:"remotes"`
	InMsgs            int64             `json:"in_msgs"`
	OutMsgs           int64             `json:"out_msgs"`
	InBytes           int64             `json:"in_bytes"`
	OutBytes          int64             `json:"out_bytes"`
	SlowConsumers     int64             `json:"slow_consumers"`
	MaxPending        int64             `json:"max_pending"`
	WriteDeadline     time.Duration     `json:"write_deadline"`
	Subscriptions     uint32            `json:"subscriptions"`
	HTTPReqStats      map[string]uint64 `json:"http_req_stats"`
	ConfigLoadTime    time.Time         `json:"config_load_time"`

	ServerName       string            `json:"server_name"`
	GoMaxProcs       int               `json:"gomaxprocs"`
	HTTPBasePath     string            `json:"http_base_path,omitempty"`
	TLSCertNotAfter  time.Time         `json:"tls_cert_not_after,omitzero"`
	SlowStats        SlowConsumerStats `json:"slow_consumer_stats"`
	StaleConnections int64             `json:"stale_connections"`
	PendingBytes     int64             `json:"pending_bytes"`     // queued for all connections
	MaxPendingTotal  int64             `json:"max_pending_total"` // limit of PendingBytes
	LameDuck         bool              `json:"lame_duck_mode,omitempty"`
	InClientMsgs     int64             `json:"in_client_msgs"` // of InMsgs, those of clients; likewise below
	OutClientMsgs    int64             `json:"out_client_msgs"`
	InClientBytes    int64             `json:"in_client_bytes"`
	OutClientBytes   int64             `json:"out_client_bytes"`
	StalledClients   int64             `json:"stalled_clients"` // times that a publisher had to wait for its subscribers
	DroppedMsgs      int64             `json:"dropped_msgs"`    // of OutMsgs, dropped because their receivers did not keep up
	SystemAccount    string            `json:"system_account"`  // of subjects that begin with $SYS
	SystemStats      *SystemStats      `json:"system_stats,omitempty"`
	AlsoListen       []string          `json:"also_listen,omitempty"` // host:port of the listeners for clients but the first
}

// ClusterOptsVarz are the settings of the cluster on the page /varz. All are zero without a cluster.
type ClusterOptsVarz struct {
	Name        string   `json:"name,omitempty"`
	Host        string   `json:"addr,omitempty"`
	Port        int      `json:"cluster_port,omitempty"`
	AuthTimeout float64  `json:"auth_timeout,omitempty"` // seconds
	URLs        []string `json:"urls,omitempty"`         // host:port of the configured routes
	TLSTimeout  float64  `json:"tls_timeout,omitempty"`  // seconds
	TLSRequired bool     `json:"tls_required,omitempty"`
	TLSVerify   bool     `json:"tls_verify,omitempty"`
	PoolSize    int      `json:"pool_size,omitempty"`   // connections to each other server, if more than one is wanted
	AlsoListen  []string `json:"also_listen,omitempty"` // host:port of the listeners for routes but the first
}

// SystemStats are the numbers of the system account, if the server has one.
type SystemStats struct {
	Users   int   `json:"users"`   // connected
	Kicks   int64 `json:"kicks"`   // clients disconnected because an operator asked for it
	Dropped int64 `json:"dropped"` // events and requests, because too many were waiting
}

func (v *Varz) encode(w io.Writer, f monitor.Form) error { return monitor.Encode(w, f, v) }

// SlowConsumerStats are the numbers of connections closed as slow consumers, by kind. Gateways and
// Leafs are always 0: this server has none.
type SlowConsumerStats struct {
	Clients  int64 `json:"clients"`
	Routes   int64 `json:"routes"`
	Gateways int64 `json:"gateways"`
	Leafs    int64 `json:"leafs"`
}

// VarzOptions are the parameters of [Server.Varz]. There are none.
type VarzOptions struct{}

func varzOptions(*monitor.Params) *VarzOptions { return nil }

// Varz returns the page /varz. The options may be nil. The error is always nil.
func (s *Server) Varz(*VarzOptions) (*Varz, error) {
	info, o := s.info.Load().info, s.options()
	v := &Varz{Info: info, Options: o.withoutSecrets()}
	v.identify(info)
	v.configure(o)
	v.HTTPPort, v.HTTPSPort = s.monitorPorts(o)
	v.Cluster = s.cluster.varz(o)
	v.AlsoListen = furtherAddrs(s.clientAddrs())
	v.ServerName = s.Name()
	v.TLSCertNotAfter = tlsfiles.NotAfter(s.policy.Load().tls.Current())
	s.count(v)
	return v, nil
}

// identify sets the fields that INFO has, too.
func (v *Varz) identify(info *Info) {
	v.ID, v.Version, v.Proto = info.ID, info.Version, info.Proto
	v.GitCommit, v.GoVersion = info.GitCommit, info.GoVersion
	v.Host, v.Port, v.IP = info.Host, info.Port, info.IP
	v.AuthRequired, v.TLSRequired, v.TLSVerify = info.AuthRequired, info.TLSRequired, info.TLSVerify
	v.ClientConnectURLs = info.ClientConnectURLs
}

// configure sets the settings.
func (v *Varz) configure(o *Options) {
	v.Addr, v.HTTPHost, v.HTTPBasePath = o.Host, o.HTTPHost, o.HTTPBasePath
	v.MaxConn, v.MaxSubs = o.MaxConn, o.MaxSubs
	v.PingInterval, v.MaxPingsOut = o.PingInterval, o.MaxPingsOut
	v.AuthTimeout, v.TLSTimeout = o.AuthTimeout, o.TLSTimeout
	v.MaxControlLine, v.MaxPayload = o.MaxControlLine, o.MaxPayload
	v.MaxPending, v.MaxPendingTotal = o.MaxPending, o.MaxPendingTotal
	v.WriteDeadline = o.WriteDeadline
	v.SystemAccount = cmp.Or(o.systemAccount(), defaultSystemAccount)
}

// varz returns the settings of the cluster as the page shows them.
func (k *cluster) varz(o *Options) ClusterOptsVarz {
	if !k.on {
		return ClusterOptsVarz{}
	}
	tls := k.policy.Load().tls != nil
	v := ClusterOptsVarz{
		Name: o.Cluster.Name, Host: o.Cluster.Host, Port: o.Cluster.Port,
		AuthTimeout: o.Cluster.AuthTimeout, TLSTimeout: o.Cluster.TLSTimeout,
		TLSRequired: tls, TLSVerify: tls,
	}
	if addr := k.srv.ClusterAddr(); addr != nil {
		v.Port = addr.Port // differs from the setting if that is RandomPort
	}
	v.AlsoListen = furtherAddrs(addrsOf(k.listening()))
	if o.Cluster.PoolSize > 1 {
		v.PoolSize = o.Cluster.PoolSize
	}
	for _, u := range o.Routes {
		v.URLs = append(v.URLs, u.Host)
	}
	return v
}

// count sets counters and state.
func (s *Server) count(v *Varz) {
	n := &s.counters
	v.Start, v.Now = s.start.UTC(), time.Now().UTC()
	v.Uptime = spanText(v.Now.Sub(v.Start))
	v.ConfigLoadTime = s.ConfigTime().UTC()
	v.CPU, v.Mem, _ = s.usage.Usage() // zero if the operating system does not report them
	v.Cores, v.GoMaxProcs = runtime.NumCPU(), runtime.GOMAXPROCS(0)
	v.Connections, v.TotalConnections = s.clients.len(), n.connections.Load()
	v.Routes, v.Remotes = s.NumRoutes(), s.NumRemotes()
	clients, all := n.sum()
	v.InClientMsgs, v.InClientBytes = clients.inMsgs, clients.inBytes
	v.OutClientMsgs, v.OutClientBytes = clients.outMsgs, clients.outBytes
	v.StalledClients = n.stalls.Load()
	v.InMsgs, v.InBytes = all.inMsgs, all.inBytes
	v.OutMsgs, v.OutBytes = all.outMsgs, all.outBytes
	v.SlowStats.Routes = n.slowRoutes.Load()
	v.SlowConsumers = n.slowConsumers.Load()
	v.SlowStats.Clients = max(0, v.SlowConsumers-v.SlowStats.Routes)
	v.DroppedMsgs = n.dropped[netio.DropNew].Load() + n.dropped[netio.DropOld].Load()
	v.StaleConnections = s.closed.count(closeStale)
	v.Subscriptions = uint32(s.subs.Count())
	v.PendingBytes = s.io.Pending.Load()
	v.HTTPReqStats = s.monitor.Requests()
	v.LameDuck = s.lameDuck.Load()
	v.SystemStats = s.system.stats()
}

// monitorPorts returns the monitoring ports: those of the settings, or the real one for RandomPort.
func (s *Server) monitorPorts(o *Options) (http, https int) {
	http, https = o.HTTPPort, o.HTTPSPort
	if http >= 0 && https >= 0 {
		return http, https
	}
	if addr := s.MonitorAddr(); addr != nil && http < 0 {
		http = addr.Port
	} else if addr != nil {
		https = addr.Port
	}
	return http, https
}

// withoutSecrets returns a copy of the settings without secrets.
func (o *Options) withoutSecrets() *Options {
	c := *o
	c.Nkeys, c.accounts = nil, nil
	c.Users, c.Username, c.Password, c.Authorization = nil, "", "", ""
	c.HTTPUsername, c.HTTPPassword = "", ""
	c.Cluster.Username, c.Cluster.Password = "", ""
	c.Routes, c.RoutesStr = nil, "" // their URLs have passwords
	c.Cluster.ListenStr = ""
	c.TLSConfig, c.Cluster.TLSConfig = nil, nil // keys
	return &c
}
