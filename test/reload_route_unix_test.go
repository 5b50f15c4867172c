//go:build unix

package test

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// This file shows what reloads of the settings of the cluster do, with the binary. What they do to
// live routes of every kind is in reload_cluster_test.go.

// clusterText is a file with a cluster and more in its block.
func clusterText(more string) string {
	return "cluster {\nlisten: \"127.0.0.1:-1\"\n" + more + "\n}"
}

// spawnClustered starts the binary with a cluster, and returns where routes connect.
func spawnClustered(t *testing.T, more string) (r *reloadable, routes string) {
	t.Helper()
	r = spawnReloadable(t, clusterText(more))
	return r, r.await(t, `Listening for route connections on (\S+)$`)[1]
}

// recluster reloads with other settings in the block.
func (r *reloadable) recluster(t *testing.T, more string, lines ...string) {
	t.Helper()
	r.reload(t, clusterText(more), append([]string{"Reloaded: cluster"}, lines...)...)
}

// routeOf14 dials the broker as a server of 1.4 does, and is not registered yet.
func routeOf14(t *testing.T, routes, id string) (c *wire.Server, r *wire.Client) {
	t.Helper()
	r = wire.Open(t, routes)
	r.Info = r.Hear("INFO ")
	return wire.Listen(t, id, false), r
}

