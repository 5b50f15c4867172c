package server

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/mesh"
	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

func TestAdvertisable(t *testing.T) {
	t.Parallel()
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.0.1:%d", i+1)
	}
	name := strings.Repeat("a.", 127) + "a"
	for _, tt := range []struct {
		name       string
		urls, want []string
	}{
		{"none", nil, nil},
		{"usual ones", []string{"10.0.0.1:4222", "[fe80::1]:4222", "nats.example:1"}, []string{"10.0.0.1:4222", "[fe80::1]:4222", "nats.example:1"}},
		{"too many", many, many[:maxPeerURLs]},
		{"the longest name", []string{name + ":65535"}, []string{name + ":65535"}},
		{"too long", []string{strings.Repeat("a", 300) + ":4222", "a:1"}, []string{"a:1"}},
		{"no addresses", []string{"", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:x", "a b:1", "a\n:1", "a\x7f:1", "a:1\r\nPING", "a:1:2"}, nil},
	} {
		if got := advertisable(tt.urls); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestAdvertisementsOfRoutesAreBounded has servers send as many addresses as fit into INFO, and
// looks at what clients and other servers are sent.
func TestAdvertisementsOfRoutesAreBounded(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	client := dialClient(t, s)
	client.Say(`CONNECT {"verbose":false,"protocol":1}`)
	client.Sync()
	first := wire.Listen(t, "first", false)
	watcher := first.Join(s.ClusterAddr())
	watcher.Sync()
	const routes = 5
	for i := range routes {
		urls := make([]string, 1000)
		for k := range urls {
			urls[k] = fmt.Sprintf("%s.%d.%d:4222", strings.Repeat("x", 200), i, k)
		}
		list, err := json.Marshal(urls)
		okay(t, err)
		p := wire.Listen(t, fmt.Sprint("hostile", i), false)
		r := p.Dial(s.ClusterAddr())
		r.Say(p.Connect(), strings.Replace(p.Info(), `"max_payload"`, `"connect_urls":`+string(list)+`,"max_payload"`, 1))
		if line := watcher.Hear("INFO "); len(line) > maxPeerURLs*(maxPeerURL+3)+1000 {
			t.Errorf("another server is sent INFO of %d bytes", len(line))
		}
	}
	var info Info
	eventually(t, "INFO has addresses of several routes", func() bool {
		c := openClient(t, s)
		defer c.Close()
		okay(t, json.Unmarshal([]byte(strings.TrimPrefix(c.Info, "INFO ")), &info))
		if len(c.Info) > maxAdvertisement+1000 {
			t.Fatalf("a client is sent INFO of %d bytes, want at most %d", len(c.Info), maxAdvertisement+1000)
		}
		return len(info.ClientConnectURLs) > maxPeerURLs
	})
	line := client.Hear("INFO ")
	if len(line) > maxAdvertisement+1000 {
		t.Errorf("a connected client is sent INFO of %d bytes, want at most %d", len(line), maxAdvertisement+1000)
	}
}

// TestAdvertisedAddresses has the forms of client_advertise and cluster_advertise, for a listener at
// port 4222.
func TestAdvertisedAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, host string
		port       int
	}{
		{"h", "h", 4222}, {"h:5", "h", 5}, {" h:0 ", "h", 4222}, {"h:-1", "h", 4222}, {"1.2.3.4", "1.2.3.4", 4222},
		{"::1", "::1", 4222}, {"[::1]", "::1", 4222}, {"[2001:db8::1]:5", "2001:db8::1", 5}, {"fe80::1%eth0", "fe80::1%eth0", 4222},
		{"", "", 0}, {":5", "", 0}, {"a b", "", 0}, {"a b:5", "", 0}, {"[1.2.3.4]", "", 0}, {"[h]", "", 0}, {"[::1", "", 0}, {"::1]", "", 0}, {"a:b:c", "", 0}, {"[]:5", "", 0},
	} {
		host, port, err := advertisedAddr(tc.text, 4222)
		if host != tc.host || port != tc.port && err == nil || (err == nil) != (tc.host != "") {
			t.Errorf("%q: got %q, %d, %v, want %q, %d", tc.text, host, port, err, tc.host, tc.port)
		}
	}
	s := broker(t, func(o *Options) { o.ClientAdvertise = "[2001:db8::1]" })
	if got, want := s.cluster.adverts.ownURLs(), fmt.Sprintf("[2001:db8::1]:%d", s.Addr().(*net.TCPAddr).Port); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// changingURLs has a route send another list of addresses n times, and returns the last one.
func changingURLs(s *Server, r *route, n int, pause time.Duration) (last string) {
	for i := range n {
		last = fmt.Sprintf("host%d:4222", i)
		s.cluster.adverts.renew(r, []string{last})
		time.Sleep(pause)
	}
	return last
}

// TestAServerThatIsAdvertisedElsewhereIsDialedThere has a server say that it is where nothing listens, and
// then, by a reload, where it is. A third one, which knows it from the first one only, dials it then.
func TestAServerThatIsAdvertisedElsewhereIsDialedThere(t *testing.T) {
	t.Parallel()
	a := startReloader(t, poolOf(1, nil))
	third := startReloader(t, poolOf(1, a.Server))
	meshed(t, a.Server, third.Server)
	late := func(advertise string) string {
		return strings.Replace(poolOf(1, a.Server), "pool_size: 1", advertise, 1)
	}
	b := startReloader(t, late("cluster_advertise: \"127.0.0.1:1\", pool_size: 1"))
	eventually(t, "an attempt where nothing listens", func() bool {
		return slices.ContainsFunc(third.cluster.targets(), func(s mesh.TargetState) bool {
			return s.URL.Host == "127.0.0.1:1" && s.Failures > 0
		})
	})
	okay(t, b.change(t, late("pool_size: 1")))
	meshed(t, a.Server, third.Server, b.Server)
}

// TestInfoThatChangesAllTheTimeIsSentOnceASecond has a route send other addresses every 10 ms: after a few at
// once, one INFO a second is sent.
func TestInfoThatChangesAllTheTimeIsSentOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := broker(t, func(o *Options) { o.network, o.PingInterval = newPipeNet(), time.Hour })
		client := patient(t, s, `{"verbose":false,"protocol":1}`)
		lines := make(chan string, 10_000)
		go func() { // ends with the connection
			for line, err := client.Line(); err == nil; line, err = client.Line() {
				lines <- line
			}
		}()
		received := func() (n int, last string) {
			synctest.Wait()
			for n = len(lines); len(lines) > 0; {
				last = <-lines
			}
			return n, last
		}
		r := new(route)
		first := changingURLs(s, r, 1, 0)
		if n, line := received(); n != 1 || !strings.Contains(line, first) {
			t.Errorf("the first change: got %d lines, %q, want INFO with %s at once", n, line, first)
		}
		time.Sleep(infoInterval)
		const seconds = 20
		last := changingURLs(s, r, seconds*100, 10*time.Millisecond)
		time.Sleep(infoInterval)
		if n, line := received(); n < seconds+infoBurst || n > seconds+infoBurst+1 || !strings.Contains(line, last) {
			t.Errorf("in %d seconds: got %d lines, the last %q, want one a second and %d more, and %s in the last", seconds, n, line, infoBurst, last)
		}
		time.Sleep(time.Minute)
		if n, line := received(); n > 0 {
			t.Errorf("without a change: got %d lines, %q", n, line)
		}
		s.cluster.adverts.withdraw(r)
		if n, line := received(); n != 1 || strings.Contains(line, last) {
			t.Errorf("a change later: got %d lines, %q, want INFO without %s at once", n, line, last)
		}
		changingURLs(s, r, 2*infoBurst, time.Millisecond)
		received()
		s.enterLameDuck()
		s.announceLameDuck()
		if n, line := received(); n != 1 || !strings.Contains(line, `"ldm":true`) {
			t.Errorf("lame duck mode: got %d lines, %q, want INFO at once", n, line)
		}
	})
}

// TestAClientThatDoesNotReadHasOneInfoPending has INFO change for a client whose socket takes nothing, until
// it takes all.
func TestAClientThatDoesNotReadHasOneInfoPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(nil)
		okay(t, err)
		reads := make(chan struct{})
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, netio.ErrWouldBlock },
			wait: func(n int) (int, error) { <-reads; return n, nil },
		}
		c := onFake(t, s, l)
		c.opts, c.pinged = &ConnectOptions{Protocol: 1}, true
		if r := s.clients.add(c); r != keepOpen {
			t.Fatalf("not registered: %d", r)
		}
		last := changingURLs(s, new(route), 500, 10*time.Millisecond)
		if got, most := c.out.Stats().Pending, int64(len(c.appendInfo(nil))); got == 0 || got > most {
			t.Errorf("%d bytes are pending, want one INFO of %d at most", got, most)
		}
		close(reads)
		time.Sleep(2 * infoInterval)
		out, _ := l.taken()
		if lines := strings.SplitAfter(string(out), "\n"); len(lines) != 3 || !strings.Contains(lines[1], last) {
			t.Errorf("got %q, want two INFO, the second with %s", out, last)
		}
	})
}
