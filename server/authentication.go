package server

import (
	"cmp"
	"crypto/tls"
	"net"
)

// Authentication decides for an embedder who may connect.
type Authentication interface {
	// Check reports whether the connection may stay. It runs on the
	// connection's own goroutine, after CONNECT was read.
	Check(c ClientAuthentication) bool
}

// ClientAuthentication is what an [Authentication] may know of a connection,
// and do to it.
type ClientAuthentication interface {
	// GetOpts returns what the client sent in CONNECT. It must not be changed.
	GetOpts() *ConnectOptions
	// GetTLSConnectionState returns nil for a connection without TLS.
	GetTLSConnectionState() *tls.ConnectionState
	// RegisterUser gives the connection the name and permissions of u.
	RegisterUser(u *User)
	// RemoteAddress is the peer's address, nil if it has none.
	RemoteAddress() net.Addr
}

// ConnectOptions are the fields of a CONNECT operation.
type ConnectOptions struct {
	Verbose       bool   `json:"verbose"`
	Pedantic      bool   `json:"pedantic"`
	Echo          bool   `json:"echo"`
	TLSRequired   bool   `json:"tls_required"`
	Authorization string `json:"auth_token"`
	Username      string `json:"user"`
	Password      string `json:"pass"`
	Nkey          string `json:"nkey"` // public key
	Signature     string `json:"sig"`  // of the nonce in INFO, by the private key; base64
	Name          string `json:"name"`
	Lang          string `json:"lang"`
	Version       string `json:"version"`
	Protocol      int    `json:"protocol"`
	Headers       bool   `json:"headers"`
	NoResponders  bool   `json:"no_responders"`
}

// who is the name that the client gave itself, "" if none.
func (o *ConnectOptions) who() string { return cmp.Or(o.Nkey, o.Username) }
