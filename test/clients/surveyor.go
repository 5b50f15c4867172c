package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/test/freeport"

	"github.com/nats-io/nats.go"
)

// This file sends the requests of nats-surveyor, the exporter behind the Grafana boards for NATS, and
// makes its metrics of the answers. The program itself cannot be had from the module proxy. The
// answers of one server and of a mesh of three, of the broker under test and of nats-server, must
// have every field that a metric comes from, of the type that the exporter decodes, and become the
// same metrics with the same labels.

// A surveyRequest is one that goes to all servers.
type surveyRequest struct {
	subject string
	options string
	list    string // key in the answer of what there may be several of; "" for the answer itself
	fields  []surveyField
	lacking bool // what this broker does not have: it answers an error
}

// A surveyField is what a metric comes from.
type surveyField struct {
	path   string
	kind   string  // of JSON: number, text, time or truth
	metric string  // "" for a label, and what is not exported
	label  string  // "" for a metric
	least  float64 // what a number must be at least, in a server that works
	later  bool    // nats-server 2.9.10 does not have it
}

// sender are the fields that say which server answers.
var sender = []surveyField{
	{path: "server.cluster", kind: "text", label: "server_cluster"},
	{path: "server.name", kind: "text", label: "server_name"},
	{path: "server.id", kind: "text", label: "server_id"},
	{path: "server.host", kind: "text"},
	{path: "server.ver", kind: "text"},
	{path: "server.seq", kind: "number", least: 1},
	{path: "server.time", kind: "time"},
	{path: "server.jetstream", kind: "truth"},
}

// ofServers are the fields of the statistics of a server.
var ofServers = []surveyField{
	{path: "statsz.start", kind: "time", metric: "nats_core_start_time"},
	{path: "statsz.mem", kind: "number", metric: "nats_core_mem_bytes", least: 1 << 20},
	{path: "statsz.cores", kind: "number", metric: "nats_core_core_count", least: 1},
	{path: "statsz.cpu", kind: "number", metric: "nats_core_cpu_percentage"},
	{path: "statsz.connections", kind: "number", metric: "nats_core_connection_count"},
	{path: "statsz.total_connections", kind: "number", metric: "nats_core_total_connection_count"},
	{path: "statsz.active_accounts", kind: "number", metric: "nats_core_active_account_count"},
	{path: "statsz.subscriptions", kind: "number", metric: "nats_core_subs_count", least: 1},
	{path: "statsz.sent.msgs", kind: "number", metric: "nats_core_sent_msgs_count"},
	{path: "statsz.sent.bytes", kind: "number", metric: "nats_core_sent_bytes"},
	{path: "statsz.received.msgs", kind: "number", metric: "nats_core_recv_msgs_count"},
	{path: "statsz.received.bytes", kind: "number", metric: "nats_core_recv_bytes"},
	{path: "statsz.slow_consumers", kind: "number", metric: "nats_core_slow_consumer_count"},
	{path: "statsz.active_servers", kind: "number", metric: "nats_core_active_server_count", least: 1},
}

// ofRoutes are the fields of a route.
var ofRoutes = []surveyField{
	{path: "rid", kind: "number", label: "server_route_id"},
	{path: "name", kind: "text", label: "server_route_name", later: true},
	{path: "sent.msgs", kind: "number", metric: "nats_core_route_sent_msg_count"},
	{path: "sent.bytes", kind: "number", metric: "nats_core_route_sent_bytes"},
	{path: "received.msgs", kind: "number", metric: "nats_core_route_recv_msg_count"},
	{path: "received.bytes", kind: "number", metric: "nats_core_route_recv_bytes"},
	{path: "pending", kind: "number", metric: "nats_core_route_pending_bytes"},
}

