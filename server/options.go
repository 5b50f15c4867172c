package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gnatsd/conf"
)

// Defaults of settings, those of gnatsd 1.4.1 where it has the setting.
const (
	// DefaultHost listens on all interfaces.
	DefaultHost = "0.0.0.0"
	// DefaultPort is the registered port of the protocol.
	DefaultPort = 4222
	// RandomPort lets the operating system choose a free port.
	RandomPort = -1
	// DefaultHTTPPort is the monitoring port by convention; it is opened only if it is set.
	DefaultHTTPPort = 8222

	// maxPendingTotalShare is the default of MaxPendingTotal as a multiple of MaxPending: with
	// 16 clients at their limit, the one with the most pending bytes is disconnected. With
	// GOMEMLIMIT the default is not more than its pendingShare.
	maxPendingTotalShare = 16
)

// Options are the settings of a Server. Zero values mean the default (see [Defaults]). [NewServer]
// copies the options: changing them afterwards has no effect.
//
// The names of the fields are those of gnatsd 1.x, the JSON names those of /varz.
type Options struct {
	ConfigFile  string `json:"-"`
	WatchConfig bool   `json:"-"` // reload when the file changes, without a signal
	ServerName  string `json:"server_name,omitempty"`
	Host        string `json:"addr"`
	Port        int    `json:"port"`
	// AlsoListen are further addresses to listen on for clients, host:port.
	AlsoListen      []string `json:"-"`
	ClientAdvertise string   `json:"-"`
	DontListen      bool     `json:"-"` // no port for clients: they come through InProcessConn

	Trace           bool   `json:"-"`
	Debug           bool   `json:"-"`
	NoLog           bool   `json:"-"`
	NoSigs          bool   `json:"-"`
	Logtime         bool   `json:"-"`
	LogFormat       string `json:"-"` // "text" or "json"
	LogFile         string `json:"-"`
	LogSizeLimit    int64  `json:"-"` // bytes; 0 = never rotated
	LogMaxNum       int    `json:"-"` // files kept by rotation; 0 = all
	Syslog          bool   `json:"-"`
	RemoteSyslog    string `json:"-"`
	MaxTracedMsgLen int    `json:"-"` // bytes of a payload shown in a trace; 0 = all

	MaxConn         int   `json:"max_connections"`             // clients; negative = unlimited
	MaxSubs         int   `json:"max_subscriptions,omitempty"` // per connection; 0 = unlimited
	MaxControlLine  int   `json:"max_control_line"`            // bytes of arguments
	MaxPayload      int   `json:"max_payload"`                 // bytes; negative = unlimited
	MaxPending      int64 `json:"max_pending"`                 // bytes queued per connection
	MaxPendingTotal int64 `json:"-"`                           // bytes queued over all connections
	// MaxConnPerAddress is how many clients of one address may be connected; 0 = unlimited.
	MaxConnPerAddress int `json:"-"`
	// MaxLoginsPerAddress is how many logins clients of one address may make a second; 0 = unlimited.
	MaxLoginsPerAddress int `json:"-"`

	Users         []*User     `json:"-"`
	Nkeys         []*NkeyUser `json:"-"` // beside Users
	Username      string      `json:"-"`
	Password      string      `json:"-"`
	Authorization string      `json:"-"`            // token
	NoAuthUser    string      `json:"-"`            // user of clients that send no credentials; "" = none
	AuthTimeout   float64     `json:"auth_timeout"` // seconds

	PingInterval  time.Duration `json:"ping_interval"`
	MaxPingsOut   int           `json:"ping_max"`
	WriteDeadline time.Duration `json:"write_deadline"`

	HTTPHost     string `json:"http_host"`
	HTTPPort     int    `json:"http_port"`
	HTTPSPort    int    `json:"https_port"`
	HTTPBasePath string `json:"http_base_path,omitempty"`
	// HTTPSocket is the path of a Unix socket that serves the monitoring pages, "" for none.
	HTTPSocket string `json:"-"`
	// HTTPUsername and HTTPPassword are required by all monitoring pages but /healthz, unless
	// HTTPUsername is "". The password may be a bcrypt hash.
	HTTPUsername string `json:"-"`
	HTTPPassword string `json:"-"`
	// HTTPVerify requires clients of the HTTPS port to have a certificate signed by one of the
	// authorities (ClientCAs) in TLSConfig.
	HTTPVerify bool `json:"-"`
	// HTTPSameOrigin keeps web pages of other origins from reading the monitoring pages: no
	// JSONP, no CORS header, and no answer to a host name that others may have registered.
	HTTPSameOrigin bool `json:"-"`
	// HTTPHosts are names of this server that HTTPSameOrigin answers to, beside those that are
	// known: of the machine, of HTTPHost and of the addresses that are advertised.
	HTTPHosts []string `json:"-"`
	// MetricsPrefix is the prefix of the metric names on /metrics.
	MetricsPrefix string `json:"-"`
	ProfPort      int    `json:"-"` // for pprof; 0 = none

	Cluster   ClusterOpts `json:"cluster"`
	Routes    []*url.URL  `json:"-"`
	RoutesStr string      `json:"-"`

	PidFile      string `json:"-"`
	PortsFileDir string `json:"-"`

	TLS               bool `json:"-"`
	TLSVerify         bool `json:"-"`
	TLSMap            bool `json:"-"` // the user of a client is found by its certificate
	TLSHandshakeFirst bool `json:"-"` // INFO is sent inside TLS
	// TLSHandshakeFirstFallback is how long a client may take to begin TLS before INFO is sent
	// in clear; 0 = INFO is never sent in clear.
	TLSHandshakeFirstFallback time.Duration `json:"-"`
	// AllowNonTLS also accepts clients without TLS.
	AllowNonTLS bool        `json:"-"`
	TLSCert     string      `json:"-"`
	TLSKey      string      `json:"-"`
	TLSCaCert   string      `json:"-"`
	TLSTimeout  float64     `json:"tls_timeout"` // seconds
	TLSConfig   *tls.Config `json:"-"`

	NoBusyPoll      bool          `json:"-"` // readers never poll before they sleep
	RQSubsSweep     time.Duration `json:"-"` // of gnatsd 1.4; it has no effect
	NoSystemAccount bool          `json:"-"` // of nats-server 2.x; without effect: there is one only if a file has it
	// DisableShortFirstPing leaves out the PING soon after CONNECT that measures the round-trip
	// time.
	DisableShortFirstPing bool          `json:"-"`
	MaxClosedClients      int           `json:"-"` // closed connections kept for /connz
	LameDuckDuration      time.Duration `json:"-"` // over which lame duck mode closes clients
	LameDuckGracePeriod   time.Duration `json:"-"` // before the first one is closed

	CustomClientAuthentication Authentication `json:"-"`
	CustomRouterAuthentication Authentication `json:"-"`

	clientHook, routerHook *hookRef // CustomClientAuthentication and CustomRouterAuthentication

	tlsFiles *TLSConfigOpts // what TLSConfig was made from; nil if a program made it
	tlsBy    tlsByProgram
	network  network       // nil = that of the operating system
	idle     time.Duration // after which a client is parked; 0 = parkAfter if there are many
	idleTick time.Duration // between two looks at whether a route is idle; 0 = idleTick
	quiesce  time.Duration // limit of that in lame duck mode; 0 = quiesceLimit
	identity string        // server id; "" = a new one

	// Settings of a file without an exported field.
	defaultPermissions *Permissions // of users without their own
	defaultLimits      *UserLimits  // of users, where their own say nothing
	accounts           []account
	systemName         string // of the system account; "" = defaultSystemAccount
	tlsCiphers         []uint16
	tlsCurves          []tls.CurveID
	tlsMinVersion      string
	incomplete         []*conf.Error // users without name or password
	replaced           []replacedPart
	usersBroken        bool // some users could not be read

	loaded    *loading // nil if a program made these options
	overrides []*row   // set by a program after loading; they take precedence at a reload
}

