package process

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// monitoringPort answers as a server does whose clients mean harm.
func monitoringPort(t *testing.T, change func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if change != nil && change(w, r) {
			return
		}
		switch r.URL.Path {
		case "/base/varz":
			asked++
			fmt.Fprintf(w, `{"server_name":"one\u001b[2J","version":"1.5.0","now":"2026-01-01T00:00:0%dZ","uptime":"1m","connections":2,"in_msgs":%d}`, asked, 1000*asked)
		case "/base/statusz":
			fmt.Fprint(w, `{"conditions":[{"severity":"critical","text":"1 slow consumer"}]}`)
		case "/base/connz":
			fmt.Fprint(w, `{"connections":[{"cid":7,"ip":"127.0.0.1","port":9,"name":"evil\u001b]0;x\u0007\r\nname","rates":{"in_msgs":12345,"out_bytes":2048}},{"cid":8,"name":"`+strings.Repeat("w", 100)+`"}]}`)
		case "/base/subjectz":
			fmt.Fprint(w, `{"subjects":[{"subject":"foo.\u202ebar","msgs_rate":12,"fanout":3}]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestTopShowsAServer(t *testing.T) {
	t.Parallel()
	top, err := newTop(monitoringPort(t, nil).URL + "/base/")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := top.run(context.Background(), 2, false, &b, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{`one\x1b[2J  version 1.5.0  up 1m`, "in 1.0k msgs/s", "critical: 1 slow consumer", `evil\x1b]0;x\a\r\nname`, "12.3k", "2.0K", `foo.\u202ebar`, "wwww…"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if strings.ContainsAny(got, "\x1b\r\u202e") {
		t.Errorf("the terminal gets what others chose: %q", got)
	}
	if n := strings.Count(got, "CLIENT "); n != 4 {
		t.Errorf("got %d tables, want two pictures with two", n)
	}
	b.Reset()
	if err := top.run(context.Background(), 1, true, &b, time.Millisecond); err != nil || !strings.HasPrefix(b.String(), "\x1b[H\x1b[2J") {
		t.Errorf("on a terminal: got %v, %q", err, b.String())
	}
	b.Reset()
	top.last = nil // another program
	if err := top.run(context.Background(), 1, false, &b, time.Millisecond); err != nil || !strings.Contains(b.String(), "in 1.0k msgs/s") {
		t.Errorf("once: got %v, %q, want rates", err, b.String())
	}
}

func TestTopSaysWhyItCannotAsk(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "ftp://x", "http://", "http://me:secret@/"} {
		if _, err := newTop(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	for name, c := range map[string]struct {
		change func(w http.ResponseWriter, r *http.Request) bool
		want   string
	}{
		"login": {func(w http.ResponseWriter, r *http.Request) bool {
			_, password, _ := r.BasicAuth()
			if password != "right" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return password != "right"
		}, "the server asks for a login"},
		"nonsense":  {func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, "is not varz"},
		"other":     {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }, "500"},
		"old":       {func(w http.ResponseWriter, r *http.Request) bool { return false }, "404"},
		"no answer": {nil, "ask the server"},
	} {
		s := monitoringPort(t, c.change)
		address := strings.Replace(s.URL, "http://", "http://me:wrong@", 1)
		if name != "old" {
			address += "/base"
		}
		if c.change == nil {
			s.Close()
		}
		top, err := newTop(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := top.run(context.Background(), 1, false, &strings.Builder{}, time.Millisecond); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	s := monitoringPort(t, nil)
	top, err := newTop(s.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := top.run(ctx, 0, false, &strings.Builder{}, time.Hour); err != context.Canceled {
		t.Errorf("interrupted: got %v", err)
	}
}
