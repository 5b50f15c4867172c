package server

import (
	"crypto/tls"
	"path/filepath"
	"reflect"
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

func TestSettingsAreTheSameWhereverTheyComeFrom(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	block := certOpts(dir, "server")
	block.Verify = true
	flags := &Options{TLSCert: block.CertFile, TLSKey: block.KeyFile, TLSCaCert: block.CaFile, TLSVerify: true}
	other := certOpts(dir, "srva")
	narrow := block
	narrow.Ciphers, narrow.CurvePreferences = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, []tls.CurveID{tls.X25519}
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

// TestAnErrorOfSyntaxInATLSBlockIsTheOnlyOne has a block that cannot be read: what it lacks is not known.
func TestAnErrorOfSyntaxInATLSBlockIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`tls { cert_file: "a" key_file: "b" }`, `cluster { tls { cert_file: "a" key_file: "b" } }`} {
		_, err := configured(t, text)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "tls.cert_file: Expected a map value terminator") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
