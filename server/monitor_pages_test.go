package server

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMonitorAnswersWithTheRightStatusAndType(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	speak(t, s, hello("one"), "SUB foo 1")
	const (
		js   = "application/json"
		html = "text/html; charset=utf-8"
		text = "text/plain; charset=utf-8"
	)
	for _, c := range []struct {
		path   string
		status int
		kind   string
		body   string // "" = any
	}{
		{"/", 200, html, ""},
		{"/varz", 200, js, ""},
		{"/connz", 200, js, ""},
		{"/routez", 200, js, ""},
		{"/subsz", 200, js, ""},
		{"/subscriptionsz", 200, js, ""},
		{"/stacksz", 200, js, ""},
		{"/healthz", 200, js, `{"status":"ok"}`},
		{"/healthz?js-enabled-only=true", 200, js, `{"status":"ok"}`},
		{"/healthz?js-server-only=true", 200, js, `{"status":"ok"}`},
		{"/healthz?routes=1", 503, js, `{"status":"unavailable","error":"0 of 1 routes are up"}`},
		{"/healthz?routes=x", 400, text, "Error decoding int for 'routes': strconv.Atoi: parsing \"x\": invalid syntax\n"},
		{"/varz/", 404, text, "404 page not found\n"},
		{"/healthz/", 404, text, "404 page not found\n"},
		{"/debug/pprof/", 404, text, "404 page not found\n"},
		{"/debug/vars", 404, text, "404 page not found\n"},
		{"/connz?auth=2", 400, text, "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"2\": invalid syntax\n"},
		{"/connz?subs=x", 400, text, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax\n"},
		{"/connz?subs=detail", 200, js, ""},
		{"/connz?offset=abc", 400, text, "Error decoding int for 'offset': strconv.Atoi: parsing \"abc\": invalid syntax\n"},
		{"/connz?limit=1e3", 400, text, "Error decoding int for 'limit': strconv.Atoi: parsing \"1e3\": invalid syntax\n"},
		{"/connz?cid=-1", 400, text, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax\n"},
		{"/connz?state=gone", 400, text, "error decoding state for gone\n"},
		{"/connz?state=CLOSED", 200, js, ""},
		{"/connz?state=Any", 200, js, ""},
		{"/connz?sort=Cid", 400, text, "invalid sorting option: Cid\n"},
		{"/connz?sort=stop", 400, text, "sort by stop only valid on closed connections\n"},
		{"/connz?sort=reason&state=all", 400, text, "sort by reason only valid on closed connections\n"},
		{"/connz?sort=reason&state=closed", 200, js, ""},
		{"/routez?subs=2", 400, text, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax\n"},
		{"/subsz?test=foo.*", 400, text, "invalid test subject, must be valid publish subject: foo.*\n"},
		{"/subsz?subs=1&limit=x", 400, text, "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax\n"},
	} {
		got := ask(t, s, c.path)
		if got.status != c.status || got.contentType != c.kind || c.body != "" && got.body != c.body {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.path, got.status, got.contentType, got.body, c.status, c.kind, c.body)
		}
	}
}

func TestMonitorCountsFivePathsAndNoOther(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	for _, path := range []string{
		"/", "/connz", "/connz?sort=nothing", "/connz?limit=x", "/routez", "/routez?subs=x",
		"/subsz", "/subscriptionsz", "/subsz?subs=x", "/stacksz", "/healthz", "/nothing", "/varz",
	} {
		ask(t, s, path)
	}
	got := decode[struct {
		Stats map[string]int `json:"http_req_stats"`
	}](t, s, "/varz")
	want := map[string]int{"/": 1, "/connz": 2, "/routez": 1, "/subsz": 3, "/varz": 2}
	if fmt.Sprint(got.Stats) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got.Stats, want)
	}
}

// monitorPaths are the paths of all pages but the dashboard's files.
func monitorPaths(s *Server) []string {
	paths := []string{"/", "/stacksz", "/metrics", "/healthz"}
	for _, p := range s.monitorPages() {
		paths = append(append(paths, p.Path), p.Aliases...)
	}
	return paths
}

// TestNoPageHasASecret puts a marker wherever a secret may stand and looks for it on every page,
// with every parameter.
func TestNoPageHasASecret(t *testing.T) {
	t.Parallel()
	const secret = "canary"
	seed := startServer(t, func(o *Options) { o.Cluster.Username, o.Cluster.Password = "router", secret })
	from := routeTo(t, seed)
	from.User = url.UserPassword("router", secret)
	s := startServer(t, func(o *Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", RandomPort
		o.HTTPUsername, o.HTTPPassword = "ops", secret
		o.Cluster.Username, o.Cluster.Password = "router", secret
		o.Users = []*User{{Username: "anna", Password: secret}}
		o.Routes = []*url.URL{from, {Scheme: "nats-route", Host: "127.0.0.1:1", User: url.UserPassword("router", secret)}}
	})
	meshed(t, s, seed)
	speak(t, s, `CONNECT {"verbose":false,"user":"anna","pass":"canary","auth_token":"canary","jwt":"canary","sig":"canary","nkey":"canary","name":"n"}`, "SUB foo 1")
	refused := openClient(t, s)
	refused.Say(`CONNECT {"user":"anna","pass":"wrongcanary"}`)
	okay(t, refused.Dropped())
	eventually(t, "the refused client is filed, a route has failed", func() bool {
		return s.closed.count(closeAuthFailure) == 1 && strings.Contains(login(t, s, "/routez", "ops", secret).body, `"last_error"`)
	})
	for _, path := range monitorPaths(s) {
		for _, query := range []string{"", "?subs=1&auth=1&state=all", "?subs=detail&auth=1", "?state=closed&auth=1&subs=1", "?callback=f"} {
			got := login(t, s, path+query, "ops", secret)
			if got.status == 401 || strings.Contains(got.body, secret) {
				t.Errorf("%s%s: status %d, has a secret: %v", path, query, got.status, strings.Contains(got.body, secret))
			}
		}
	}
}

