package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// certDir returns a fresh directory with the certificates of certs.WriteAll.
func certDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := certs.WriteAll(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// certOpts returns options for one of the certificates in dir.
func certOpts(dir, name string) TLSConfigOpts {
	return TLSConfigOpts{
		CertFile: filepath.Join(dir, name+"-cert.pem"),
		KeyFile:  filepath.Join(dir, name+"-key.pem"),
		CaFile:   filepath.Join(dir, "ca.pem"),
	}
}

func mustTLS(t testing.TB, o TLSConfigOpts) *tls.Config {
	t.Helper()
	c, err := GenTLSConfig(&o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshake connects two configurations and returns what each side says.
func handshake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() { // ends with the handshake or the deadline; received below
		err := s.Handshake()
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	if clientErr = c.Handshake(); clientErr == nil {
		go io.Copy(io.Discard, c) // takes session tickets or the alert; ends with Close
	} else {
		b.Close()
	}
	if serverErr = <-done; serverErr == nil {
		state = s.ConnectionState()
	}
	a.Close()
	b.Close()
	return state, serverErr, clientErr
}

func TestSettingsAreTheSameWhereverTheyComeFrom(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	block := certOpts(dir, "server")
	block.Verify = true
	flags := &Options{TLSCert: block.CertFile, TLSKey: block.KeyFile, TLSCaCert: block.CaFile, TLSVerify: true}
	other := certOpts(dir, "srva")
	narrow := block
	narrow.Ciphers, narrow.CurvePreferences = defaultCiphers()[:1], defaultCurves()[:1]
	for _, tt := range []struct {
		name string
		opts TLSConfigOpts
		want TLSConfigOpts
	}{
		{"flags alone", TLSConfigOpts{}.withFlags(flags), block},
		{"flags over a block that says the same", block.withFlags(flags), block},
		{"flags over a block that says otherwise", other.withFlags(flags), block},
		{"flags that say nothing", block.withFlags(&Options{}), block},
		{"ciphers and curves of a block survive flags", narrow.withFlags(flags), narrow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, want := mustTLS(t, tt.opts), mustTLS(t, tt.want)
			if got.MinVersion != tls.VersionTLS12 || got.MaxVersion != 0 || got.InsecureSkipVerify {
				t.Errorf("unsafe: %+v", got)
			}
			if !got.ClientCAs.Equal(want.ClientCAs) || got.RootCAs != nil {
				t.Error("the authorities differ")
			}
			got.ClientCAs, want.ClientCAs = nil, nil
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDefaultsAreSecure(t *testing.T) {
	t.Parallel()
	c := mustTLS(t, certOpts(certDir(t), "server"))
	if !slices.Equal(c.CipherSuites, defaultCiphers()) || !slices.Contains(c.CurvePreferences, tls.X25519) || c.ClientAuth != tls.NoClientCert {
		t.Errorf("suites %x, curves %v, client certificates %v", c.CipherSuites, c.CurvePreferences, c.ClientAuth)
	}
	for _, id := range defaultCiphers() {
		if insecureCipher(id) {
			t.Errorf("%s is insecure", tlsCipherName(id))
		}
	}
}

func TestGenTLSConfigErrors(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := certOpts(dir, "server")
	change := func(f func(*TLSConfigOpts)) TLSConfigOpts { o := good; f(&o); return o }
	for _, tt := range []struct {
		name string
		opts TLSConfigOpts
		want string // beginning
	}{
		{"no certificate", change(func(o *TLSConfigOpts) { o.CertFile = "" }), "TLS Server certificate must be present and valid"},
		{"no key", change(func(o *TLSConfigOpts) { o.KeyFile = "" }), "TLS Server private key must be present and valid"},
		{"junk for a certificate", change(func(o *TLSConfigOpts) { o.CertFile = junk }), "error parsing X509 certificate/key pair: "},
		{"key of another", change(func(o *TLSConfigOpts) { o.KeyFile = certOpts(dir, "srva").KeyFile }), "error parsing X509 certificate/key pair: "},
		{"no such ca", change(func(o *TLSConfigOpts) { o.CaFile = filepath.Join(dir, "none") }), "open "},
		{"junk for a ca", change(func(o *TLSConfigOpts) { o.CaFile = junk }), "failed to parse root ca certificate"},
		{"insecure cipher", change(func(o *TLSConfigOpts) { o.Ciphers = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA} }),
			"cipher TLS_RSA_WITH_RC4_128_SHA is insecure"},
	} {
		if _, err := GenTLSConfig(&tt.opts); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %s…", tt.name, err, tt.want)
		}
	}
}

func TestCipherAndCurveNames(t *testing.T) {
	t.Parallel()
	if len(cipherNames) != 21 || len(curveNames) != 4 {
		t.Errorf("%d suites, %d curves, want 21 and 4", len(cipherNames), len(curveNames))
	}
	usable := 0
	for _, c := range cipherNames {
		id, err := parseCipher(c.name)
		if insecureCipher(c.id) {
			if err == nil || !strings.Contains(err.Error(), c.name+" is insecure") {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		usable++
		if err != nil || id != c.id || tlsCipherName(id) != c.name {
			t.Errorf("%s: %x %v", c.name, id, err)
		}
		if !slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id }) {
			t.Errorf("%s cannot be negotiated", c.name)
		}
	}
	if usable == 0 {
		t.Error("nothing is usable")
	}
	for _, c := range curveNames {
		if id, err := parseCurve(c.name); err != nil || id != c.id {
			t.Errorf("%s: %v %v", c.name, id, err)
		}
	}
	for _, name := range []string{"", "x25519", "TLS_RSA_WITH_AES_128_GCM_SHA256", "tls_rsa_with_aes_128_cbc_sha"} {
		if _, err := parseCipher(name); err == nil || err.Error() != "unrecognized cipher "+name {
			t.Errorf("cipher %q: %v", name, err)
		}
		if _, err := parseCurve(name); err == nil || err.Error() != "unrecognized curve preference "+name {
			t.Errorf("curve %q: %v", name, err)
		}
	}
}

func TestTLSNamesInLogs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{tlsVersionName(tls.VersionTLS10), "1.0"},
		{tlsVersionName(tls.VersionTLS11), "1.1"},
		{tlsVersionName(tls.VersionTLS12), "1.2"},
		{tlsVersionName(tls.VersionTLS13), "1.3"},
		{tlsVersionName(0x999), "Unknown [999]"},
		{tlsCipherName(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305), "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"},
		{tlsCipherName(tls.TLS_AES_128_GCM_SHA256), "TLS_AES_128_GCM_SHA256"},
		{tlsCipherName(0xfefe), "Unknown [fefe]"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestTLSHelpNamesEverything(t *testing.T) {
	t.Parallel()
	help := tlsHelp()
	for _, c := range cipherNames {
		if !strings.Contains(help, "\n    "+c.name) {
			t.Errorf("%s is missing", c.name)
		}
	}
	for _, want := range []string{"\nAvailable cipher suites include:\n", "\n\nAvailable curve preferences include:\n    X25519\n", "cert_file", "key_file", "ca_file", "verify", "cipher_suites", "curve_preferences"} {
		if !strings.Contains(help, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	server, verify := certOpts(dir, "server"), certOpts(dir, "server")
	verify.Verify = true
	stranger := certOpts(certDir(t), "client")
	plain, mutual := mustTLS(t, server), mustTLS(t, verify)
	client := func(o *TLSConfigOpts, max uint16) *tls.Config {
		c := &tls.Config{RootCAs: plain.ClientCAs, ServerName: "localhost", MaxVersion: max}
		if o != nil {
			c.Certificates = mustTLS(t, *o).Certificates
		}
		return c
	}
	known := certOpts(dir, "client")
	for _, tt := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
		version        string
	}{
		{"TLS 1.3 is on", newTLSHolder(plain, tlsClients).accepting(), client(nil, 0), true, "1.3"},
		{"TLS 1.2 is on", newTLSHolder(plain, tlsClients).accepting(), client(nil, tls.VersionTLS12), true, "1.2"},
		{"TLS 1.1 is not", newTLSHolder(plain, tlsClients).accepting(), client(nil, tls.VersionTLS11), false, ""},
		{"verify demands a certificate", newTLSHolder(mutual, tlsClients).accepting(), client(nil, 0), false, ""},
		{"verify accepts one of the authority", newTLSHolder(mutual, tlsClients).accepting(), client(&known, 0), true, "1.3"},
		{"verify refuses one of another", newTLSHolder(mutual, tlsClients).accepting(), client(&stranger, 0), false, ""},
		{"monitoring never demands one", newTLSHolder(mutual, tlsMonitoring).accepting(), client(nil, 0), true, "1.3"},
		{"routes always demand one", newTLSHolder(plain, tlsRoutes).accepting(), client(nil, 0), false, ""},
		{"routes are mutual", newTLSHolder(plain, tlsRoutes).accepting(), newTLSHolder(plain, tlsRoutes).dialing("127.0.0.1"), true, "1.3"},
		{"routes check the host they dial", newTLSHolder(plain, tlsRoutes).accepting(), newTLSHolder(plain, tlsRoutes).dialing("example.com"), false, ""},
		{"routes check the authority", newTLSHolder(mustTLS(t, stranger), tlsRoutes).accepting(), newTLSHolder(plain, tlsRoutes).dialing("localhost"), false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, serverErr, clientErr := handshake(t, tt.server, tt.client)
			if ok := serverErr == nil && clientErr == nil; ok != tt.ok {
				t.Fatalf("server %v, client %v, want success: %v", serverErr, clientErr, tt.ok)
			}
			if tt.ok && tlsVersionName(state.Version) != tt.version {
				t.Errorf("version %s, want %s", tlsVersionName(state.Version), tt.version)
			}
		})
	}
}

func TestEmbeddersOwnChoiceOfConfigurationIsKept(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	base, refusal := mustTLS(t, certOpts(dir, "server")), errors.New("not you")
	client := &tls.Config{RootCAs: base.ClientCAs, ServerName: "localhost"}
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "localhost" {
			return nil, refusal
		}
		return nil, nil
	}
	if _, err, _ := handshake(t, newTLSHolder(base, tlsClients).accepting(), client); err != nil {
		t.Error(err)
	}
	client.ServerName, client.InsecureSkipVerify = "other", true
	if _, err, _ := handshake(t, newTLSHolder(base, tlsClients).accepting(), client); !errors.Is(err, refusal) {
		t.Errorf("error %v, want %v", err, refusal)
	}
}

func TestCertificatesReplacedOnDiskAreUsed(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	opts := certOpts(dir, "server")
	h := newTLSHolder(mustTLS(t, opts), tlsClients)
	w := watchCerts(opts, h)
	accepting := h.accepting()
	if message, err := w.poll(); message != "" || err != nil {
		t.Errorf("unchanged files: %q, %v", message, err)
	}

	a, err := certs.NewAuthority("new authority")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(certs.Request{Subject: pkix.Name{CommonName: "new"}, Hosts: certs.Local()})
	if err != nil {
		t.Fatal(err)
	}
	replace(t, opts.CertFile, p.Cert) // the key does not fit yet
	if message, err := w.poll(); message != "" || err == nil || !strings.Contains(err.Error(), "keeping the old ones") {
		t.Errorf("half replaced: %q, %v", message, err)
	}
	if message, err := w.poll(); message != "" || err != nil {
		t.Errorf("half replaced, again: %q, %v", message, err)
	}
	roots := mustTLS(t, certOpts(dir, "srva")).ClientCAs
	if _, _, err := handshake(t, accepting, &tls.Config{RootCAs: roots, ServerName: "localhost"}); err != nil {
		t.Errorf("the old pair is not kept: %v", err)
	}

	replace(t, opts.KeyFile, p.Key)
	if message, err := w.poll(); !strings.HasPrefix(message, "Reloaded TLS certificate "+opts.CertFile) || err != nil {
		t.Errorf("replaced: %q, %v", message, err)
	}
	fresh := x509.NewCertPool()
	fresh.AppendCertsFromPEM(a.PEM())
	if _, _, err := handshake(t, accepting, &tls.Config{RootCAs: fresh, ServerName: "localhost"}); err != nil {
		t.Errorf("the new pair is not used: %v", err)
	}
	if message, err := w.poll(); message != "" || err != nil {
		t.Errorf("after the change: %q, %v", message, err)
	}
	os.Remove(opts.KeyFile)
	if _, err := w.poll(); err == nil {
		t.Error("a missing file goes unnoticed")
	}
}

// replace puts a new file in the place of an old one, as tools that renew
// certificates do.
func replace(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestALinkTurnedToOtherFilesIsNoticed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, v := range []string{"v1", "v2"} {
		if err := certs.WriteAll(filepath.Join(root, v)); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(root, "current")
	if err := os.Symlink("v1", link); err != nil {
		missing(t, "symbolic links: "+err.Error())
	}
	opts := certOpts(link, "server")
	h := newTLSHolder(mustTLS(t, opts), tlsClients)
	w := watchCerts(opts, h)
	old := h.current.Load()
	if err := os.Symlink("v2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	tick, said := make(chan time.Time), make(chan string, 1)
	done := make(chan struct{})
	go func() { // ends when tick is closed; waited for below
		defer close(done)
		w.run(t.Context(), tick, func(message string, err error) { said <- message })
	}()
	tick <- time.Time{}
	if m := <-said; !strings.HasPrefix(m, "Reloaded") || h.current.Load() == old {
		t.Errorf("said %q", m)
	}
	close(tick)
	<-done
}
