package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/tlsfiles"
)

// tlsFile returns options of a file with TLS for clients and routes, with the certificates in a
// directory.
func tlsFile(t *testing.T, dir, more string) *Options {
	t.Helper()
	block := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q }", filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"), filepath.Join(dir, "ca.pem"))
	o, err := ProcessConfigFile(writeConfig(t, block+"\ncluster { listen: \"127.0.0.1:-1\"\n"+block+" }\n"+more))
	okay(t, err)
	o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
	return o
}

// readText returns the contents of a file.
func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	okay(t, err)
	return string(text)
}

// TestTLSOfAProgramStays has a program set TLS beside that of the file, which is read again by a reload and
// when a certificate is replaced.
func TestTLSOfAProgramStays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(o *Options, own *tls.Config) *Options
		own    bool // the certificates are not those of the files
	}{
		"its own": {func(o *Options, own *tls.Config) *Options { o.TLSConfig, o.Cluster.TLSConfig = own, own; return o }, true},
		"merged": {func(o *Options, own *tls.Config) *Options {
			return MergeOptions(o, &Options{TLSConfig: own, Cluster: ClusterOpts{TLSConfig: own}})
		}, true},
		"that of the file, edited": {func(o *Options, _ *tls.Config) *Options {
			o.TLSConfig.ClientAuth, o.TLSConfig.MinVersion = tls.RequireAnyClientCert, tls.VersionTLS13
			o.Cluster.TLSConfig.MinVersion = tls.VersionTLS13
			return o
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := certDir(t)
			own := mustTLS(t, certOpts(dir, "srva"))
			own.ClientAuth, own.MinVersion = tls.RequireAnyClientCert, tls.VersionTLS13
			s, err := NewServer(tt.change(tlsFile(t, dir, ""), own))
			okay(t, err)
			var first [2]*tls.Config
			want := func(what string, replaced bool) {
				t.Helper()
				clients, routes := &s.policy.Load().policy, &s.cluster.policy.Load().policy
				if (clients.tlsFiles == nil) != tt.own || (routes.tlsFiles == nil) != tt.own {
					t.Errorf("%s: the files are watched: %v, %v", what, clients.tlsFiles != nil, routes.tlsFiles != nil)
				}
				for i, c := range []*tls.Config{clients.tls.Current(), routes.tls.Current()} {
					if first[i] == nil {
						first[i] = c
					}
					if c.MinVersion != tls.VersionTLS13 || i == 0 && c.ClientAuth != tls.RequireAnyClientCert {
						t.Errorf("%s: got version %x and authentication %v", what, c.MinVersion, c.ClientAuth)
					}
					if got := !tlsfiles.Same(first[i], c); got != replaced {
						t.Errorf("%s: other certificates: %v", what, got)
					}
				}
			}
			want("at the start", false)
			put(t, filepath.Dir(s.options().ConfigFile), filepath.Base(s.options().ConfigFile), readText(t, s.options().ConfigFile)+"max_payload: 77\n")
			okay(t, s.Reload())
			if got := s.options().MaxPayload; got != 77 {
				t.Errorf("got max_payload %d", got)
			}
			want("after a reload of something else", false)
			for _, kind := range []string{"-cert.pem", "-key.pem"} {
				put(t, dir, "server"+kind, readText(t, filepath.Join(dir, "srvb"+kind)))
			}
			if p := s.policy.Load(); p.tlsFiles != nil {
				s.reloadCerts(p.tlsFiles.files(), []*tlsfiles.Holder{p.tls, p.monitorTLS})
			}
			if p := s.cluster.policy.Load(); p.tlsFiles != nil {
				s.reloadCerts(p.tlsFiles.files(), []*tlsfiles.Holder{p.tls})
			}
			want("with other certificates in the files", !tt.own)
			okay(t, s.Reload())
			want("after a reload with them", !tt.own)
		})
	}
}

