package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"gnatsd/conf"
)

// This file judges hosts and ports to listen on that are replaced by a setting of another key: listen
// after host, for instance. The last one counts, as in gnatsd 1.x.

// listenKeys are the keys that say where to listen: their rows, and the rows that they set.
var listenKeys = map[string]struct{ row, host, port string }{
	"listen":         {"listen", "host", "port"},
	"host":           {"host", "host", ""},
	"net":            {"host", "host", ""},
	"port":           {"port", "", "port"},
	"cluster.listen": {"cluster.listen", "cluster.host", "cluster.port"},
	"cluster.host":   {"cluster.host", "cluster.host", ""},
	"cluster.net":    {"cluster.host", "cluster.host", ""},
	"cluster.port":   {"cluster.port", "", "cluster.port"},
	"http":           {"http", "http_host", "http_port"},
	"https":          {"https", "http_host", "https_port"},
	"http_host":      {"http_host", "http_host", ""},
	"http_port":      {"http_port", "", "http_port"},
	"monitor_port":   {"http_port", "", "http_port"},
	"https_port":     {"https_port", "", "https_port"},
}

// listenPart is a host or a port as a key of the file has it.
type listenPart struct {
	key   string
	row   string // of the key
	value string // "" if the key has none
	at    conf.Pos
}

// replacedPart is a host or a port that another key of the file replaces.
type replacedPart struct {
	set      string // row of the host or the port
	old, new listenPart
}

// replacedParts returns the hosts and ports in the map m of the file that others replace. path is that of
// the map, followed by a dot. Those of an included file may be replaced, but not by a port alone.
func replacedParts(m *conf.Node, path string) (list []replacedPart) {
	last := map[string]listenPart{}
	set := func(row string, now listenPart) {
		old := last[row]
		included := old.at.File != now.at.File && now.value != ""
		other := old.row != now.row || old.key != now.key && anyHost(now.value) // another name of a key is reported elsewhere
		if old.value != "" && other && !included && !sameHost(old.value, now.value) && !(now.value == "" && anyHost(old.value)) {
			list = append(list, replacedPart{row, old, now})
		}
		last[row] = now
	}
	for p := range m.Effective() {
		if p.Used && p.Key != strings.ToLower(p.Key) {
			continue // a variable
		}
		key := path + strings.ToLower(p.Key)
		if key == "cluster" && p.Value.Kind == conf.Map {
			list = append(list, replacedParts(p.Value, "cluster.")...)
		}
		parts := listenKeys[key]
		host, port := hostAndPortOf(p.Value, parts.host != "", parts.port != "")
		if parts.host != "" {
			set(parts.host, listenPart{key, parts.row, host, p.Pos})
		}
		if parts.port != "" && port != "" {
			set(parts.port, listenPart{key, parts.row, port, p.Pos})
		}
	}
	return list
}

// hostAndPortOf returns what a value says of the host and the port: that of the first address of a list, or
// of one for all addresses in it.
func hostAndPortOf(n *conf.Node, wantsHost, wantsPort bool) (host, port string) {
	switch {
	case n.Kind == conf.Integer:
		return "", strconv.FormatInt(n.Int, 10)
	case n.Kind == conf.Array:
		for i, e := range n.Elems {
			if h, p := hostAndPortOf(e, wantsHost, wantsPort); i == 0 || anyHost(h) {
				host, port = h, p
			}
		}
		return host, port
	case wantsHost && wantsPort:
		host, port, _ = net.SplitHostPort(n.Str)
		return host, port
	case wantsHost:
		return n.Str, ""
	}
	return "", n.Str
}

// anyHost reports whether a host means all addresses.
func anyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func sameHost(a, b string) bool {
	return strings.EqualFold(a, b) || net.ParseIP(a) != nil && net.ParseIP(a).Equal(net.ParseIP(b))
}

// checkReplaced returns a warning for each host or port of the file without effect, and an error where the
// server would listen on all addresses because of it. A flag may replace both.
func (o *Options) checkReplaced(v *conf.Values[Options]) (problems, warnings conf.Errors) {
	for _, r := range o.replaced {
		what := r.old.row
		if what != r.set {
			what = fmt.Sprintf("the %s of %s", r.set[strings.LastIndexAny(r.set, "._")+1:], r.old.row)
		}
		report := func(list *conf.Errors, format string) {
			*list = append(*list, &conf.Error{Pos: r.new.at, Key: r.new.row, Msg: fmt.Sprintf(format, what, r.old.at)})
		}
		host, isHost := r.new.value, strings.HasSuffix(r.set, "host")
		if r.set == "http_host" && host == "" {
			host = o.Host
		}
		switch from := v.Origin(r.set); {
		case from.Layer == conf.FromFlag:
		case isHost && from.Pos == r.new.at && anyHost(host) && !anyHost(r.old.value):
			report(&problems, "%s at %s would have no effect: the server would listen on all addresses")
		case r.new.value != "":
			report(&warnings, "%s at %s has no effect: this counts")
		}
	}
	return problems, warnings
}