var reloadedCluster = map[string]func(*testing.T){
	"cluster.routes": func(t *testing.T) {
		r, _ := spawnClustered(t, "")
		one, two := wire.Listen(t, "one", false), wire.Listen(t, "two", false)
		r.reload(t, clusterText(fmt.Sprintf("routes: [%q]", one.URL())), "Reloaded: cluster routes")
		first, _ := one.Accept()
		first.Sync()
		r.reload(t, clusterText(fmt.Sprintf("routes: [%q]", two.URL())), "Removed route "+one.URL().String(), "Reloaded: cluster routes")
		first.End()
		two.Accept()
		one.Routes.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(1500 * time.Millisecond))
		if _, err := one.Routes.Accept(); err == nil {
			t.Error("the removed route is dialed again")
		}
	},
	"cluster.no_advertise": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		if len(greeting(t, routes).ClientConnectURLs) == 0 {
			t.Error("no addresses of clients before")
		}
		r.recluster(t, "no_advertise: true")
		if got := greeting(t, routes).ClientConnectURLs; len(got) > 0 {
			t.Errorf("got %q after", got)
		}
	},
	"cluster.cluster_advertise": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		r.recluster(t, `advertise: "r.example:77"`)
		if info := greeting(t, routes); info.Host != "r.example" || info.Port != 77 || info.IP != "nats-route://r.example:77/" {
			t.Errorf("got %+v", info)
		}
		r.refuses(t, clusterText(`advertise: "r:x"`), "FILE:3:1: cluster.cluster_advertise: invalid Cluster.Advertise value of r:x, err=")
	},
	"cluster.connect_retries": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		r.recluster(t, "connect_retries: 2")
		c, route := routeOf14(t, routes, "teller")
		route.Say(c.Connect() + c.Info())
		gone := wire.Listen(t, "gone", false)
		gone.Routes.Close()
		route.Say(strings.Replace(gone.Info(), `"max_payload"`, fmt.Sprintf(`"ip":"nats-route://127.0.0.1:%d/","max_payload"`, gone.Port()), 1))
		for range 3 {
			r.await(t, `Error trying to connect to route: `)
		}
	},
	"cluster.compression": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		route := wire.Dial(t, routes)
		route.Say(`CONNECT {"verbose":false,"name":"aaaaaaaaaaaaaaaaaaaaaa"}`,
			`INFO {"server_id":"aaaaaaaaaaaaaaaaaaaaaa","version":"1.5.0","proto":1,"compression":"s2_fast"}`, "PING")
		route.HearAfter("PONG")
		r.recluster(t, "compression: s2_best")
		if info := route.HearAfter("INFO "); !strings.Contains(info, `"compression":"s2_best"`) {
			t.Errorf("got %q, want the new compression", info)
		}
		route.HearAfter("LINK s2")
	},
	"cluster.pool_size": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		other, _, _ := clusteredProcess(t, "", "pool_size: 3\n"+routeTo("", routes))
		r.await(t, `Route connection created$`)
		other.await(t, `Route connection created$`)
		r.recluster(t, "pool_size: 2")
		other.await(t, `Route connection created$`) // the first one may log it before the end of the reload
	},
	"cluster.prefer_local": func(t *testing.T) {
		r, routes := spawnClustered(t, "")
		r.recluster(t, "prefer_local: true")
		c, route := routeOf14(t, routes, "far")
		route.Say(c.Connect() + c.Info() + "SUB work q QRSID:1:1\r\nPING\r\n")
		route.Hear("PONG")
		near := quiet(t, r.addr)
		near.Say("SUB work q 1", "PING")
		near.Want("PONG")
		for range 50 {
			near.Say("PUB work 0", "")
			near.Want("MSG work 1 0", "")
		}
	},
	"cluster.permissions": func(t *testing.T) {
		reloadedExports(t, "permissions { export: { deny: shut } }")
	},
	"cluster.authorization.permissions": func(t *testing.T) {
		reloadedExports(t, "authorization { permissions { export: { deny: shut } } }")
	},
	"cluster.authorization.user":     reloadedRouteLogin,
	"cluster.authorization.password": reloadedRouteLogin,
	"cluster.authorization.timeout": func(t *testing.T) {
		r, routes := spawnClustered(t, "authorization { user: u, password: p, timeout: 600 }")
		r.recluster(t, "authorization { user: u, password: p, timeout: 0.05 }")
		route := wire.Open(t, routes)
		route.Hear("INFO ")
		route.End("-ERR 'authorization timeout'")
	},
	"cluster.tls.cert_file": reloadedRouteTLS,
	"cluster.tls.key_file":  reloadedRouteTLS,
	"cluster.tls.ca_file":   reloadedRouteTLS,
	"cluster.tls.verify":    reloadedRouteTLS,
	"cluster.tls.timeout": func(t *testing.T) {
		dir := certFiles(t)
		block := func(timeout string) string {
			return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, timeout: %s }", dir+"/srva-cert.pem", dir+"/srva-key.pem", dir+"/ca.pem", timeout)
		}
		r, routes := spawnClustered(t, block("600"))
		r.recluster(t, block("0.01"))
		wire.Open(t, routes)
		r.await(t, `\[ERR\] .* TLS route handshake error: .*i/o timeout$`)
	},
	"cluster.tls.cipher_suites": func(t *testing.T) {
		r, routes, dir := spawnSecuredRoutes(t)
		r.recluster(t, routeBlock(dir, "srva", `cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`))
		c := clientTLS(t, dir, "srvb")
		c.MaxVersion = tls.VersionTLS12
		state, err := handshake(routes, c)
		if got := tls.CipherSuiteName(state.CipherSuite); err != nil || got != "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" {
			t.Errorf("got %s, %v", got, err)
		}
	},
	"cluster.tls.curve_preferences": func(t *testing.T) {
		r, routes, dir := spawnSecuredRoutes(t)
		r.recluster(t, routeBlock(dir, "srva", "curve_preferences: [CurveP384]"))
		if state, err := handshake(routes, clientTLS(t, dir, "srvb")); err != nil || state.CurveID != tls.CurveP384 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
	},
	"cluster.tls.min_version": func(t *testing.T) {
		r, routes, dir := spawnSecuredRoutes(t)
		r.recluster(t, routeBlock(dir, "srva", `min_version: "1.3"`))
		c := clientTLS(t, dir, "srvb")
		c.MaxVersion = tls.VersionTLS12
		if _, err := handshake(routes, c); err == nil {
			t.Error("TLS 1.2 was spoken")
		}
	},
}

// routeBlock is a tls block for routes.
func routeBlock(dir, name, more string) string {
	return tlsBlock(dir, name, fmt.Sprintf("ca_file: %q\n%s", dir+"/ca.pem", more))
}

func spawnSecuredRoutes(t *testing.T) (r *reloadable, routes, dir string) {
	t.Helper()
	dir = certFiles(t)
	r, routes = spawnClustered(t, routeBlock(dir, "srva", ""))
	return r, routes, dir
}

