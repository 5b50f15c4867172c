package server

import (
	"crypto/tls"
	"testing"
)

func TestModesOfTLSThatCannotBe(t *testing.T) {
	t.Parallel()
	const open = "allow_non_tls lets clients connect without TLS: it cannot be combined with verify, verify_and_map or handshake_first: true"
	for _, tt := range []struct {
		name   string
		change func(o *Options)
		want   string
	}{
		{"first without TLS", func(o *Options) { o.TLSConfig, o.TLSHandshakeFirst = nil, true }, "handshake_first needs TLS on the client port"},
		{"optional without TLS", func(o *Options) { o.TLSConfig, o.AllowNonTLS = nil, true }, "allow_non_tls needs TLS on the client port"},
		{"optional and first", func(o *Options) { o.AllowNonTLS, o.TLSHandshakeFirst = true, true }, open},
		{"optional and first, or not", func(o *Options) {
			o.AllowNonTLS, o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, true, handshakeFirstWait
		}, ""},
		{"optional and verified", func(o *Options) { o.AllowNonTLS, o.TLSConfig.ClientAuth = true, tls.RequireAndVerifyClientCert }, open},
		{"optional, and certificates name users", func(o *Options) { o.AllowNonTLS, o.TLSMap, o.Users = true, true, []*User{{Username: "a"}} }, open},
	} {
		o := Defaults()
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		tt.change(o)
		_, err := NewServer(o)
		if got := errorText(err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// errorText is the text of an error, "" for none.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