// ofAccounts are the fields of the statistics of an account.
var ofAccounts = []surveyField{
	{path: "acc", kind: "text", label: "account"},
	{path: "name", kind: "text", label: "account_name", later: true},
	{path: "conns", kind: "number", metric: "nats_core_account_conn_count"},
	{path: "leafnodes", kind: "number", metric: "nats_core_account_leaf_count"},
	{path: "total_conns", kind: "number"},
	{path: "num_subscriptions", kind: "number", metric: "nats_core_account_sub_count", later: true},
	{path: "sent.msgs", kind: "number", metric: "nats_core_account_msgs_sent"},
	{path: "sent.bytes", kind: "number", metric: "nats_core_account_bytes_sent"},
	{path: "received.msgs", kind: "number", metric: "nats_core_account_msgs_recv"},
	{path: "received.bytes", kind: "number", metric: "nats_core_account_bytes_recv"},
	{path: "slow_consumers", kind: "number", metric: "nats_core_account_slow_consumer_count"},
}

// surveyRequests are all. Options have every field, as the exporter's library writes them.
var surveyRequests = []surveyRequest{
	{subject: "PING", fields: ofServers},
	{subject: "PING.STATSZ", options: `{"server_name":"","cluster":"","host":"","tags":null,"domain":""}`, fields: ofServers},
	{subject: "PING", list: "statsz.routes", fields: ofRoutes},
	{subject: "ACCOUNT.PING.STATZ", options: `{"accounts":null,"include_unused":true}`, list: "data.account_statz", fields: ofAccounts},
	{subject: "PING.VARZ", options: `{"server_name":"","cluster":"","host":"","tags":null,"domain":""}`, fields: []surveyField{
		{path: "data.server_id", kind: "text"}, {path: "data.uptime", kind: "text"}, {path: "data.max_payload", kind: "number", least: 1},
		{path: "data.start", kind: "time"}, {path: "data.now", kind: "time"}, {path: "data.subscriptions", kind: "number", least: 1},
	}},
	{subject: "PING.CONNZ", options: `{"sort":"","auth":true,"subscriptions":true,"subscriptions_detail":false,"offset":0,"limit":0,"cid":0,"mqtt_client":"","state":0,` +
		`"user":"","acc":"","filter_subject":"","server_name":"","cluster":"","host":"","tags":null,"domain":""}`, fields: []surveyField{
		{path: "data.num_connections", kind: "number"}, {path: "data.total", kind: "number"}, {path: "data.limit", kind: "number", least: 1},
	}},
	{subject: "PING.ROUTEZ", options: `{"subscriptions":true,"subscriptions_detail":false,"server_name":"","cluster":"","host":"","tags":null,"domain":""}`, fields: []surveyField{
		{path: "data.server_id", kind: "text"}, {path: "data.num_routes", kind: "number"},
	}},
	{subject: "PING.HEALTHZ", options: `{"js-enabled":false,"js-enabled-only":false,"js-server-only":false,"server_name":"","cluster":"","host":"","tags":null,"domain":""}`, fields: []surveyField{
		{path: "data.status", kind: "text"},
	}},
	{subject: "PING.JSZ", lacking: true, options: `{"account":"","accounts":true,"streams":true,"consumer":true,"config":true,"leader_only":false,"offset":0,"limit":0,"raft":false,` +
		`"server_name":"","cluster":"","host":"","tags":null,"domain":""}`},
	{subject: "PING.GATEWAYZ", lacking: true, options: `{"name":"","accounts":true,"account_name":"","server_name":"","cluster":"","host":"","tags":null,"domain":""}`},
	{subject: "PING.LEAFZ", lacking: true, options: `{"subscriptions":false,"account":""}`},
	{subject: "PING.ACCOUNTZ", lacking: true, options: `{"account":""}`},
}

// to is the whole subject.
func (r *surveyRequest) to() string {
	if strings.HasPrefix(r.subject, "ACCOUNT.") {
		return "$SYS.REQ." + r.subject
	}
	return "$SYS.REQ.SERVER." + r.subject
}

