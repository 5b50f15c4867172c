package system

import (
	"strings"
	"time"
)

// ServerInfo says which server an answer or an event is from.
type ServerInfo struct {
	Name      string    `json:"name"`
	Host      string    `json:"host"`
	ID        string    `json:"id"`
	Cluster   string    `json:"cluster,omitempty"`
	Version   string    `json:"ver"`
	JetStream bool      `json:"jetstream"`
	Flags     uint64    `json:"flags"`
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`
}

// identity is the answer to IDZ.
type identity struct {
	Name string `json:"name"`
	Host string `json:"host"`
	ID   string `json:"id"`
}

// Traffic counts messages and the bytes of their payloads.
type Traffic struct {
	Msgs  int64 `json:"msgs"`
	Bytes int64 `json:"bytes"`
}

// Stats are the statistics of a server.
type Stats struct {
	Start               time.Time    `json:"start"`
	Mem                 int64        `json:"mem"`
	Cores               int          `json:"cores"`
	CPU                 float64      `json:"cpu"`
	Connections         int          `json:"connections"`
	TotalConnections    uint64       `json:"total_connections"`
	ActiveAccounts      int          `json:"active_accounts"`
	Subscriptions       uint32       `json:"subscriptions"`
	Sent                Traffic      `json:"sent"`
	SentToClients       Traffic      `json:"sent_to_clients"`
	Received            Traffic      `json:"received"`
	ReceivedFromClients Traffic      `json:"received_from_clients"`
	SlowConsumers       int64        `json:"slow_consumers"`
	Routes              []RouteStats `json:"routes,omitempty"`
	ActiveServers       int          `json:"active_servers"`
	GoMaxProcs          int          `json:"gomaxprocs"`
}

// Balance is what a server is asked to do when clients are to be spread over a mesh.
type Balance struct {
	Servers     int `json:"servers"`     // that have answered, this one included
	Connections int `json:"connections"` // clients of all
	Mean        int `json:"mean"`        // clients that each may keep
	Surplus     int `json:"surplus"`     // clients that this server disconnects
}

// RouteStats are the statistics of one route.
type RouteStats struct {
	ID       uint64  `json:"rid"`
	Name     string  `json:"name"`
	Sent     Traffic `json:"sent"`
	Received Traffic `json:"received"`
	Pending  int     `json:"pending"`
}

// statsMessage is the answer to PING, and the event STATSZ.
type statsMessage struct {
	Server *ServerInfo `json:"server"`
	Stats  *Stats      `json:"statsz"`
}

// response is the answer to most requests.
type response struct {
	Server *ServerInfo `json:"server"`
	Data   any         `json:"data,omitempty"`
	Error  *apiError   `json:"error,omitempty"`
}

// apiError is what was wrong with a request. The codes are those of HTTP.
type apiError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// Codes of an apiError.
const (
	codeBadRequest  = 400
	codeFailed      = 500
	codeUnsupported = 501
)

// ClientInfo says which client an event is about.
type ClientInfo struct {
	Start   time.Time     `json:"start"`
	Host    string        `json:"host"`
	ID      uint64        `json:"id"`
	Account string        `json:"acc"`
	User    string        `json:"user,omitempty"`
	Name    string        `json:"name,omitempty"`
	Lang    string        `json:"lang,omitempty"`
	Version string        `json:"ver,omitempty"`
	RTT     time.Duration `json:"rtt,omitempty"`
	Stop    *time.Time    `json:"stop,omitempty"`
	NameTag string        `json:"name_tag"` // the account
	Kind    string        `json:"kind"`     // always Client
	Type    string        `json:"client_type"`
}

// maxText bounds each text of a client in an event, in bytes.
const maxText = 256

// bound cuts the texts that the client chose.
func (c *ClientInfo) bound() {
	for _, text := range []*string{&c.User, &c.Name, &c.Lang, &c.Version} {
		if len(*text) > maxText {
			*text = strings.ToValidUTF8(strings.Clone((*text)[:maxText]), "")
		}
	}
}

// advisory is what events about clients and accounts begin with.
type advisory struct {
	Type   string      `json:"type"`
	ID     string      `json:"id"`
	Time   time.Time   `json:"timestamp"`
	Server *ServerInfo `json:"server"`
}

// Types of advisories.
const (
	typeConnect    = "io.nats.server.advisory.v1.client_connect"
	typeDisconnect = "io.nats.server.advisory.v1.client_disconnect"
	typeConns      = "io.nats.server.advisory.v1.account_connections"
)

// AccountStats are the statistics of an account.
type AccountStats struct {
	Account       string         `json:"acc"`
	Name          string         `json:"name"`
	Conns         int            `json:"conns"`
	LeafNodes     int            `json:"leafnodes"` // always 0
	TotalConns    int            `json:"total_conns"`
	Subscriptions uint32         `json:"num_subscriptions"`
	Sent          AccountTraffic `json:"sent"`
	Received      AccountTraffic `json:"received"`
	SlowConsumers int64          `json:"slow_consumers"`
}

// AccountTraffic is the traffic of an account. Gateways and Leafs are always 0.
type AccountTraffic struct {
	Traffic
	Gateways Traffic `json:"gateways"`
	Routes   Traffic `json:"routes"`
	Leafs    Traffic `json:"leafs"`
}

// connsEvent is the event CONNS.
type connsEvent struct {
	advisory
	AccountStats
}

// accountStatz is the page STATZ of accounts.
type accountStatz struct {
	ID       string         `json:"server_id"`
	Now      time.Time      `json:"now"`
	Accounts []AccountStats `json:"account_statz"`
}

// filter are the fields of a request that say which servers must answer it.
type filter struct {
	Name       string   `json:"server_name"`
	Cluster    string   `json:"cluster"`
	Host       string   `json:"host"`
	ExactMatch bool     `json:"exact_match"`
	Tags       []string `json:"tags"`
	Domain     string   `json:"domain"`
}

// admits reports whether a server must answer. This server has no tags and no JetStream domain. Its
// id is taken for a name: tools that know ids of 56 letters only ask so.
func (f *filter) admits(s *ServerInfo) bool {
	if f.Name == s.ID {
		f.Name = s.Name
	}
	for _, field := range [][2]string{{f.Name, s.Name}, {f.Cluster, s.Cluster}, {f.Host, s.Host}} {
		want, is := field[0], field[1]
		if f.ExactMatch && want != "" && want != is || !strings.Contains(is, want) {
			return false
		}
	}
	return len(f.Tags) == 0 && f.Domain == ""
}
