package server

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Version is the version of the broker in INFO, /varz and `gnatsd -v`.
const Version = "1.6.0"

// gitCommit is set by the linker (see the Makefile).
var gitCommit string

// Commit returns the git commit that the program was built from: the one that the linker set, else
// that of the build's VCS information, else "".
func Commit() string {
	if gitCommit != "" {
		return gitCommit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return ""
}

// protoVersion is the version of the client protocol in INFO: 1 means that the server sends
// asynchronous INFO.
const protoVersion = 1

// Info is the INFO that a server sends when a connection opens. The fields are in the order of the
// JSON text, which is that of gnatsd 1.4; later fields stand where nats-server 2.x has them.
type Info struct {
	ID                string   `json:"server_id"`
	Name              string   `json:"server_name,omitempty"`
	Version           string   `json:"version"`
	Proto             int      `json:"proto"`
	GitCommit         string   `json:"git_commit,omitempty"`
	GoVersion         string   `json:"go"`
	Host              string   `json:"host"`
	Port              int      `json:"port"`
	Headers           bool     `json:"headers,omitempty"`
	AuthRequired      bool     `json:"auth_required,omitempty"`
	TLSRequired       bool     `json:"tls_required,omitempty"`
	TLSVerify         bool     `json:"tls_verify,omitempty"`
	TLSAvailable      bool     `json:"tls_available,omitempty"`
	MaxPayload        int      `json:"max_payload"`
	IP                string   `json:"ip,omitempty"`
	CID               uint64   `json:"client_id,omitempty"`
	ClientIP          string   `json:"client_ip,omitempty"`
	Nonce             string   `json:"nonce,omitempty"`
	Cluster           string   `json:"cluster,omitempty"`
	ClientConnectURLs []string `json:"connect_urls,omitempty"`
	LameDuckMode      bool     `json:"ldm,omitempty"` // the server is in lame duck mode: clients should reconnect to another
}

// newInfo returns the part of INFO that all clients have in common.
func newInfo(id string, o *Options) *Info {
	info := &Info{
		ID:         id,
		Name:       o.ServerName,
		Version:    Version,
		Proto:      protoVersion,
		GitCommit:  Commit(),
		GoVersion:  runtime.Version(),
		Host:       o.Host,
		Port:       o.Port,
		Headers:    true,
		MaxPayload: announcedPayload(o.MaxPayload),
	}
	if info.Name == "" {
		info.Name = id
	}
	if o.Cluster.Port != 0 {
		info.Cluster = o.Cluster.Name
	}
	return info
}

// announcedPayload returns the max_payload of INFO: clients take a negative one, which is no limit, for a
// limit that no message keeps.
func announcedPayload(most int) int {
	if most < 0 {
		return maxSize
	}
	return most
}

// infoText is an encoded INFO line for clients, split at the fields that differ between clients:
// id, address and nonce.
type infoText struct {
	info       *Info
	head, tail string
}

// newInfoText encodes INFO once for all clients.
func newInfoText(info *Info) *infoText {
	const placeholder = 1<<64 - 1 // no client has this id
	i := *info
	i.CID = placeholder
	head, tail, _ := strings.Cut(infoLine(&i), strconv.FormatUint(placeholder, 10))
	return &infoText{info: info, head: head, tail: tail}
}

// appendInfo appends the INFO line for the client.
func (c *client) appendInfo(b []byte) []byte { return c.appendInfoText(b, c.srv.info.Load()) }

// appendInfoText appends an INFO line for the client.
func (c *client) appendInfoText(b []byte, t *infoText) []byte {
	if c.inProcess && t.info.TLSRequired {
		clear := *t.info
		clear.TLSRequired, clear.TLSVerify, clear.TLSAvailable = false, false, false
		t = newInfoText(&clear)
	}
	if most := announcedPayload(c.maxPayload(c.srv.options())); most != t.info.MaxPayload { // what is in force, whatever t is made of
		limited := *t.info
		limited.MaxPayload = most
		t = newInfoText(&limited)
	}
	b = strconv.AppendUint(append(b, t.head...), c.id, 10)
	if host, _ := c.peer(); host != "" {
		b = append(append(append(b, `,"client_ip":"`...), host...), '"')
	}
	if c.nonce != "" {
		b = append(append(append(b, `,"nonce":"`...), c.nonce...), '"')
	}
	return append(b, t.tail...)
}

// renewInfo updates INFO from the current settings and policy.
func (s *Server) renewInfo() {
	s.changeInfo(func(info *Info) {
		info.MaxPayload = announcedPayload(s.options().MaxPayload)
		s.policy.Load().describe(info)
	})
}

// changeInfo replaces INFO by a copy that change has modified. It may call change more than once.
func (s *Server) changeInfo(change func(*Info)) {
	for {
		old := s.info.Load()
		info := *old.info
		change(&info)
		if s.info.CompareAndSwap(old, newInfoText(&info)) {
			return
		}
	}
}

// infoLine encodes INFO, with a space before the line end as in gnatsd 1.x.
func infoLine(info *Info) string {
	text, err := json.Marshal(info)
	if err != nil {
		panic("INFO cannot be encoded: " + err.Error()) // no field can fail
	}
	return "INFO " + string(text) + " \r\n"
}
