package server

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fieldTypes are the types of fields that tools expect.
var fieldTypes = map[string]func(any) bool{
	"number": func(v any) bool { _, ok := v.(float64); return ok },
	"count":  func(v any) bool { n, ok := v.(float64); return ok && n >= 0 && n == float64(uint64(n)) },
	"text":   func(v any) bool { s, ok := v.(string); return ok && s != "" },
	"bool":   func(v any) bool { _, ok := v.(bool); return ok },
	"map":    func(v any) bool { _, ok := v.(map[string]any); return ok },
	"list":   func(v any) bool { _, ok := v.([]any); return ok },
	"texts": func(v any) bool {
		list, ok := v.([]any)
		for _, e := range list {
			if _, is := e.(string); !is {
				return false
			}
		}
		return ok
	},
	"time": func(v any) bool {
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	},
	"span":     func(v any) bool { s, _ := v.(string); return spanForm.MatchString(s) },
	"duration": func(v any) bool { s, _ := v.(string); _, err := time.ParseDuration(s); return err == nil },
	"nanoseconds": func(v any) bool {
		n, ok := v.(float64)
		return ok && n >= 1e6
	},
}

// spanForm is what three parsers of uptime take.
var spanForm = regexp.MustCompile(`^(\d+y)?(\d+d)?(\d+h)?(\d+m)?\d+s$`)