// TestWhatAProgramDoesNotEditInTLSIsReloaded has a program change one setting of the TLS of a file, and the file
// another one.
func TestWhatAProgramDoesNotEditInTLSIsReloaded(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	o := tlsFile(t, dir, "")
	roots := mustTLS(t, certOpts(dir, "srva")).ClientCAs
	roots.AddCert(mustTLS(t, certOpts(dir, "srva")).Certificates[0].Leaf)
	o.TLSConfig.MaxVersion, o.Cluster.TLSConfig.RootCAs = tls.VersionTLS12, roots
	s, err := NewServer(o)
	okay(t, err)
	file := s.options().ConfigFile
	before := readText(t, file)
	for _, verify := range []bool{true, false, true} {
		put(t, filepath.Dir(file), filepath.Base(file), strings.Replace(before, "tls {", fmt.Sprintf("tls { verify: %v, ", verify), 1))
		okay(t, s.Reload())
		want := tls.NoClientCert
		if verify {
			want = tls.RequireAndVerifyClientCert
		}
		clients, routes := s.policy.Load().tls.Current(), s.cluster.policy.Load().tls.Current()
		if clients.ClientAuth != want || clients.MaxVersion != tls.VersionTLS12 || !routes.RootCAs.Equal(roots) {
			t.Errorf("verify is %v: got %v, version %x, the authorities of the program: %v", verify, clients.ClientAuth, clients.MaxVersion, routes.RootCAs.Equal(roots))
		}
	}
}

// TestReloadOptionsChangesTLS changes each setting of a configuration that a program has made.
func TestReloadOptionsChangesTLS(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	refuse := errors.New("refused")
	options := func(change func(*tls.Config)) *Options {
		o := defaults()
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.TLSConfig = mustTLS(t, certOpts(dir, "server"))
		if change != nil {
			change(o.TLSConfig)
		}
		o.Cluster.TLSConfig = tlsfiles.ForRole(o.TLSConfig, tlsfiles.Routes)
		return o
	}
	for name, change := range map[string]func(*tls.Config){
		"ClientAuth":       func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert },
		"MinVersion":       func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		"MaxVersion":       func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"CipherSuites":     func(c *tls.Config) { c.CipherSuites = c.CipherSuites[:1] },
		"VerifyConnection": func(c *tls.Config) { c.VerifyConnection = func(tls.ConnectionState) error { return refuse } },
		"GetConfigForClient": func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, refuse }
		},
		"GetCertificate": func(c *tls.Config) {
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, refuse }
		},
		"Certificates": func(c *tls.Config) { c.Certificates = mustTLS(t, certOpts(dir, "srva")).Certificates },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(options(nil))
			okay(t, err)
			clients, routes := s.policy.Load().tls, s.cluster.policy.Load().tls
			okay(t, s.ReloadOptions(options(nil)))
			if s.policy.Load().tls != clients || s.cluster.policy.Load().tls != routes {
				t.Error("a reload without a change has replaced the configuration")
			}
			next := options(change)
			okay(t, s.ReloadOptions(next))
			if s.policy.Load().tls == clients {
				t.Error("the configuration for clients stays")
			}
			if s.cluster.policy.Load().tls == routes && name != "ClientAuth" { // routes always need a certificate
				t.Error("the configuration for routes stays")
			}
		})
	}
}

// refuseAll is a hook that accepts nothing, with a field that cannot be compared.
type refuseAll struct{ _ []int }

func (refuseAll) Check(c ClientAuthentication) bool {
	_ = c.GetOpts().Username // is there, whatever the client has sent
	return false
}

