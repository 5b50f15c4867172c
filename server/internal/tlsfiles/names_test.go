package tlsfiles

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

func TestCipherAndCurveNames(t *testing.T) {
	t.Parallel()
	if len(cipherNames) != 21 || len(curveNames) != 4 {
		t.Errorf("%d suites, %d curves, want 21 and 4", len(cipherNames), len(curveNames))
	}
	usable := 0
	for _, c := range cipherNames {
		id, err := ParseCipher(c.name)
		if insecureCipher(c.id) {
			if err == nil || !strings.Contains(err.Error(), c.name+" is insecure") {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		usable++
		if err != nil || id != c.id || CipherName(id) != c.name {
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
		if id, err := ParseCurve(c.name); err != nil || id != c.id {
			t.Errorf("%s: %v %v", c.name, id, err)
		}
	}
	for _, name := range []string{"", "x25519", "TLS_NONE", "tls_rsa_with_aes_128_cbc_sha"} {
		if _, err := ParseCipher(name); err == nil || err.Error() != "unrecognized cipher "+name {
			t.Errorf("cipher %q: %v", name, err)
		}
		if _, err := ParseCurve(name); err == nil || err.Error() != "unrecognized curve preference "+name {
			t.Errorf("curve %q: %v", name, err)
		}
	}
}

func TestTLSNamesInLogs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{VersionName(tls.VersionTLS10), "1.0"},
		{VersionName(tls.VersionTLS11), "1.1"},
		{VersionName(tls.VersionTLS12), "1.2"},
		{VersionName(tls.VersionTLS13), "1.3"},
		{VersionName(0x999), "Unknown [999]"},
		{CipherName(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305), "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"},
		{CipherName(tls.TLS_AES_128_GCM_SHA256), "TLS_AES_128_GCM_SHA256"},
		{CipherName(0xfefe), "Unknown [fefe]"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestTLSHelpNamesEverything(t *testing.T) {
	t.Parallel()
	help := Help()
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
