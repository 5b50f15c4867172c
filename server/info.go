package server

import (
	"encoding/json"
	"runtime"
)

// Info is what a server says of itself when a connection opens. The order of
// the fields is that of the JSON text, which is a fact of the protocol.
type Info struct {
	ID           string   `json:"server_id"`
	Version      string   `json:"version"`
	Proto        int      `json:"proto"`
	GitCommit    string   `json:"git_commit,omitempty"`
	GoVersion    string   `json:"go"`
	Host         string   `json:"host"`
	Port         int      `json:"port"`
	AuthRequired bool     `json:"auth_required,omitempty"`
	TLSRequired  bool     `json:"tls_required,omitempty"`
	TLSVerify    bool     `json:"tls_verify,omitempty"`
	MaxPayload   int      `json:"max_payload"`
	IP           string   `json:"ip,omitempty"`
	ClientID     uint64   `json:"client_id,omitempty"`
	ConnectURLs  []string `json:"connect_urls,omitempty"`
}

// newInfo returns the part of INFO that all clients have in common.
func newInfo(id string, o *Options) *Info {
	return &Info{
		ID:         id,
		Version:    Version,
		Proto:      protoVersion,
		GitCommit:  Commit(),
		GoVersion:  runtime.Version(),
		Host:       o.Host,
		Port:       o.Port,
		MaxPayload: o.MaxPayload,
	}
}

// infoFor returns the INFO line of one client.
func (s *Server) infoFor(c *client) string {
	info := *s.info.Load()
	info.ClientID = c.id
	return infoLine(&info)
}

// infoLine encodes INFO as the classic broker does, with a space before the
// line end.
func infoLine(info *Info) string {
	text, err := json.Marshal(info)
	if err != nil {
		panic("INFO cannot be encoded: " + err.Error()) // no field can fail
	}
	return "INFO " + string(text) + " \r\n"
}