// TestHooksAreReloaded adds and removes the hooks of a program. What the first one decided before is
// decided again.
func TestHooksAreReloaded(t *testing.T) {
	t.Parallel()
	options := func(hook Authentication) *Options {
		o := defaults()
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.CustomClientAuthentication, o.CustomRouterAuthentication = hook, hook
		return o
	}
	s, err := NewServer(options(nil))
	okay(t, err)
	go s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	here := dialClient(t, s)
	okay(t, here.Send("PING\r\n"))
	_, err = here.Next()
	okay(t, err)
	refused := func(what string) {
		t.Helper()
		c := openClient(t, s)
		okay(t, c.Send("CONNECT {\"verbose\":false}\r\nPING\r\n"))
		if _, err := c.Next(); err == nil || !strings.Contains(err.Error(), "Authorization Violation") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	okay(t, s.ReloadOptions(options(refuseAll{})))
	if _, err := here.Next(); err == nil {
		t.Error("a client that was connected stays")
	}
	refused("with a hook")
	if p := s.cluster.policy.Load(); !p.auth.Hook() || p.hook == nil {
		t.Error("routes are not decided by the hook")
	}
	hooked := s.options()
	s.opts.Store(options(nil)) // the first thing that a reload does
	refused("while a reload removes the hook")
	s.opts.Store(hooked)
	okay(t, s.ReloadOptions(options(nil)))
	c := openClient(t, s)
	okay(t, c.Send("CONNECT {\"verbose\":false}\r\nPING\r\n"))
	_, err = c.Next()
	okay(t, err)
	if p := s.cluster.policy.Load(); p.auth.Hook() || p.hook != nil {
		t.Error("routes are decided by the hook still")
	}
	okay(t, s.ReloadOptions(options(admitAll{})))
	okay(t, c.Send("PING\r\n"))
	_, err = c.Next()
	okay(t, err)
}

// hookFunc is a hook that cannot be compared.
type hookFunc func() bool

func (f hookFunc) Check(ClientAuthentication) bool { return f() }

// TestAHookDecidesOnceForEachThatIsSet has a hook that takes its time while other settings are reloaded, and
// that is not asked again because of these.
func TestAHookDecidesOnceForEachThatIsSet(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "max_payload: 100\n")
	o, err := ProcessConfigFile(file)
	okay(t, err)
	o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
	asked, decide := make(chan struct{}, 10), make(chan bool)
	s := runReloader(t, o)
	c := dialClient(t, s.Server)
	okay(t, c.Send("PING\r\n"))
	_, err = c.Next()
	okay(t, err)
	next := o.Clone()
	next.CustomClientAuthentication = hookFunc(func() bool { asked <- struct{}{}; return <-decide })
	okay(t, s.ReloadOptions(next))
	<-asked
	put(t, filepath.Dir(file), filepath.Base(file), "max_payload: 200, authorization { timeout: 3 }\n")
	okay(t, s.Reload())
	if got := s.options().MaxPayload; got != 200 || len(asked) > 0 {
		t.Errorf("max_payload is %d, and the hook is asked %d times more", got, len(asked))
	}
	decide <- false
	if _, err := c.Next(); err == nil {
		t.Error("the client stays")
	}
}

// TestOptionsOfAProgramAreCopied changes options after they were given to a server.
func TestOptionsOfAProgramAreCopied(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
	o.Users = []*User{{Username: "a", Password: "old", Permissions: &Permissions{Publish: &SubjectPermission{Allow: []string{"x"}}}}}
	o.Routes = []*url.URL{{Scheme: "nats-route", Host: "127.0.0.1:1"}}
	s, err := NewServer(o)
	okay(t, err)
	o.Users[0].Password, o.Users[0].Permissions.Publish.Allow[0], o.Routes[0].Host = "new", "y", "127.0.0.1:2"
	before := s.policy.Load().auth
	if now := s.options(); now.Users[0].Password != "old" || now.Users[0].Permissions.Publish.Allow[0] != "x" || now.Routes[0].Host != "127.0.0.1:1" {
		t.Errorf("got %+v, %v", now.Users[0], now.Routes[0])
	}
	okay(t, s.ReloadOptions(o))
	if now := s.options(); now.Users[0].Password != "new" || now.Routes[0].Host != "127.0.0.1:2" || s.policy.Load().auth == before {
		t.Errorf("after a reload: got %+v, %v", now.Users[0], now.Routes[0])
	}
}