// surveyWait is how long all answers may take, and lateWait how long there must not be another one.
const (
	surveyWait = 10 * time.Second
	lateWait   = 100 * time.Millisecond
)

// survey sends all requests to n servers, and returns the metrics that become of the answers, with
// their labels but without values. ours says that what the broker under test does not have is
// answered with an error.
func survey(url string, n int, ours bool) (metrics map[string]bool, err error) {
	nc, err := nats.Connect(url, nats.Name("NATS Surveyor"), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	for _, silent := range []string{"$JS.EVENT.ADVISORY.>", "$JS.EVENT.METRIC.CONSUMER.ACK.>", "latency.observed"} { // what it observes
		if _, err := nc.SubscribeSync(silent); err != nil {
			return nil, err
		}
	}
	if err := nc.Flush(); err != nil {
		return nil, err
	}
	metrics = map[string]bool{}
	var failures []error
	for _, r := range surveyRequests {
		answers, err := r.ask(nc, n)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			if err := r.read(a, n, ours, metrics); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w: %v", r.to(), err, a))
			}
		}
	}
	return metrics, errors.Join(append(failures, nc.LastError())...)
}

// ask sends the request as the exporter does, with an inbox for all answers, and wants one of each
// server, until there are as many as are expected.
func (r *surveyRequest) ask(nc *nats.Conn, n int) (answers []any, err error) {
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest(r.to(), inbox, []byte(r.options)); err != nil {
		return nil, err
	}
	from := map[any]bool{}
	for wait := surveyWait; ; {
		m, err := sub.NextMsg(wait)
		if errors.Is(err, nats.ErrTimeout) && len(answers) == n {
			return answers, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: answer %d of %d: %w", r.to(), len(answers)+1, n, err)
		}
		var v any
		if err := json.Unmarshal(m.Data, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", r.to(), err)
		}
		id, _ := valueAt(v, "server.id")
		if from[id] || id == nil {
			return nil, fmt.Errorf("%s: a second answer of server %v", r.to(), id)
		}
		from[id] = true
		if answers = append(answers, v); len(answers) == n {
			wait = lateWait
		}
	}
}

// read adds the metrics that one of n servers has.
func (r *surveyRequest) read(answer any, n int, ours bool, metrics map[string]bool) error {
	var failures []error
	add := func(v any, fields []surveyField, labels string) (all string) {
		all = labels
		for _, f := range fields {
			got, ok := valueAt(v, f.path)
			if f.later && !ours && !ok {
				continue
			}
			if err := f.check(got); err != nil && (ours || !f.later) {
				failures = append(failures, err)
			}
			if f.label != "" && !f.later {
				all += "," + f.label
			}
		}
		for _, f := range fields {
			if f.metric != "" && !f.later {
				metrics[f.metric+"{"+strings.TrimPrefix(all, ",")+"}"] = true
			}
		}
		return all
	}
	from := sender
	if n == 1 {
		from = slices.DeleteFunc(slices.Clone(from), func(f surveyField) bool { return f.path == "server.cluster" })
	}
	labels := add(answer, from, "")
	switch e, failed := valueAt(answer, "error"); {
	case r.lacking && ours:
		add(answer, []surveyField{{path: "error.code", kind: "number", least: 400}, {path: "error.description", kind: "text"}}, "")
	case failed:
		failures = append(failures, fmt.Errorf("an error: %v", e))
	case r.list == "":
		add(answer, r.fields, labels)
	default:
		v, _ := valueAt(answer, r.list)
		list, _ := v.([]any)
		if strings.HasSuffix(r.list, "routes") && len(list) < n-1 || strings.HasSuffix(r.list, "account_statz") && len(list) < 2 {
			failures = append(failures, fmt.Errorf("%s has %d elements, of %d servers", r.list, len(list), n))
		}
		for _, e := range list {
			add(e, r.fields, labels)
		}
	}
	return errors.Join(failures...)
}

