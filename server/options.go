package server

import (
	"crypto/tls"
	"net/url"
	"time"

	"gnatsd/conf"
)

// Values that stand in for what a caller or a file leaves out. They are those
// of gnatsd 1.4.1 where it has the setting.
const (
	// DefaultHost binds every interface.
	DefaultHost = "0.0.0.0"
	// DefaultPort is the registered port of the protocol.
	DefaultPort = 4222
	// RandomPort asks the kernel for a free port.
	RandomPort = -1
	// DefaultHTTPPort is the monitoring port by convention; it is opened only when asked for.
	DefaultHTTPPort = 8222

	// maxPendingTotalShare is the ceiling over all pending bytes, as a multiple
	// of one connection's limit: sixteen clients may be at their limit before the one with most
	// is disconnected early.
	maxPendingTotalShare = 16
)

// Options are the settings of a Server. Zero values mean the default (see
// [Defaults]); New copies them, so changing them afterwards has no effect.
//
// The names are those that embedders of gnatsd 1.x know. The JSON names are
// those of /varz.
type Options struct {
	ConfigFile      string `json:"-"`
	WatchConfig     bool   `json:"-"` // reload when the file changes, without a signal
	ServerName      string `json:"server_name,omitempty"`
	Host            string `json:"addr"`
	Port            int    `json:"port"`
	ClientAdvertise string `json:"-"`

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

	Users         []*User `json:"-"`
	Username      string  `json:"-"`
	Password      string  `json:"-"`
	Authorization string  `json:"-"` // token
	NoAuthUser    string  `json:"-"`
	AuthTimeout   float64 `json:"auth_timeout"` // seconds

	PingInterval  time.Duration `json:"ping_interval"`
	MaxPingsOut   int           `json:"ping_max"`
	WriteDeadline time.Duration `json:"write_deadline"`

	HTTPHost     string `json:"http_host"`
	HTTPPort     int    `json:"http_port"`
	HTTPSPort    int    `json:"https_port"`
	HTTPBasePath string `json:"http_base_path,omitempty"`
	// HTTPSocket is the path of a Unix socket that serves the monitoring pages, "" for none.
	HTTPSocket string `json:"-"`
	// HTTPUsername and HTTPPassword are the login of the monitoring pages, /healthz excepted;
	// without a name there is none. The password may be a bcrypt hash.
	HTTPUsername string `json:"-"`
	HTTPPassword string `json:"-"`
	// HTTPVerify demands of the clients of the HTTPS port a certificate that the authorities of
	// the client port's TLS have signed.
	HTTPVerify bool `json:"-"`
	// HTTPSameOrigin keeps web pages of other origins from reading the monitoring pages: no JSONP,
	// and no CORS header.
	HTTPSameOrigin bool `json:"-"`
	// MetricsPrefix begins the names of the metrics of /metrics.
	MetricsPrefix string `json:"-"`
	ProfPort      int    `json:"-"`

	Cluster   ClusterOpts `json:"cluster"`
	Routes    []*url.URL  `json:"-"`
	RoutesStr string      `json:"-"`

	PidFile      string `json:"-"`
	PortsFileDir string `json:"-"`

	TLS               bool `json:"-"`
	TLSVerify         bool `json:"-"`
	TLSMap            bool `json:"-"` // the certificate names the user
	TLSHandshakeFirst bool `json:"-"` // INFO is sent inside TLS
	// TLSHandshakeFirstFallback is how long clients may take to begin TLS before INFO is sent in
	// clear after all; 0 = for ever.
	TLSHandshakeFirstFallback time.Duration `json:"-"`
	// AllowNonTLS lets clients choose whether they use TLS.
	AllowNonTLS bool        `json:"-"`
	TLSCert     string      `json:"-"`
	TLSKey      string      `json:"-"`
	TLSCaCert   string      `json:"-"`
	TLSTimeout  float64     `json:"tls_timeout"` // seconds
	TLSConfig   *tls.Config `json:"-"`

	NoBusyPoll          bool          `json:"-"` // readers go to sleep at once
	MaxClosedClients    int           `json:"-"`
	LameDuckDuration    time.Duration `json:"-"`
	LameDuckGracePeriod time.Duration `json:"-"`

	CustomClientAuthentication Authentication `json:"-"`
	CustomRouterAuthentication Authentication `json:"-"`

	tlsFiles *TLSConfigOpts // what TLSConfig was made from; nil if a program made it
	network  network        // nil means the operating system's
	identity string         // server id; "" means a new one

	// What a file says that has no field above.
	defaultPermissions *Permissions // of users without their own
	tlsCiphers         []uint16
	tlsCurves          []tls.CurveID
	tlsMinVersion      string
	incomplete         []*conf.Error // users without name or password

	loaded    *loading // how these options were loaded; nil if a program made them
	overrides []*row   // set by a program since; a reload keeps them
}

// ClusterOpts are the settings of the listener for other servers and of the
// connections to them. Port 0 means no clustering.
type ClusterOpts struct {
	Name           string            `json:"-"`
	Host           string            `json:"addr,omitempty"`
	Port           int               `json:"cluster_port,omitempty"`
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
	PreferLocal    bool              `json:"-"` // a queue member on the publisher's server comes first

	// What a file says that has no field above.
	tls             TLSConfigOpts
	tlsOn           bool
	authPermissions *RoutePermissions // of the authorization block
}

// Defaults returns the settings of a server without a configuration.
func Defaults() *Options {
	o := &Options{}
	o.fill()
	return o
}

// fill replaces zero values by defaults: those of the rows, and those that
// depend on other settings.
func (o *Options) fill() {
	optionTable().Defaults(o)
	orDefault(&o.MaxPendingTotal, maxPendingTotalShare*o.MaxPending)
	orDefault(&o.HTTPHost, o.Host)
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