// ClusterOpts are the settings of the listener for other servers and of the connections to them.
// Port 0 means no clustering.
type ClusterOpts struct {
	Name           string            `json:"-"`
	Host           string            `json:"addr,omitempty"`
	Port           int               `json:"cluster_port,omitempty"`
	AlsoListen     []string          `json:"-"` // further addresses, host:port
	Username       string            `json:"-"`
	Password       string            `json:"-"`
	AuthTimeout    float64           `json:"auth_timeout,omitempty"` // seconds
	Permissions    *RoutePermissions `json:"-"`
	TLSTimeout     float64           `json:"-"` // seconds
	TLSConfig      *tls.Config       `json:"-"`
	ListenStr      string            `json:"-"`
	Advertise      string            `json:"-"`
	NoAdvertise    bool              `json:"-"`
	ConnectRetries int               `json:"-"`
	PoolSize       int               `json:"pool_size,omitempty"` // connections to each server
	Compression    Compression       `json:"-"`
	PreferLocal    bool              `json:"-"` // queue members on the publisher's server are preferred

	// Settings of a file without an exported field.
	tls             TLSConfigOpts
	tlsOn           bool
	tlsBy           tlsByProgram
	authPermissions *RoutePermissions // of the authorization block
}

// Defaults returns the settings of a server without configuration.
func Defaults() *Options {
	o := &Options{}
	o.fill()
	return o
}

// fill replaces zero values by defaults.
func (o *Options) fill() {
	optionTable().Defaults(o)
	total := maxPendingTotalShare * o.MaxPending
	if limit := goMemoryLimit(); limit > 0 {
		total = min(total, limit/pendingShare)
	}
	orDefault(&o.MaxPendingTotal, total)
	orDefault(&o.HTTPHost, o.Host)
	o.MaxPayload = min(o.MaxPayload, maxSize)
	if o.HTTPBasePath != "" && !strings.HasPrefix(o.HTTPBasePath, "/") {
		o.HTTPBasePath = "/" + o.HTTPBasePath
	}
	if o.network == nil {
		o.network = osNetwork{}
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// checkNil returns an error if a program has set lists with nil in them.
func (o *Options) checkNil() error {
	switch {
	case slices.Contains(o.Users, nil), slices.Contains(o.Nkeys, nil):
		return errors.New("a user in Users or Nkeys is nil")
	case slices.Contains(o.Routes, nil):
		return errors.New("a URL in Routes is nil")
	}
	return nil
}

// checkOverrides returns an error if a program has set a value that is none.
func (o *Options) checkOverrides() error {
	if o.PingInterval < 0 || o.WriteDeadline < 0 {
		return fmt.Errorf("PingInterval is %v and WriteDeadline %v: want 0 for the default, or more", o.PingInterval, o.WriteDeadline)
	}
	rows := slices.DeleteFunc(slices.Clone(o.overrides), func(r *row) bool { return !slices.Contains(checkedFields, r.Field) })
	return optionTable().Check(rows, o)
}

// check returns an error if a program has set an invalid option.
func (o *Options) check() error {
	if err := o.checkListen(); err != nil {
		return err
	}
	return o.checkLogins()
}
