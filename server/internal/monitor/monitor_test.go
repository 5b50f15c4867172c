package monitor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gnatsd/server/internal/admission"
)

// logLines keeps what is logged.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(level, format string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+fmt.Sprintf(format, v...))
}

func (l *logLines) Noticef(format string, v ...any) { l.add("[INF] ", format, v) }
func (l *logLines) Errorf(format string, v ...any)  { l.add("[ERR] ", format, v) }
func (l *logLines) Debugf(format string, v ...any)  { l.add("[DBG] ", format, v) }

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// listenTCP is [Config.Listen] of the system.
func listenTCP(host string, port int) (net.Listener, int, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, max(port, 0)))
	if err != nil {
		return nil, 0, err
	}
	return l, l.Addr().(*net.TCPAddr).Port, nil
}

// figures is the page of the tests.
type figures struct {
	Name string `json:"name"`
}

// figuresPage is a page whose parameter n says what comes of it: 1 an error of the request, 2 one
// of the encoding.
func figuresPage(path string) Page {
	return Page{Path: path, Decode: func(p *Params) func(*Body) error {
		n := p.Number("n")
		return func(b *Body) error {
			switch n {
			case 1:
				return fmt.Errorf("no such figures")
			case 2:
				return Encode(b, Indented, func() {})
			}
			return Encode(b, Indented, &figures{Name: "<b>"})
		}
	}}
}

// newTest returns a Monitor with pages for tests, changed by change, that is closed when the test
// ends.
func newTest(t testing.TB, s Settings, change func(*Config)) *Monitor {
	t.Helper()
	large, strict := figuresPage("/large"), figuresPage("/strict")
	large.Large, large.Aliases = true, []string{"/largez"}
	strict.CountRejected = true
	config := Config{
		Log: &logLines{}, Listen: listenTCP, ServerID: "S1",
		Settings: func() Settings { return s },
		Login: func(_ context.Context, _ admission.Source, user, password string) bool {
			return user == "ops" && password == "s3cret"
		},
		Pages: []Page{figuresPage("/figures"), large, strict},
		Note:  func() string { return "" },
		Health: func(routes int) string {
			if routes > 0 {
				return "too few routes"
			}
			return ""
		},
		Metrics: func() []Metric { return []Metric{Gauge("answers", "Number of answers.", 42)} },
	}
	if change != nil {
		change(&config)
	}
	m := New(config)
	t.Cleanup(m.Close)
	return m
}

// started is newTest with a port.
func started(t testing.TB, s Settings, change func(*Config)) *Monitor {
	t.Helper()
	m := newTest(t, s, change)
	if err := m.Start(Address{Host: "127.0.0.1", Port: -1}); err != nil {
		t.Fatal(err)
	}
	return m
}

// reply is an answer of the monitoring port.
type reply struct {
	status      int
	contentType string
	body        string
	header      http.Header
}

// ask requests a path of the monitoring port; header are names and values.
func ask(t testing.TB, m *Monitor, path string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+m.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, http.DefaultClient, r)
}

func do(t testing.TB, c *http.Client, r *http.Request) reply {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(body), resp.Header}
}

