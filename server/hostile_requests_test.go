package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// This file lets anything connect to the monitoring port of a server that clients use: these must
// notice nothing of it, and each answer must be one of HTTP.

// requestFragments are what scripts of FuzzRequestSequences are made of. The first ones are whole
// requests.
var requestFragments = []string{
	"GET /varz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /connz?subs=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /routez HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /subsz?subs=1&test=own.x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /subjectz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /statusz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /clusterz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /historyz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /varz HTTP/1.0\r\n\r\n", "POST /varz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "PUB own.x 2\r\nhi\r\n", "\x16\x03\x01\x02\x00\x01\x00",
	"GET ", "HEAD ", "POST ", "OPTIONS ", "get ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE ",
	"/", "/varz", "/connz", "/routez", "/subsz", "/subscriptionsz", "/subjectz", "/statusz", "/clusterz", "/historyz", "/healthz", "/openapi.json", "/nothing", "//", "/../", "/./varz", "http://a/varz", "*", "/%2e%2e/", "/varz/", "/%",
	"?", "&", "=", "1", "0", "-1", "9223372036854775808", "18446744073709551615", "true", "T", "detail", "%00", "%zz", "+", ";", "%C5%BF", "a.b", "own.>", ">", "*.*", "..",
	"cid=", "subs=", "sort=", "offset=", "limit=", "auth=", "state=", "reason=", "search=", "user=", "acc=", "filter_subject=", "test=", "callback=", "callback=f", "callback=<script>", "since=", "format=", "js-server-only=",
	"cid", "subs", "pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "uptime", "stop", "rtt", "open", "closed", "all", "any", "Client",
	" HTTP/1.1\r\n", " HTTP/1.0\r\n", " HTTP/0.9\r\n", " HTTP/9.9\r\n", "\r\n", "\n", " ", "\x00", "\t",
	"Host: a\r\n", "Host: a\r\nHost: b\r\n", "Accept-Encoding: gzip\r\n", "Accept: application/openmetrics-text\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n",
	"Content-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 99999999999\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "ffffffffffffffff\r\n",
	"Authorization: Basic YTpi\r\n", "Authorization: x\r\n", "If-None-Match: *\r\n", "If-Modified-Since: Sun, 29 Nov 2026 00:00:00 GMT\r\n", "Range: bytes=0-1\r\n", "Origin: http://a\r\n", "X: " + strings.Repeat("y", 5000) + "\r\n", strings.Repeat("z", 70000),
}

// startAttackedByRequests starts a server with a monitoring port.
func startAttackedByRequests(t testing.TB) *attacked {
	t.Helper()
	n := newMemoryNet()
	o := memoryOptions(n)
	o.HTTPHost, o.HTTPPort = "127.0.0.1", RandomPort
	s := startInMemory(t, o)
	a := &attacked{private: true, dial: func() (net.Conn, error) { return n.Dial(s.MonitorAddr().String(), 0) }, shutdown: s.Shutdown}
	a.goroutines.some = 20_000 // net/http keeps those of refused requests for half a second
	for range 2 {
		nc, err := n.Dial(s.Addr().String(), 0)
		okay(t, err)
		a.join(t, nc, 0, `{"verbose":false,"pedantic":false}`)
	}
	a.clients[1].subscribe(t, "own.x", "")
	a.clients[1].subscribe(t, "own.*", "workers")
	a.ready()
	a.publish = func() { a.clients[0].publish("own.x") }
	a.fence = func(t testing.TB) {
		for _, c := range a.clients {
			c.fence(t)
		}
	}
	a.settled = func() bool { return s.NumClients() == 2 && s.NumSubscriptions() == 2 && s.io.Pending.Load() == 0 }
	a.answered = wantAnswers
	return a
}

// wantAnswers fails if what came over a connection is anything but answers to requests.
func wantAnswers(t testing.TB, out []byte) {
	t.Helper()
	for in := bufio.NewReader(bytes.NewReader(out)); ; {
		if _, err := in.Peek(1); err == io.EOF {
			return
		}
		answer, err := http.ReadResponse(in, nil)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return // closed, because there were too many connections
		}
		if err != nil {
			if bytes.Contains(out, []byte("\r\n\r\n")) && strings.Contains(err.Error(), "malformed") && bytes.Contains(out, []byte("Content-Length: ")) {
				return // after the answer to a HEAD, which has no body: where the next one begins is not known here
			}
			t.Fatalf("%v in %q", err, out)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return // HEAD, or the request was cut
		}
		if answer.StatusCode == http.StatusInternalServerError || answer.StatusCode < 100 {
			t.Errorf("status %d: %.200q", answer.StatusCode, body)
		}
		plain := answer.Header.Get("Content-Encoding") == ""
		if answer.StatusCode == http.StatusOK && plain && strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") && !json.Valid(body) {
			t.Errorf("no JSON: %.200q", body)
		}
	}
}

// FuzzRequestSequences lets connections to the monitoring port send what a script says, as clients
// do in FuzzClientSequences.
func FuzzRequestSequences(f *testing.F) {
	oneThread()
	for i := range requestFragments {
		f.Add([]byte{byte(i), scriptWrite, byte(i), scriptOthers, 10, scriptHalf})
		f.Add([]byte{15, 25, 41, byte(i), 65, byte(i), 95, 104, byte(i), 99}) // GET /connz?…cid=…
	}
	var a *attacked
	f.Cleanup(func() {
		if a != nil {
			a.shutdown()
		}
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		playOn(t, &a, requestFragments, script, startAttackedByRequests)
	})
}