// toolFields are the fields that tools read, and what they take them for. Fields of the entries of
// a list have its name in front. Those behind a "?" may be missing, but must have the type if they
// are there.
var toolFields = []struct{ tool, path, fields string }{
	{"nats-top", "/varz", `server_id:text server_name:text version:text now:time uptime:span cpu:number mem:count
		slow_consumers:count in_msgs:count out_msgs:count in_bytes:count out_bytes:count`},
	{"nats-top", "/connz?limit=1024&sort=cid&subs=1", `num_connections:count connections:list connections.cid:count connections.ip:text
		connections.port:count connections.name:text connections.subscriptions:count connections.pending_bytes:count
		connections.in_msgs:count connections.out_msgs:count connections.in_bytes:count connections.out_bytes:count
		connections.lang:text connections.version:text connections.uptime:span connections.last_activity:time
		connections.subscriptions_list:texts`},
	{"exporter", "/varz", "server_id:text server_name:text version:text start:time config_load_time:time"},
	{"exporter", "/connz", `num_connections:count total:count offset:count limit:count connections.pending_bytes:count
		connections.subscriptions:count connections.in_bytes:count connections.out_bytes:count connections.in_msgs:count
		connections.out_msgs:count connections.cid:count connections.kind:text connections.type:text connections.ip:text
		connections.port:count connections.start:time connections.last_activity:time ?connections.rtt:duration
		connections.uptime:span connections.idle:span connections.name:text connections.lang:text connections.version:text
		?connections.tls_version:text ?connections.tls_cipher_suite:text`},
	{"exporter", "/connz?auth=true", "connections.authorized_user:text"},
	{"exporter", "/routez", `server_id:text server_name:text num_routes:count routes.rid:count routes.remote_id:text routes.remote_name:text
		routes.ip:text ?routes.rtt:duration routes.uptime:span routes.in_msgs:count routes.out_msgs:count routes.in_bytes:count
		routes.out_bytes:count routes.subscriptions:count`},
	{"exporter", "/subsz", `server_id:text server_name:text num_subscriptions:count num_cache:count num_inserts:count num_removes:count
		num_matches:count cache_hit_rate:number max_fanout:count avg_fanout:number`},
	{"exporter", "/healthz", "status:text"},
	{"exporter", "/healthz?js-enabled-only=true", "status:text"},
	{"exporter", "/healthz?js-server-only=true", "status:text"},
	{"Telegraf", "/varz", `in_msgs:count out_msgs:count in_bytes:count out_bytes:count start:time now:time cores:count cpu:number mem:count
		connections:count total_connections:count subscriptions:count slow_consumers:count routes:count remotes:count`},
	{"Datadog", "/varz", `server_id:text connections:count subscriptions:count slow_consumers:count remotes:count routes:count
		in_msgs:count out_msgs:count in_bytes:count out_bytes:count mem:count`},
	{"Datadog", "/connz", `num_connections:count total:count connections.cid:count connections.ip:text connections.name:text
		connections.lang:text connections.version:text connections.pending_bytes:count connections.in_msgs:count
		connections.out_msgs:count connections.subscriptions:count connections.in_bytes:count connections.out_bytes:count`},
	{"Datadog", "/routez", `num_routes:count routes.rid:count routes.remote_id:text routes.ip:text routes.pending_size:count
		routes.in_msgs:count routes.out_msgs:count routes.subscriptions:count routes.in_bytes:count routes.out_bytes:count`},
	{"Metricbeat", "/varz", `server_id:text now:time uptime:span mem:count cores:count cpu:number total_connections:count remotes:count
		in_msgs:count out_msgs:count in_bytes:count out_bytes:count slow_consumers:count http_req_stats:map
		http_req_stats./:count http_req_stats./connz:count http_req_stats./routez:count http_req_stats./subsz:count http_req_stats./varz:count`},
	{"Metricbeat", "/connz", "server_id:text now:time num_connections:count connections:list"},
	{"Metricbeat", "/routez", "server_id:text now:time num_routes:count routes:list"},
	{"Metricbeat", "/subsz", `num_subscriptions:count num_cache:count num_inserts:count num_removes:count num_matches:count
		cache_hit_rate:number max_fanout:count avg_fanout:number`},
	{"Netdata", "/varz", `server_id:text server_name:text version:text proto:count host:text port:count cores:count gomaxprocs:count
		start:time now:time uptime:span mem:count cpu:number connections:count total_connections:count routes:count remotes:count
		in_msgs:count out_msgs:count in_bytes:count out_bytes:count slow_consumers:count subscriptions:count http_req_stats:map
		?leafnodes:count`},
	{"Netdata", "/healthz", "status:text"},

	// What decodes the pages into the structures of today's servers fails if any field has
	// another type there.
	{"structures of 2.x", "/varz", `server_id:text server_name:text version:text proto:count ?git_commit:text go:text host:text port:count
		?auth_required:bool ?tls_required:bool ?tls_verify:bool ?ip:text ?connect_urls:texts max_connections:number ?max_subscriptions:count
		ping_interval:nanoseconds ping_max:count http_host:text http_port:count ?http_base_path:text https_port:count auth_timeout:number
		max_control_line:count max_payload:count max_pending:count cluster:map cluster.addr:text cluster.cluster_port:count
		cluster.auth_timeout:number ?cluster.name:text cluster.urls:texts cluster.tls_timeout:number system_account:text tls_timeout:number write_deadline:nanoseconds
		start:time now:time uptime:span mem:count cores:count gomaxprocs:count cpu:number connections:count total_connections:count
		routes:count remotes:count in_msgs:count out_msgs:count in_bytes:count out_bytes:count slow_consumers:count subscriptions:count
		http_req_stats:map config_load_time:time ?tls_cert_not_after:time slow_consumer_stats:map slow_consumer_stats.clients:count
		slow_consumer_stats.routes:count slow_consumer_stats.gateways:count slow_consumer_stats.leafs:count stale_connections:count
		stalled_clients:count in_client_msgs:count out_client_msgs:count in_client_bytes:count out_client_bytes:count`},
	{"structures of 2.x", "/connz?subs=detail&auth=1&state=all", `server_id:text now:time num_connections:count total:count offset:count limit:count
		connections.cid:count connections.kind:text connections.type:text connections.ip:text connections.port:count
		connections.start:time connections.last_activity:time ?connections.stop:time ?connections.reason:text ?connections.rtt:duration
		connections.uptime:span connections.idle:span connections.pending_bytes:count connections.in_msgs:count connections.out_msgs:count
		connections.in_bytes:count connections.out_bytes:count connections.subscriptions:count ?connections.authorized_user:text
		?connections.subscriptions_list:texts ?connections.subscriptions_list_detail:list ?connections.subscriptions_list_detail.subject:text
		?connections.subscriptions_list_detail.sid:text ?connections.subscriptions_list_detail.msgs:count ?connections.subscriptions_list_detail.cid:count`},
	{"structures of 2.x", "/routez?subs=1", `server_id:text server_name:text now:time ?import:map ?export:map num_routes:count routes.rid:count
		routes.remote_id:text routes.remote_name:text routes.did_solicit:bool routes.is_configured:bool routes.ip:text routes.port:count
		routes.start:time routes.last_activity:time ?routes.rtt:duration routes.uptime:span routes.idle:span ?routes.import:map
		?routes.export:map routes.pending_size:count routes.in_msgs:count routes.out_msgs:count routes.in_bytes:count
		routes.out_bytes:count routes.subscriptions:count ?routes.subscriptions_list:texts`},
	{"structures of 2.x", "/routez?subs=detail", `routes.subscriptions_list_detail:list routes.subscriptions_list_detail.subject:text
		routes.subscriptions_list_detail.sid:text routes.subscriptions_list_detail.msgs:count routes.subscriptions_list_detail.cid:count`},
	{"structures of 2.x", "/subsz", "total:count offset:count limit:count"},
	{"structures of 2.x", "/subsz?subs=1", `server_id:text now:time num_subscriptions:count num_cache:count num_inserts:count num_removes:count
		num_matches:count cache_hit_rate:number max_fanout:count avg_fanout:number total:count offset:count limit:count
		subscriptions_list:list subscriptions_list.subject:text subscriptions_list.sid:text subscriptions_list.msgs:count
		subscriptions_list.cid:count`},
}

