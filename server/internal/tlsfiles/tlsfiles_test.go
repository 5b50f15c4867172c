package tlsfiles

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// files returns those of one of the certificates in dir.
func files(dir, name string) Files {
	return Files{
		Cert: filepath.Join(dir, name+"-cert.pem"),
		Key:  filepath.Join(dir, name+"-key.pem"),
		CA:   filepath.Join(dir, "ca.pem"),
	}
}

func mustLoad(t testing.TB, f Files) *tls.Config {
	t.Helper()
	c, err := Load(&f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreSecure(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, files(certDir(t), "server"))
	if !slices.Equal(c.CipherSuites, defaultCiphers()) || !slices.Contains(c.CurvePreferences, tls.X25519) || c.ClientAuth != tls.NoClientCert {
		t.Errorf("suites %x, curves %v, client certificates %v", c.CipherSuites, c.CurvePreferences, c.ClientAuth)
	}
	for _, id := range defaultCiphers() {
		if insecureCipher(id) {
			t.Errorf("%s is insecure", CipherName(id))
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
	if err := os.WriteFile(locked, block, 0o600); err != nil {
		t.Fatal(err)
	}
	good := files(dir, "server")
	change := func(set func(*Files)) Files { f := good; set(&f); return f }
	for _, tt := range []struct {
		name  string
		files Files
		want  string // beginning
	}{
		{"no certificate", change(func(f *Files) { f.Cert = "" }), "TLS Server certificate must be present and valid"},
		{"no key", change(func(f *Files) { f.Key = "" }), "TLS Server private key must be present and valid"},
		{"junk for a certificate", change(func(f *Files) { f.Cert = junk }), "error parsing X509 certificate/key pair: "},
		{"key of another", change(func(f *Files) { f.Key = files(dir, "srva").Key }), "error parsing X509 certificate/key pair: "},
		{"a key with a passphrase", change(func(f *Files) { f.Key = locked }),
			"error parsing X509 certificate/key pair: tls: failed to parse private key (the key is encrypted: "},
		{"no such ca", change(func(f *Files) { f.CA = filepath.Join(dir, "none") }), "open "},
		{"junk for a ca", change(func(f *Files) { f.CA = junk }), "failed to parse root ca certificate"},
		{"insecure cipher", change(func(f *Files) { f.Ciphers = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA} }),
			"cipher TLS_RSA_WITH_RC4_128_SHA is insecure"},
	} {
		if _, err := Load(&tt.files); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %s…", tt.name, err, tt.want)
		}
	}
}
