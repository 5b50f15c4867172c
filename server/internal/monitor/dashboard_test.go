package monitor

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
)

// What programs and browsers say when they ask for a page.
const (
	acceptChrome  = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	acceptFirefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	acceptJava    = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
)

func TestRootShowsBrowsersTheDashboardAndAllOthersTheClassicPage(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	for _, c := range []struct {
		name   string
		header []string
		page   string
	}{
		{"Chrome on a safe origin", []string{"Accept", acceptChrome, "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"}, "dashboard"},
		{"Chrome on a plain one, which sends no destination", []string{"Accept", acceptChrome}, "dashboard"},
		{"Firefox", []string{"Accept", acceptFirefox, "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"}, "dashboard"},
		{"Safari", []string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "dashboard"},
		{"upper case, spaces and weights", []string{"Accept", "Application/XHTML+XML;q=0.8 , TEXT/HTML"}, "dashboard"},
		{"curl, wget, kube-probe, Python requests of Datadog", []string{"Accept", "*/*"}, "classic"},
		{"a Go program", nil, "classic"},
		{"a Java program", []string{"Accept", acceptJava}, "classic"},
		{"a collector of JSON", []string{"Accept", "application/json"}, "classic"},
		{"Prometheus", []string{"Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}, "classic"},
		{"a script in a page", []string{"Accept", "*/*", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, "classic"},
		{"a script that wants HTML", []string{"Accept", acceptChrome, "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, "classic"},
		{"a frame", []string{"Accept", acceptChrome, "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate"}, "classic"},
		{"a client that refuses HTML", []string{"Accept", "text/html;q=0, application/xhtml+xml;q=0.0"}, "classic"},
	} {
		got := ask(t, m, "/", c.header...)
		page := "classic"
		if strings.Contains(got.body, `src="ui/main.js"`) {
			page = "dashboard"
		}
		if got.status != 200 || got.contentType != "text/html; charset=utf-8" || page != c.page || got.header.Get("Vary") != "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode" {
			t.Errorf("%s: got %d %q, the %s page, Vary %q", c.name, got.status, got.contentType, page, got.header.Get("Vary"))
		}
		if page == "classic" && !strings.Contains(got.body, `<a href="/varz">varz</a><br/>`) {
			t.Errorf("%s: the classic page has no links: %s", c.name, got.body)
		}
	}
}

func TestDashboardIsServedProtected(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	paths := []string{"/"}
	for _, f := range readDashboardFiles() {
		paths = append(paths, "/"+f.path)
	}
	for _, p := range paths {
		got := ask(t, m, p, "Accept", acceptFirefox)
		kind := uiTypes[path.Ext(p)]
		if p == "/" {
			kind = uiTypes[".html"]
		}
		if got.status != 200 || kind == "" || got.contentType != kind || got.body == "" {
			t.Errorf("%s: got %d %q of %d bytes", p, got.status, got.contentType, len(got.body))
		}
		for name, v := range want {
			if got.header.Get(name) != v {
				t.Errorf("%s: %s: got %q, want %q", p, name, got.header.Get(name), v)
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, ":") ||
			!strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "require-trusted-types-for 'script'") {
			t.Errorf("%s: policy %q", p, policy)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: other origins may read it", p)
		}
	}
}

func TestDashboardFilesAreKeptUntilTheyChange(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	first := ask(t, m, "/ui/main.js")
	etag := first.header.Get("ETag")
	if etag == "" || first.header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("got %v", first.header)
	}
	if got := ask(t, m, "/ui/main.js", "If-None-Match", etag); got.status != http.StatusNotModified || got.body != "" {
		t.Errorf("unchanged: got %d and %d bytes, want 304", got.status, len(got.body))
	}
	if got := ask(t, m, "/ui/main.js", "If-None-Match", `"other"`); got.status != 200 {
		t.Errorf("changed: got %d, want 200", got.status)
	}
	if got := ask(t, m, "/", "Accept", acceptFirefox); got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("page: got %q, want no-store", got.header.Get("Cache-Control"))
	}
	for _, gone := range []string{"/ui", "/ui/", "/ui/index.html", "/ui/nothing.js", "/ui/../varz"} {
		if got := ask(t, m, gone); got.status != 404 {
			t.Errorf("%s: got %d, want 404", gone, got.status)
		}
	}
}

func TestDashboardObeysBasePathAndLogin(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{Login: true}, func(c *Config) { c.BasePath = "nats/one" })
	for _, p := range []string{"/nats/one/", "/nats/one/ui/main.js"} {
		if got := ask(t, m, p, "Accept", acceptFirefox); got.status != 401 {
			t.Errorf("%s without a login: got %d, want 401", p, got.status)
		}
		if got := ask(t, m, p, "Accept", acceptFirefox, "Authorization", "Basic b3BzOnMzY3JldA=="); got.status != 200 {
			t.Errorf("%s with a login: got %d, want 200", p, got.status)
		}
	}
	if got := ask(t, m, "/ui/main.js"); got.status != 404 {
		t.Errorf("outside of the base path: got %d, want 404", got.status)
	}
	// Its links are relative, so a path without a slash at the end is sent on.
	r, err := http.NewRequest("GET", "http://"+m.Addr().String()+"/nats/one", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", acceptFirefox)
	r.SetBasicAuth("ops", "s3cret")
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if got := do(t, stay, r); got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != "one/" {
		t.Errorf("got %d to %q, want 307 to one/", got.status, got.header.Get("Location"))
	}
}

// maxDashboard bounds what a browser loads of the dashboard, compressed: it opens at once over a slow
// line.
const maxDashboard = 60 << 10

func TestDashboardIsSmall(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	page, err := uiFiles.ReadFile(uiPage)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(page)
	for _, f := range readDashboardFiles() {
		w.Write(f.text)
	}
	w.Close()
	if t.Logf("the dashboard has %d bytes, compressed", b.Len()); b.Len() > maxDashboard {
		t.Errorf("got %d bytes, want at most %d", b.Len(), maxDashboard)
	}
}

// The dashboard is one set of files: nothing of it comes from elsewhere, and none of its code can
// make HTML of a text.
func TestDashboardBringsEverythingAndMakesNoHTML(t *testing.T) {
	t.Parallel()
	foreign := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)
	inline := regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=|<style|<script(?:[^>]*)>[^<]|javascript:`)
	makesHTML := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc|\beval\(|new Function|\bimport\(`)
	reference := regexp.MustCompile(`(?:src|href)="(ui/[^"]+)"|from '\./([^']+)'`)
	refers := map[string]bool{}
	err := fs.WalkDir(uiFiles, "ui", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := uiFiles.ReadFile(name)
		text := strings.ReplaceAll(string(raw), `xmlns="http://www.w3.org/2000/svg"`, "") // a name, not a place
		if path.Ext(name) == ".js" || path.Ext(name) == ".css" {
			text = regexp.MustCompile(`(?m)(^|[^:])//.*$`).ReplaceAllString(text, "$1")
		}
		if at := foreign.FindString(text); at != "" {
			t.Errorf("%s refers to another host: %s", name, at)
		}
		if at := inline.FindString(text); at != "" {
			t.Errorf("%s has what the policy forbids: %s", name, at)
		}
		if at := makesHTML.FindString(text); at != "" {
			t.Errorf("%s uses %s", name, at)
		}
		for _, m := range reference.FindAllStringSubmatch(string(raw), -1) {
			refers[strings.TrimPrefix(m[1]+m[2], "ui/")] = true
		}
		if strings.Contains(text, "url(") || strings.Contains(text, "@import") {
			t.Errorf("%s loads something that no list here knows", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readDashboardFiles() {
		if !refers[path.Base(f.path)] {
			t.Errorf("nothing refers to %s", f.path)
		}
		delete(refers, path.Base(f.path))
	}
	for missing := range refers {
		t.Errorf("there is no %s", missing)
	}
}