// check looks at the type of a value, and whether it can be true.
func (f *surveyField) check(v any) error {
	ok := false
	switch v := v.(type) {
	case float64:
		ok = f.kind == "number" && v >= f.least
	case bool:
		ok = f.kind == "truth"
	case string:
		_, err := time.Parse(time.RFC3339Nano, v)
		ok = v != "" && (f.kind == "text" || f.kind == "time" && err == nil)
	}
	if !ok {
		return fmt.Errorf("%s is %v, want a %s, of %v at least if it is a number", f.path, v, f.kind, f.least)
	}
	return nil
}

// valueAt returns the value at a path of keys.
func valueAt(v any, path string) (any, bool) {
	for key := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		next, ok := object[key]
		if !ok {
			return nil, false
		}
		v = next
	}
	return v, true
}

// installSurveyor installs nats-server to compare with.
func installSurveyor(w *work) error { return need(w, "nats-server", "nats-server") }

// runSurveyor compares the metrics of one server, and of a mesh.
func runSurveyor(w *work) error {
	for _, n := range systemShapes {
		ours, err := w.surveyOf(w.broker.binary, n, true)
		if err != nil {
			return fmt.Errorf("%d server(s): %w", n, err)
		}
		theirs, err := w.surveyOf("nats-server", n, false)
		if err != nil {
			return fmt.Errorf("nats-server, %d server(s): %w", n, err)
		}
		if a, b := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs)); !slices.Equal(a, b) {
			return fmt.Errorf("%d server(s): the metrics are %q, those of nats-server %q", n, a, b)
		}
		fmt.Printf("  %d server(s): %d metrics\n", n, len(ours))
	}
	return nil
}

// surveyOf runs n servers of a binary and surveys them, with traffic in between.
func (w *work) surveyOf(binary string, n int, ours bool) (map[string]bool, error) {
	s := &system{}
	defer func() { s.stop() }()
	seed := ""
	for i := range n {
		port, err := freeport.Get()
		if err != nil {
			return nil, err
		}
		file := filepath.Join(w.dir, fmt.Sprintf("surveyed-%s-%d-%d.conf", filepath.Base(binary), n, i))
		text := fmt.Sprintf(systemConfig, i, port, seed)
		if n == 1 { // a server without a cluster has no name of one
			text, _, _ = strings.Cut(text, "cluster {")
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		if i == 0 {
			seed = strconv.Quote("nats-route://" + freeport.Loopback(port))
		}
		b, err := startBroker(w.ctx, binary, "-c", file)
		if err != nil {
			return nil, err
		}
		s.servers = append(s.servers, b)
	}
	app, err := nats.Connect(s.url("app"))
	if err != nil {
		return nil, err
	}
	defer app.Close()
	sub, err := app.SubscribeSync("orders.>")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(app.Publish("orders.new", []byte("one")), app.Flush()); err != nil {
		return nil, err
	}
	if _, err := sub.NextMsg(surveyWait); err != nil {
		return nil, err
	}
	if err := awaitMesh(s.url("sys"), n); err != nil {
		return nil, err
	}
	return survey(s.url("sys"), n, ours)
}

// awaitMesh returns when n servers answer every request, and each knows the others.
func awaitMesh(url string, n int) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	complete := func() bool {
		for _, r := range surveyRequests {
			sub, err := nc.SubscribeSync(nc.NewInbox())
			if err != nil {
				return false
			}
			defer sub.Unsubscribe()
			if nc.PublishRequest(r.to(), sub.Subject, []byte(r.options)) != nil {
				return false
			}
			for range n {
				m, err := sub.NextMsg(time.Second)
				var v any
				if err != nil || json.Unmarshal(m.Data, &v) != nil {
					return false
				}
				routes, _ := valueAt(v, "statsz.routes")
				if list, _ := routes.([]any); r.subject == "PING" && len(list) < n-1 {
					return false
				}
			}
		}
		return true
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if complete() {
			return nil
		}
	}
	return fmt.Errorf("not all of %d servers answer", n)
}
