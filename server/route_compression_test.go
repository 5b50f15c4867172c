package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

func TestCompressionIsNegotiated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ own, peer, want string }{
		{"off", "s2_fast", "off"}, {"s2_fast", "", "off"}, {"s2_fast", "off", "off"}, {"", "", "off"}, {"accept", "accept", "off"},
		{"accept", "s2_best", "s2_best"}, {"s2_better", "accept", "s2_better"}, {"s2_fast", "s2_best", "s2_fast"},
		{"s2_auto", "s2_fast", "s2_auto"}, {"accept", "s2_auto", "s2_auto"}, {"s2_fast", "zstd", "off"},
	} {
		if got := (&Compression{Mode: c.own}).with(c.peer); got != c.want {
			t.Errorf("%q with %q: got %q, want %q", c.own, c.peer, got, c.want)
		}
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		thresholds []time.Duration
		rtt        time.Duration
		want       string
	}{
		{nil, 0, "s2_uncompressed"}, {nil, 10 * ms, "s2_uncompressed"}, {nil, 11 * ms, "s2_fast"}, {nil, 100 * ms, "s2_better"}, {nil, time.Second, "s2_best"},
		{[]time.Duration{0, 20 * ms}, 0, "s2_fast"}, {[]time.Duration{0, 20 * ms}, 21 * ms, "s2_better"}, {[]time.Duration{5 * ms}, 6 * ms, "s2_fast"},
		{[]time.Duration{0, 0, 5 * ms}, 0, "s2_better"}, {[]time.Duration{0, 0, 0}, 0, "s2_best"},
	} {
		if got := (&Compression{RTTThresholds: c.thresholds}).auto(c.rtt); got != c.want {
			t.Errorf("%v, round trip %v: got %s, want %s", c.thresholds, c.rtt, got, c.want)
		}
	}
}

func TestCompressionSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Compression{
		"off": {Mode: "off"}, "false": {Mode: "off"}, "true": {Mode: "s2_fast"}, "on": {Mode: "s2_fast"}, "S2_Best": {Mode: "s2_best"}, "s2": {Mode: "s2_better"},
		"{ mode: s2_auto, rtt_thresholds: [10ms, 50ms, 100ms] }": {Mode: "s2_auto", RTTThresholds: autoThresholds},
		"{ rtt_thresholds: [0, \"20ms\"] }":                      {Mode: "s2_auto", RTTThresholds: []time.Duration{0, 20 * time.Millisecond}},
		"{ mode: accept }":                                       {Mode: "accept"},
	} {
		o := mustConfigure(t, "cluster { listen: \"127.0.0.1:-1\", compression: "+text+" }")
		if got := o.Cluster.Compression; got.Mode != want.Mode || !slices.Equal(got.RTTThresholds, want.RTTThresholds) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
		o = mustConfigure(t, "cluster { listen: \"127.0.0.1:-1\", compression: "+o.Cluster.Compression.text()+" }")
		if got := o.Cluster.Compression; got.Mode != want.Mode || !slices.Equal(got.RTTThresholds, want.RTTThresholds) {
			t.Errorf("%s: got %+v from its own text", text, got)
		}
	}
}

// compressed starts two servers whose routes are compressed.
func compressed(t *testing.T, pool int, modeA, modeB string) (a, b *Server) {
	t.Helper()
	options := func(mode string) func(*Options) {
		return func(o *Options) {
			o.Cluster.PoolSize = pool
			o.Cluster.Compression = Compression{Mode: mode, RTTThresholds: []time.Duration{time.Minute}}
		}
	}
	a = startServer(t, options(modeA))
	b = startServer(t, func(o *Options) {
		options(modeB)(o)
		o.Routes = []*url.URL{routeTo(t, a)}
	})
	connected(t, pool, a, b)
	return a, b
}

// across publishes large and small messages on one server, reads them on the other, and returns what
// the first says of its routes.
func across(t *testing.T, from, to *Server) []*RouteInfo {
	t.Helper()
	sub := dialClient(t, to)
	sub.Say("SUB far.* 1")
	sub.Sync()
	interested(t, from, 1)
	pub := dialClient(t, from)
	large := strings.Repeat("a line of text that can be compressed\n", 20000)
	for i, payload := range []string{"", "small", large, large[1:], "x"} {
		pub.Say(fmt.Sprintf("PUB far.%d %d\r\n%s\r\n", i, len(payload), payload))
		d, err := sub.Next()
		okay(t, err)
		if d == nil || d.Subject != fmt.Sprint("far.", i) || string(d.Payload) != payload {
			t.Fatalf("message %d is not as it was published", i)
		}
	}
	sub.Close()
	pub.Close()
	interested(t, from, 0)
	z, _ := from.Routez(nil)
	return z.Routes
}

func TestCompressedRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want, back string }{
		{"s2_fast", "s2_best", "s2_fast", "s2_best"},
		{"s2_better", "accept", "s2_better", "s2_better"},
		{"accept", "accept", "", ""},
		{"s2_fast", "off", "", ""},
		{"s2_auto", "s2_fast", "s2_uncompressed", "s2_fast"},
	} {
		for _, pool := range []int{1, 3} {
			t.Run(fmt.Sprint(c.a, " ", c.b, " ", pool), func(t *testing.T) {
				t.Parallel()
				a, b := compressed(t, pool, c.a, c.b)
				for _, way := range []struct {
					from, to *Server
					want     string
				}{{a, b, c.want}, {b, a, c.back}} {
					raw, wire := int64(0), int64(0)
					for _, r := range across(t, way.from, way.to) {
						if r.Compression != way.want {
							t.Errorf("compression is %q, want %q", r.Compression, way.want)
						}
						if c := r.CompressedData; c != nil {
							raw, wire = raw+c.OutRaw, wire+c.Out
						}
					}
					switch {
					case way.want == "":
						if raw+wire > 0 {
							t.Errorf("%d bytes were compressed", raw)
						}
					case raw < 1<<20 || (wire > raw/5) != (way.want == "s2_uncompressed"):
						t.Errorf("%s: %d bytes were compressed to %d", way.want, raw, wire)
					}
				}
			})
		}
	}
}

// TestCompressionIsReloaded turns compression on, changes its level, turns it off and on again, while
// messages flow.
func TestCompressionIsReloaded(t *testing.T) {
	t.Parallel()
	text := func(mode string, to *Server) string {
		return strings.Replace(poolOf(1, to), "pool_size: 1", "compression: "+mode, 1)
	}
	a := startReloader(t, text("off", nil))
	b := startReloader(t, text("accept", a.Server))
	connected(t, 1, a.Server, b.Server)
	route := func() *route { return a.cluster.active()[0] }
	first := route()
	for _, c := range []struct{ mode, want string }{{"off", ""}, {"s2_fast", "s2_fast"}, {"s2_best", "s2_best"}, {"off", "s2_uncompressed"}, {"s2_better", "s2_better"}} {
		okay(t, a.change(t, text(c.mode, nil)))
		for _, s := range []*Server{a.Server, b.Server} {
			eventually(t, fmt.Sprintf("compression %q", c.want), func() bool {
				z, _ := s.Routez(nil)
				return len(z.Routes) == 1 && z.Routes[0].Compression == c.want
			})
		}
		across(t, a.Server, b.Server)
		across(t, b.Server, a.Server)
	}
	if route() != first {
		t.Error("the route was made again")
	}
}

// TestPoolOverTLS has pools and compression over TLS, with a password.
func TestPoolOverTLS(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	text := func(routes string) string {
		return fmt.Sprintf(`cluster { listen: "127.0.0.1:-1", pool_size: 3, compression: s2_fast
tls { cert_file: "%[1]s/server-cert.pem", key_file: "%[1]s/server-key.pem", ca_file: "%[1]s/ca.pem", timeout: 10 }
authorization { user: u, password: p, timeout: 10 }
routes: [%[2]s] }`, dir, routes)
	}
	a := startReloader(t, text(""))
	b := startReloader(t, text(fmt.Sprintf("\"nats-route://u:p@%s\"", a.ClusterAddr())))
	connected(t, 3, a.Server, b.Server)
	for _, r := range append(across(t, a.Server, b.Server), across(t, b.Server, a.Server)...) {
		if r.Compression != "s2_fast" {
			t.Errorf("compression is %q, want s2_fast", r.Compression)
		}
	}
}