// valuesAt returns what is at a path of a decoded page: of each entry, if there are lists on the
// way. Missing ones are nil.
func valuesAt(v any, path []string) []any {
	if len(path) == 0 {
		return []any{v}
	}
	switch v := v.(type) {
	case map[string]any:
		return valuesAt(v[path[0]], path[1:])
	case []any:
		var all []any
		for _, e := range v {
			all = append(all, valuesAt(e, path)...)
		}
		return all
	}
	return []any{nil}
}

// TestPagesHaveWhatToolsRead looks at the pages as the tools do that people watch brokers with.
func TestPagesHaveWhatToolsRead(t *testing.T) {
	t.Parallel()
	users := []*User{{Username: "anna", Password: "secret"}}
	seed := startServer(t, nil)
	s := startServer(t, func(o *Options) {
		o.HTTPHost, o.HTTPPort, o.Routes, o.Users = "127.0.0.1", RandomPort, []*url.URL{routeTo(t, seed)}, users
	})
	meshed(t, s, seed)
	speak(t, seed, `CONNECT {"verbose":false}`, "SUB routed 1")
	interested(t, s, 1)
	connect := `CONNECT {"verbose":false,"user":"anna","pass":"secret","name":"n","lang":"go","version":"1","protocol":1}`
	speak(t, s, connect, "SUB foo 1")
	speak(t, s, connect, "SUB foo 1").Close()
	eventually(t, "one client is gone", func() bool { return s.NumClients() == 1 && s.closed.count(closeClient) == 1 })
	pages := map[string]map[string]any{}
	for _, c := range toolFields {
		if pages[c.path] == nil {
			pages[c.path] = decode[map[string]any](t, s, c.path)
		}
		for field := range strings.FieldsSeq(c.fields) {
			name, kind, _ := strings.Cut(field, ":")
			name, optional := strings.CutPrefix(name, "?")
			is := fieldTypes[kind]
			if is == nil {
				t.Fatalf("no type %q", kind)
			}
			values := valuesAt(pages[c.path], strings.Split(name, "."))
			if len(values) == 0 {
				t.Errorf("%s, %s: no entry for %s", c.tool, c.path, name)
			}
			for _, v := range values {
				if !(v == nil && optional) && !is(v) {
					t.Errorf("%s, %s: %s is %v (%T), want a %s", c.tool, c.path, name, v, v, kind)
				}
			}
		}
	}
	if got := ask(t, s, "/"); got.status != http.StatusOK { // Datadog's first question
		t.Errorf("/: got %d", got.status)
	}
	if got := pages["/healthz"]["status"]; got != "ok" {
		t.Errorf("healthz: got %v", got)
	}
	if got := fmt.Sprint(pages["/varz"]["http_req_stats"]); len(strings.Fields(got)) != 5 {
		t.Errorf("requests are counted for %s, want the five paths of 1.x", got)
	}
}