// TestOptionsOfAProgramAreChecked has options that a file could not give, for a new server and for one
// that runs: nothing changes.
func TestOptionsOfAProgramAreChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"PingInterval is -1s":                                func(o *Options) { o.PingInterval = -time.Second },
		"MaxControlLine: want":                               func(o *Options) { o.MaxControlLine = -1 },
		"MaxPending: want":                                   func(o *Options) { o.MaxPending = -1 },
		"Port: want an integer":                              func(o *Options) { o.Port = 65536 },
		"HTTPPort: want an integer":                          func(o *Options) { o.HTTPPort = -2 },
		"ProfPort: want an integer":                          func(o *Options) { o.ProfPort = -2 },
		"Cluster.Port: want an integer":                      func(o *Options) { o.Cluster.Port = -2 },
		"Cluster.PoolSize: want":                             func(o *Options) { o.Cluster.PoolSize = 1e9 },
		"Cluster.Compression":                                func(o *Options) { o.Cluster.Compression.Mode = "zip" },
		"LogFormat: want":                                    func(o *Options) { o.LogFormat = "xml" },
		"ServerName: ":                                       func(o *Options) { o.ServerName = "a b" },
		"Cluster.Name: ":                                     func(o *Options) { o.Cluster.Name = "a b" },
		"MetricsPrefix: ":                                    func(o *Options) { o.MetricsPrefix = "1-" },
		"HTTPUsername: ":                                     func(o *Options) { o.HTTPUsername, o.HTTPPassword = "a:b", "c" },
		"HTTPBasePath: ":                                     func(o *Options) { o.HTTPBasePath = "/.." },
		"Cluster.Password is set without Cluster.Username":   func(o *Options) { o.Cluster.Port, o.Cluster.Password = RandomPort, "secret" },
		"HTTPUsername and HTTPPassword must be set together": func(o *Options) { o.HTTPUsername = "a" },
		"a user in Users or Nkeys is nil":                    func(o *Options) { o.Users = []*User{nil} },
		"a user in Users or Nkeys is nil ":                   func(o *Options) { o.Nkeys = []*NkeyUser{nil} },
		"a URL in Routes is nil":                             func(o *Options) { o.Routes = []*url.URL{nil} },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			want := strings.TrimSpace(want)
			o := defaults()
			change(o)
			if _, err := NewServer(o); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			s, err := NewServer(defaults())
			okay(t, err)
			before := s.options()
			if err := s.ReloadOptions(o); err == nil || !strings.HasPrefix(err.Error(), want) || s.options() != before {
				t.Errorf("a reload: got %v", err)
			}
		})
	}
	for _, o := range []*Options{ // as programs for 1.x set them
		Defaults(), {MaxConn: -1, MaxPayload: -1, HTTPPort: -1, MaxSubs: -1}, {PingInterval: 1 << 62, WriteDeadline: 1 << 62},
		{LogSizeLimit: -1, MaxTracedMsgLen: -1, MaxPingsOut: -1, AuthTimeout: 1e7, Cluster: ClusterOpts{Password: "x"}},
		{Users: []*User{{Username: "a", Password: "C:\\a\tb", Limits: &UserLimits{MaxPayload: -5}}}},
	} {
		_, err := NewServer(o)
		okay(t, err)
	}
	s, err := NewServer(&Options{LogFormat: "JSON", Cluster: ClusterOpts{Compression: Compression{Mode: "Fast"}}})
	okay(t, err)
	if o := s.options(); o.LogFormat != "json" || o.Cluster.Compression.Mode != "s2_fast" {
		t.Errorf("got %q and %q, want the usual words", o.LogFormat, o.Cluster.Compression.Mode)
	}
}

// endingLog is a logger that ends the server at the last line of a start that failed.
type endingLog struct {
	*lineLog
	s *Server
}

func (l *endingLog) Fatalf(format string, v ...any) {
	l.lineLog.Fatalf(format, v...)
	l.s.Shutdown()
}

// TestALoggerMayEndTheServerThatCannotStart has a port that is taken.
func TestALoggerMayEndTheServerThatCannotStart(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.Port = broker(t, nil).Addr().(*net.TCPAddr).Port
	s, err := NewServer(o)
	okay(t, err)
	log := &endingLog{newLineLog(), s}
	s.SetLogger(log, false, false)
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	select {
	case err := <-ended:
		if err == nil || !strings.HasPrefix(err.Error(), "listen for clients: ") {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	log.wait(t, "Error listening on port: 127.0.0.1:")
}
