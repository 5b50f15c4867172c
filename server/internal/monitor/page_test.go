package monitor

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPagesAnswerWithTheRightStatusAndType(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
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
		{"/figures", 200, js, "{\n  \"name\": \"\\u003cb\\u003e\"\n}"},
		{"/largez", 200, js, "{\n  \"name\": \"\\u003cb\\u003e\"\n}"},
		{"/figures?n=1", 400, text, "no such figures\n"},
		{"/figures?n=2", 500, text, "the page cannot be encoded\n"},
		{"/figures?n=x", 400, text, "Error decoding int for 'n': strconv.Atoi: parsing \"x\": invalid syntax\n"},
		{"/stacksz", 200, js, ""},
		{"/healthz", 200, js, `{"status":"ok"}`},
		{"/healthz?js-enabled-only=true", 200, js, `{"status":"ok"}`},
		{"/healthz?routes=1", 503, js, `{"status":"unavailable","error":"too few routes"}`},
		{"/healthz?routes=x", 400, text, "Error decoding int for 'routes': strconv.Atoi: parsing \"x\": invalid syntax\n"},
		{"/figures/", 404, text, "404 page not found\n"},
		{"/debug/pprof/", 404, text, "404 page not found\n"},
	} {
		got := ask(t, m, c.path)
		if got.status != c.status || got.contentType != c.kind || c.body != "" && got.body != c.body {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.path, got.status, got.contentType, got.body, c.status, c.kind, c.body)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: browsers may guess the type", c.path)
		}
	}
	if lines := m.config.Log.(*logLines).all(); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[ERR] Encoding /figures: ") }) {
		t.Errorf("a page that cannot be encoded is not logged: %q", lines)
	}
}

func TestPagesAreWrappedForJSONP(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	for _, page := range []string{"/figures", "/large", "/stacksz", "/healthz", "/healthz?routes=1"} {
		and := "?"
		if strings.Contains(page, "?") {
			and = "&"
		}
		got := ask(t, m, page+and+"callback=jQuery12_3.data[0]")
		if got.contentType != "application/javascript" || !strings.HasPrefix(got.body, "jQuery12_3.data[0](") || !strings.HasSuffix(got.body, ")") {
			t.Errorf("%s: got %q %.40q", page, got.contentType, got.body)
		}
	}
	for _, bad := range []string{"alert(1);f", "1f", "a b", "f\n", "<script>", "é", strings.Repeat("f", 129)} {
		got := ask(t, m, "/figures?callback="+url.QueryEscape(bad))
		if got.status != 400 || strings.Contains(got.body, bad) || !strings.HasSuffix(got.body, "\n") {
			t.Errorf("callback %q: got %d %q", bad, got.status, got.body)
		}
	}
}

func TestOtherOriginsReadOnlyWhatIsOpen(t *testing.T) {
	t.Parallel()
	login := []string{"Authorization", "Basic b3BzOnMzY3JldA=="} // ops:s3cret
	for _, c := range []struct {
		name  string
		s     Settings
		allow string
		jsonp bool
	}{
		{"an open port", Settings{}, "*", true},
		{"a login", Settings{Login: true}, "", true},
		{"certificates", Settings{Certificates: true}, "", true},
		{"same origin only", Settings{SameOrigin: true}, "", false},
	} {
		got := ask(t, started(t, c.s, nil), "/figures?callback=f", login...)
		if jsonp := strings.HasPrefix(got.body, "f("); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != c.allow || jsonp != c.jsonp {
			t.Errorf("%s: got %d, %q, JSONP %v, want %q, %v", c.name, got.status, got.header.Get("Access-Control-Allow-Origin"), jsonp, c.allow, c.jsonp)
		}
	}
}

func TestParamsDecodeOrReject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, want string }{
		{"", ""},
		{"flag=true&number=-3&id=18446744073709551615", ""},
		{"flag=2", `Error decoding boolean for 'flag': strconv.ParseBool: parsing "2": invalid syntax`},
		{"number=1e3", `Error decoding int for 'number': strconv.Atoi: parsing "1e3": invalid syntax`},
		{"id=-1", `Error decoding uint64 for 'id': strconv.ParseUint: parsing "-1": invalid syntax`},
		{"id=x&flag=2", `Error decoding boolean for 'flag': strconv.ParseBool: parsing "2": invalid syntax`},
	} {
		values, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		p := Params{values: values}
		flag, number, id := p.Flag("flag"), p.Number("number"), p.ID("id")
		got := ""
		if p.err != nil {
			got = p.err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.query, got, c.want)
		}
		if c.want == "" && c.query != "" && (!flag || number != -3 || id != 1<<64-1) {
			t.Errorf("%q: got %v, %d, %d", c.query, flag, number, id)
		}
	}
}