func TestRequestsAreCountedForPagesAndNoOtherPath(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	for _, path := range []string{
		"/", "/figures", "/figures?n=1", "/figures?n=x", "/large", "/largez", "/strict?n=x",
		"/stacksz", "/healthz", "/metrics", "/nothing", "/ui/main.js",
	} {
		ask(t, m, path)
	}
	ask(t, m, "/", "Accept", acceptFirefox)
	got := m.Requests()
	want := map[string]uint64{"/": 2, "/figures": 2, "/large": 2, "/strict": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPathsAreShortened asks for pages as programs do that join a base URL and a path carelessly;
// net/http redirects them, and so did the broker always.
func TestPathsAreShortened(t *testing.T) {
	t.Parallel()
	keep := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, base := range []string{"", "/nats/one"} {
		m := started(t, Settings{Login: true}, func(c *Config) { c.BasePath = base })
		for path, want := range map[string]string{
			"//figures":            "/figures",
			"/./figures":           "/figures",
			"/x/../figures":        "/figures",
			"/figures/.":           "/figures",
			"/%2e/figures":         "/figures",
			"//figures?n=1&m=%20a": "/figures?n=1&m=%20a",
			"//healthz":            "/healthz",
			"//":                   "/",
			"//figures/":           "/figures/",
			"/\\evil.example//":    "/%5Cevil.example/",
			"///evil.example":      "/evil.example",
		} {
			r, err := http.NewRequest("GET", "http://"+m.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			target, query, _ := strings.Cut(base+path, "?")
			r.URL.Opaque, r.URL.RawQuery = "//"+r.URL.Host+target, query
			if got := do(t, keep, r); got.status != 301 || got.header.Get("Location") != base+want {
				t.Errorf("%s: got %d to %q, want 301 to %q", base+path, got.status, got.header.Get("Location"), base+want)
			}
		}
		if got := ask(t, m, base+"//healthz"); got.status != 200 {
			t.Errorf("%s//healthz: got %d in the end, want 200", base, got.status)
		}
	}
}

func TestPagesStandBelowTheBasePath(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, func(c *Config) { c.BasePath = "/nats/one/" })
	for path, want := range map[string]int{"/nats/one/figures": 200, "/nats/one": 200, "/nats/one/": 200, "/nats/one/ui/main.js": 200,
		"/figures": 404, "/": 404, "/ui/main.js": 404, "/nats/one/figures/": 404, "/nats/one/healthz/": 404} {
		if got := ask(t, m, path); got.status != want {
			t.Errorf("%s: got %d, want %d", path, got.status, want)
		}
	}
	if got := ask(t, m, "/nats/one/").body; !strings.Contains(got, `href="/nats/one/connz"`) {
		t.Errorf("links do not have the base path: %s", got)
	}
}

func TestEveryPageButHealthNeedsTheLogin(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{Login: true}, nil)
	paths := []string{"/ui/main.js"}
	for path := range m.pages {
		paths = append(paths, path)
	}
	for _, path := range paths {
		for _, c := range []struct {
			user, password string
			want           int
		}{{"", "", 401}, {"ops", "", 401}, {"ops", "S3cret", 401}, {"root", "s3cret", 401}, {"ops", "s3cret", 200}} {
			if path == "/healthz" {
				c.want = 200
			}
			r, err := http.NewRequest("GET", "http://"+m.Addr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			got := do(t, http.DefaultClient, r)
			if got.status != c.want {
				t.Errorf("%s as %q with %q: got %d, want %d", path, c.user, c.password, got.status, c.want)
			}
			if got.status == 401 && (!strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") || got.body != "login required\n") {
				t.Errorf("%s: got %v %q", path, got.header, got.body)
			}
		}
	}
	if got := ask(t, m, "/nothing"); got.status != 404 {
		t.Errorf("a page that does not exist: got %d, want 404", got.status)
	}
}

// TestLargePagesAreMadeOneAtATime holds one large page while others are asked for.
func TestLargePagesAreMadeOneAtATime(t *testing.T) {
	t.Parallel()
	const requests = 4
	making, finish := make(chan struct{}, requests+1), make(chan struct{})
	var inside atomic.Int32
	m := started(t, Settings{}, func(c *Config) {
		c.Pages = append(c.Pages, Page{Path: "/slow", Large: true, Decode: func(*Params) func(*Body) error {
			return func(b *Body) error {
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d large pages are made at a time", n)
				}
				defer inside.Add(-1)
				making <- struct{}{}
				<-finish
				return Encode(b, Indented, figures{})
			}
		}})
	})
	statuses := make(chan int, requests+1)
	get := func(ctx context.Context) { // ends with its answer
		status := 0
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+m.Addr().String()+"/slow", nil)
		if err != nil {
			t.Error(err)
		} else if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
			status = resp.StatusCode
		}
		statuses <- status
	}
	go get(t.Context())
	<-making
	if got := ask(t, m, "/figures"); got.status != 200 {
		t.Errorf("a page that is not large: got %d, want 200", got.status)
	}
	gone, leave := context.WithCancel(t.Context())
	go get(gone)
	leave()
	if got := <-statuses; got != 0 {
		t.Errorf("a client that goes away while it waits: got %d", got)
	}
	for range requests - 1 {
		go get(t.Context())
	}
	close(finish)
	for range requests {
		if got := <-statuses; got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	}
}
