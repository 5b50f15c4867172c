package tlsfiles

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"gnatsd/conf"
)

// cipherNames are the names that cipher_suites takes, as of gnatsd 1.x, in the order of --help_tls.
// Those that crypto/tls lists as insecure are known so that their refusal can say why.
var cipherNames = []struct {
	name string
	id   uint16
}{
	{"TLS_RSA_WITH_RC4_128_SHA", tls.TLS_RSA_WITH_RC4_128_SHA},
	{"TLS_RSA_WITH_3DES_EDE_CBC_SHA", tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	{"TLS_RSA_WITH_AES_128_CBC_SHA", tls.TLS_RSA_WITH_AES_128_CBC_SHA},
	{"TLS_RSA_WITH_AES_128_CBC_SHA256", tls.TLS_RSA_WITH_AES_128_CBC_SHA256},
	{"TLS_RSA_WITH_AES_256_CBC_SHA", tls.TLS_RSA_WITH_AES_256_CBC_SHA},
	{"TLS_RSA_WITH_AES_256_GCM_SHA384", tls.TLS_RSA_WITH_AES_256_GCM_SHA384},
	{"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
	{"TLS_ECDHE_RSA_WITH_RC4_128_SHA", tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA},
	{"TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA},
	{"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
	{"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256},
	{"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
	{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
	{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
}

// curveNames are the names that curve_preferences takes.
var curveNames = []struct {
	name string
	id   tls.CurveID
}{
	{"X25519", tls.X25519},
	{"CurveP256", tls.CurveP256},
	{"CurveP384", tls.CurveP384},
	{"CurveP521", tls.CurveP521},
}

// defaultCiphers are those of 1.4: forward secrecy and authenticated encryption only. They apply to
// TLS 1.2; the suites of 1.3 are not configurable.
func defaultCiphers() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
}

// defaultCurves are those of 1.4 after the hybrid that resists quantum computers.
func defaultCurves() []tls.CurveID {
	return []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
}

// insecureCipher reports whether crypto/tls counts a suite as insecure.
func insecureCipher(id uint16) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id })
}

// ParseCipher returns the suite of one name in cipher_suites: as of gnatsd 1.x, or as crypto/tls and
// nats-server 2.x call it. Those of TLS 1.3 have no effect there, since all of them are always in
// use; but if there are no others, clients cannot use TLS 1.2.
func ParseCipher(name string) (uint16, error) {
	for _, c := range cipherNames {
		if c.name == name {
			return c.id, checkCipher(c.id)
		}
	}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == name {
			return s.ID, checkCipher(s.ID)
		}
	}
	return 0, fmt.Errorf("unrecognized cipher %s", conf.Printable(name))
}

// checkCipher refuses a suite that is insecure.
func checkCipher(id uint16) error {
	if !insecureCipher(id) {
		return nil
	}
	return fmt.Errorf("cipher %s is insecure and not supported: remove it from 'cipher_suites'", CipherName(id))
}

// ParseCurve returns the curve of one name in curve_preferences.
func ParseCurve(name string) (tls.CurveID, error) {
	for _, c := range curveNames {
		if c.name == name {
			return c.id, nil
		}
	}
	if id := tls.X25519MLKEM768; id.String() == name {
		return id, nil
	}
	return 0, fmt.Errorf("unrecognized curve preference %s", conf.Printable(name))
}

// The versions that min_version takes, as [VersionName] writes them.
const (
	Version12 = "1.2"
	Version13 = "1.3"
)

// CurveName returns a curve as curve_preferences takes it.
func CurveName(id tls.CurveID) string {
	for _, c := range curveNames {
		if c.id == id {
			return c.name
		}
	}
	return id.String()
}

// VersionName returns a protocol version as logs and /connz show it: "1.3".
func VersionName(version uint16) string {
	switch version {
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return Version12
	case tls.VersionTLS13:
		return Version13
	}
	return fmt.Sprintf("Unknown [%x]", version)
}

// CipherName returns a suite as logs and /connz show it.
func CipherName(id uint16) string {
	for _, c := range cipherNames {
		if c.id == id {
			return c.name
		}
	}
	name := tls.CipherSuiteName(id)
	if strings.HasPrefix(name, "0x") {
		return fmt.Sprintf("Unknown [%x]", id)
	}
	return name
}

// Help is what --help_tls prints.
func Help() string {
	var b strings.Builder
	b.WriteString(`
TLS is set up in the tls section of the configuration file,
e.g.

    tls {
        cert_file:      "./certs/server-cert.pem"
        key_file:       "./certs/server-key.pem"
        ca_file:        "./certs/ca.pem"
        verify:         true

        cipher_suites: [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        ]
        curve_preferences: [
            "X25519",
            "CurveP256"
        ]
    }

Available cipher suites include:
`)
	for _, c := range cipherNames {
		b.WriteString("    " + c.name)
		if insecureCipher(c.id) {
			b.WriteString(" (insecure: refused)")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nAvailable curve preferences include:\n")
	for _, c := range curveNames {
		b.WriteString("    " + c.name + "\n")
	}
	return b.String()
}