// TestCompressedLineMustBeNegotiated sends LINK s2 to a server that has not offered it.
func TestCompressedLineMustBeNegotiated(t *testing.T) {
	t.Parallel()
	for mode, info := range map[string]string{
		"off":     `INFO {"server_id":"peer","version":"1.5.0","compression":"s2_fast"}`,
		"s2_fast": `INFO {"server_id":"peer","version":"1.5.0"}`,
	} {
		s := startServer(t, func(o *Options) { o.Cluster.Compression.Mode = mode })
		r := wire.Dial(t, s.ClusterAddr().String())
		r.Say(`CONNECT {"name":"peer"}`, info, "LINK s2")
		r.HearAfter("-ERR 'Unknown Protocol Operation'")
	}
}

// compressingPeer connects a peer with a mode of compression.
func compressingPeer(t *testing.T, s *Server, mode string, lines ...string) *wire.Client {
	t.Helper()
	peer := wire.Dial(t, s.ClusterAddr().String())
	peer.Say(append([]string{`CONNECT {"name":"peer"}`, `INFO {"server_id":"peer","version":"1.5.0","compression":"` + mode + `"}`}, append(lines, "PING")...)...)
	peer.HearAfter("PONG")
	return peer
}

// TestCompressionMayBeginAfterTheOfferIsTakenBack has a peer whose LINK s2 waited behind messages while
// its settings changed again.
func TestCompressionMayBeginAfterTheOfferIsTakenBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.Cluster.Compression.Mode = "s2_fast" })
	r := compressingPeer(t, s, "off")
	r.Say(`INFO {"server_id":"peer","version":"1.5.0","compression":"s2_fast"}`, `INFO {"server_id":"peer","version":"1.5.0"}`, "LINK s2")
	eventually(t, "what follows is decompressed", func() bool {
		z, err := s.Routez(nil)
		okay(t, err)
		return len(z.Routes) == 1 && s.cluster.active()[0].decompresses()
	})
}

func (r *route) decompresses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.compression.in != nil
}

// TestCompressionBeginsAfterItsInfo changes the settings of a server, and has the peer offer compression
// before the server could tell that it does.
func TestCompressionBeginsAfterItsInfo(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.Cluster.Compression.Mode = "off" })
	peer := compressingPeer(t, s, "s2_fast")
	eventually(t, "a route", func() bool { return s.NumRoutes() == 1 })
	r := s.cluster.active()[0]
	changed := *s.options()
	changed.Cluster.Compression.Mode = "s2_fast"
	s.opts.Store(&changed)
	if r.adjustCompression(); r.compression.out != nil {
		t.Error("compression begins before the INFO that offers it")
	}
	s.cluster.renewOwn(&changed)
	r.sendInfo()
	if r.adjustCompression(); r.compression.out == nil {
		t.Error("compression does not begin after the INFO that offers it")
	}
	peer.HearAfter("INFO ")
	peer.Hear("LINK s2")
}

// TestAReaderDoesNotWaitToCompress has a peer that reads nothing and offers compression: until the
// server can write it must go on to read, or two servers wait for each other.
func TestAReaderDoesNotWaitToCompress(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.Cluster.Compression.Mode = "s2_fast"; o.MaxPending = 1 << 30 })
	peer := compressingPeer(t, s, "off", "SUB a 1")
	sub, pub := dialClient(t, s), dialClient(t, s)
	sub.Do("SUB b 1")
	interested(t, s, 2)
	payload := strings.Repeat("x", 1<<20)
	for range 20 { // more than sockets hold
		pub.Do("PUB a 1048576\r\n" + payload)
	}
	began := time.Now()
	peer.Say(`INFO {"server_id":"peer","version":"1.5.0","compression":"s2_fast"}`, "MSG b 1 2\r\nhi")
	sub.Want("MSG b 1 2\r\nhi")
	if took := time.Since(began); took >= s.options().WriteDeadline/2 {
		t.Errorf("it took %v", took)
	}
}

// TestBombOnARoute sends what takes much memory to decompress.
func TestBombOnARoute(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.Cluster.Compression.Mode = "s2_fast" })
	r := wire.Dial(t, s.ClusterAddr().String())
	r.Say(`CONNECT {"name":"peer"}`, `INFO {"server_id":"peer","version":"1.5.0","compression":"s2_fast"}`)
	r.HearAfter("LINK s2")
	r.Send("LINK s2\r\n\xff\x06\x00\x00S2sTwO\x00\x08\x00\x00\x00\x00\x00\x00\x80\x80\x80\x02")
	eventually(t, "the route is closed", func() bool { return s.NumRoutes() == 0 })
	r.Close()
}