// TestMonitorChangesNothing asks every page with every method and compares what the server is
// before and after.
func TestMonitorChangesNothing(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	speak(t, s, hello("one"), "SUB foo 1")
	before := s.opts.Load()
	state := func() string {
		z := scrapeOf(t, s)
		maps.DeleteFunc(z, func(name string, _ float64) bool {
			own := strings.HasPrefix(name, "gnatsd_")
			moves := strings.Contains(name, "http_req_stats") || strings.HasPrefix(name, "gnatsd_varz_cpu") || strings.HasPrefix(name, "gnatsd_varz_mem")
			return !own || moves
		})
		return fmt.Sprint(map[string]float64(z))
	}
	eventually(t, "an end of the write of PONG", func() bool {
		z, err := s.Connz(nil)
		okay(t, err)
		return z.Conns[0].Pending == 0
	})
	was := state()
	for _, path := range monitorPaths(s) {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			r, err := http.NewRequest(method, "http://"+s.MonitorAddr().String()+path+"?cid=1&kick=1&reload=1", strings.NewReader("cid=1"))
			if err != nil {
				t.Fatal(err)
			}
			do(t, http.DefaultClient, r)
		}
	}
	if now := state(); now != was || s.opts.Load() != before {
		t.Errorf("got\n%s\nwant\n%s", now, was)
	}
}

// keysOf returns the keys of a JSON object in their order, those of nested ones left out.
func keysOf(page string, indent int) (keys []string) {
	prefix := strings.Repeat(" ", indent) + `"`
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			if key, _, ok := strings.Cut(rest, `": `); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func TestPagesHaveTheirFieldsInTheClassicOrder(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{MaxSubs: 7})
	speak(t, s, hello("one"), "SUB foo q 1")
	for _, c := range []struct {
		path   string
		indent int
		want   string
	}{
		{"/varz", 2, `server_id version proto go host addr max_connections max_subscriptions ping_interval ping_max
			http_host http_port https_port auth_timeout max_control_line cluster tls_timeout port max_payload start now uptime
			mem cores cpu connections total_connections routes remotes in_msgs out_msgs in_bytes out_bytes slow_consumers
			max_pending write_deadline subscriptions http_req_stats config_load_time`},
		{"/connz", 2, "server_id now num_connections total offset limit connections"},
		{"/connz?subs=1&auth=1", 6, `cid ip port start last_activity uptime idle pending_bytes in_msgs out_msgs in_bytes out_bytes
			subscriptions name lang version subscriptions_list`},
		{"/routez", 2, "server_id now num_routes routes"},
		{"/subsz", 2, "num_subscriptions num_cache num_inserts num_removes num_matches cache_hit_rate max_fanout avg_fanout"},
		{"/subsz?subs=1", 6, "subject qgroup sid msgs cid"},
	} {
		got := keysOf(ask(t, s, c.path).body, c.indent)
		got = slices.DeleteFunc(got, func(k string) bool { return k == "git_commit" })
		want := strings.Fields(c.want)
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: got\n%v\nwant it to begin with\n%v", c.path, got, want)
		}
	}
}

func TestPagesAnswerExtremesOfOffsetAndLimit(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	for i := range 3 {
		speak(t, s, hello("c"), fmt.Sprintf("SUB foo.%d 1", i))
	}
	extremes := []int{0, 1, 2, 3, -1, math.MaxInt32, math.MinInt32, math.MaxInt, math.MinInt, math.MaxInt - 1}
	for _, offset := range extremes {
		for _, limit := range extremes {
			want := 3 - min(max(offset, 0), 3)
			if limit > 0 {
				want = min(want, limit)
			}
			for _, page := range []string{"/connz", "/connz?subs=1", "/connz?state=any&sort=idle"} {
				join := "?"
				if strings.Contains(page, "?") {
					join = "&"
				}
				path := fmt.Sprintf("%s%soffset=%d&limit=%d", page, join, offset, limit)
				if got := decode[Connz](t, s, path); len(got.Conns) != want || got.NumConns != want || got.Total != 3 {
					t.Errorf("%s: got %d of %d, want %d", path, len(got.Conns), got.Total, want)
				}
			}
			path := fmt.Sprintf("/subsz?subs=1&offset=%d&limit=%d", offset, limit)
			if got := decode[Subsz](t, s, path); len(got.Subs) != want {
				t.Errorf("%s: got %d, want %d", path, len(got.Subs), want)
			}
		}
	}
}

func TestDurationsAreShownInTheClassicForm(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second:                         "0s",
		0:                                    "0s",
		5*time.Second + 999*time.Millisecond: "5s",
		2*time.Minute + 5*time.Second:        "2m5s",
		3*time.Hour + 5*time.Second:          "3h0m5s",
		4*day + 3*time.Hour + 2*time.Minute:  "4d3h2m0s",
		369*day + 3*time.Hour + 2*time.Minute + 5: "1y4d3h2m0s",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "", 999: "0s", 12345: "12µs", 2_345_678: "2ms", 1_234_567_890: "1.234s"} {
		if got := rttText(d); got != want {
			t.Errorf("rtt %d: got %q, want %q", d, got, want)
		}
	}
}