// reloadedRouteTLS turns TLS of routes on, changes the certificate and the authorities, and turns
// it off; the first route stays.
func reloadedRouteTLS(t *testing.T) {
	dir := certFiles(t)
	r, routes := spawnClustered(t, "")
	c, plain := routeOf14(t, routes, "plain")
	plain.Say(c.Connect() + c.Info())
	plain.Sync()
	for _, name := range []string{"srva", "server"} {
		r.recluster(t, routeBlock(dir, name, ""))
		state, err := handshake(routes, clientTLS(t, dir, "srvb"))
		if err != nil || state.PeerCertificates[0].Subject.CommonName != name {
			t.Errorf("got %v, want the certificate of %s", err, name)
		}
		if _, err := handshake(routes, clientTLS(t, dir, "")); err == nil {
			t.Error("a server without a certificate was let in")
		}
	}
	r.recluster(t, routeBlock(dir, "server", "verify: true"))
	r.recluster(t, tlsBlock(dir, "server", fmt.Sprintf("ca_file: %q", certFiles(t)+"/ca.pem")))
	if _, err := handshake(routes, clientTLS(t, dir, "srvb")); err == nil {
		t.Error("the certificate of another authority was taken")
	}
	must(t, os.WriteFile(dir+"/server-key.pem", nil, 0o600))
	r.refuses(t, clusterText(routeBlock(dir, "server", "")), "cluster.tls.key_file: error parsing X509 certificate/key pair: ")
	r.recluster(t, "")
	greeting(t, routes)
	plain.Sync()
}

// reloadedRouteLogin has a server that knows the password until it changes.
func reloadedRouteLogin(t *testing.T) {
	r, routes := spawnClustered(t, "authorization { user: u, password: p }")
	right, _, _ := clusteredProcess(t, "debug: true", routeTo("u:p@", routes))
	right.await(t, `Registering remote route "\w+"$`)
	r.recluster(t, "authorization { user: u, password: x }")
	r.logged(t, `rid:\d+ - authorization error$`)
	right.await(t, `Route Error 'Authorization Violation'$`)
	r.recluster(t, "authorization { user: v, password: p }")
	other, _, _ := clusteredProcess(t, "debug: true", routeTo("v:p@", routes))
	other.await(t, `Registering remote route "\w+"$`)
}

// reloadedExports keeps a subject to itself that went over the route before.
func reloadedExports(t *testing.T, block string) {
	r, routes := spawnClustered(t, "")
	c, route := routeOf14(t, routes, "peer")
	route.Say(c.Connect() + c.Info() + "SUB shut  RSID:1:1\r\nSUB open  RSID:1:2\r\n")
	route.Sync()
	pub := quiet(t, r.addr)
	publish := func() {
		pub.Say("PUB shut 0", "", "PUB open 0", "")
	}
	publish()
	route.WantInAnyOrder("MSG shut RSID:1:1 0\r\n", "\r\n", "MSG open RSID:1:2 0\r\n", "\r\n")
	r.recluster(t, block)
	route.Hear("INFO ")
	publish()
	route.WantInAnyOrder("MSG open RSID:1:2 0\r\n", "\r\n")
	route.Sync()
}

// TestAReloadReachesARouteThatLogsIn reloads while a server that connects has read INFO and said
// nothing yet.
func TestAReloadReachesARouteThatLogsIn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"pool_size: 2":                           `"pool_size":2`,
		"compression: s2_best":                   `"compression":"s2_best"`,
		"permissions { export: { deny: shut } }": `"deny":["shut"]`,
		`advertise: "r.example:77"`:              `"host":"r.example"`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			r, routes := spawnClustered(t, "")
			route := wire.Open(t, routes)
			route.Hear("INFO ")
			r.recluster(t, text)
			route.Say(`CONNECT {"verbose":false,"name":"aaaaaaaaaaaaaaaaaaaaaa"}`,
				`INFO {"server_id":"aaaaaaaaaaaaaaaaaaaaaa","version":"1.5.0","proto":1,"pool_size":3}`)
			if info := route.HearAfter("INFO "); !strings.Contains(info, want) {
				t.Errorf("got %q, want %s in it", info, want)
			}
		})
	}
}
