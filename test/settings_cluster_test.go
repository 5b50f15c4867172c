//go:build unix

package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/test/wire"
)

// This file shows what the settings of the cluster do.

// clusteredProcess starts a broker that listens for others, and returns where clients and routes
// connect.
func clusteredProcess(t *testing.T, text, inCluster string, args ...string) (p *process, clients, routes string) {
	t.Helper()
	p, clients = configured(t, text+"\ncluster {\nlisten: \"127.0.0.1:-1\"\n"+inCluster+"\n}", args...)
	return p, clients, p.await(t, `Listening for route connections on (\S+)$`)[1]
}

// routeTo is a routes setting that leads to one broker.
func routeTo(user, routes string) string {
	return fmt.Sprintf("routes: [ \"nats-route://%s%s\" ]\n", user, routes)
}

// pairOf starts two brokers that know each other, the first with these settings in its cluster
// block.
func pairOf(t *testing.T, inFirst string) (first, second string) {
	t.Helper()
	a, first, routes := clusteredProcess(t, "", inFirst)
	b, second, _ := clusteredProcess(t, "", routeTo("", routes))
	a.await(t, `Route connection created$`)
	b.await(t, `Route connection created$`)
	return first, second
}

// subscribed has a client that subscribes to subjects, and to one called known, once the broker at
// other knows.
func subscribed(t *testing.T, addr, other string, subjects ...string) <-chan *nats.Msg {
	t.Helper()
	nc, err := goClient("nats://" + addr)
	must(t, err)
	t.Cleanup(nc.Close)
	all := make(chan *nats.Msg, 1024)
	for _, subject := range append(subjects, "known") {
		_, err = nc.ChanSubscribe(subject, all)
		must(t, err)
	}
	flush(t, nc)
	teller, err := goClient("nats://" + other)
	must(t, err)
	defer teller.Close()
	eventually(t, "interest", func() bool {
		must(t, teller.Publish("known", nil))
		flush(t, teller)
		select {
		case <-all:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	return all
}

var clusterEffects = map[string]func(*testing.T){
	"--cluster": func(t *testing.T) {
		spawn(t, "--cluster", "nats://localhost:-1").await(t, `Listening for route connections on localhost:[1-9]\d*$`)
	},
	"cluster.listen": func(t *testing.T) {
		port := freePort(t)
		spawn(t, "-c", writeConfig(t, fmt.Sprintf("cluster { listen: \"127.0.0.1:%d\" }", port))).await(t, fmt.Sprintf(`Listening for route connections on 127\.0\.0\.1:%d$`, port))
	},
	"cluster.host": func(t *testing.T) {
		spawn(t, "-c", writeConfig(t, "cluster { host: localhost, port: -1 }")).await(t, `Listening for route connections on localhost:[1-9]\d*$`)
	},
	"cluster.port": func(t *testing.T) {
		port := freePort(t)
		spawn(t, "-c", writeConfig(t, fmt.Sprintf("cluster { host: 127.0.0.1, port: %d }", port))).await(t, fmt.Sprintf(`Listening for route connections on 127\.0\.0\.1:%d$`, port))
	},
	"cluster.also_listen": func(t *testing.T) {
		p := spawn(t, "-c", writeConfig(t, `cluster { listen: ["127.0.0.1:-1", "127.0.0.2:-1"] }`))
		p.await(t, `Listening for route connections on 127\.0\.0\.1:[1-9]\d*$`)
		p.await(t, `Listening for route connections on 127\.0\.0\.2:[1-9]\d*$`)
	},
	"cluster.name": func(t *testing.T) {
		_, clients, _ := clusteredProcess(t, "", "name: mine")
		if got := greeting(t, clients).Cluster; got != "mine" {
			t.Errorf("got cluster %q in INFO", got)
		}
		first, _, routes := clusteredProcess(t, "", "name: mine")
		second := spawn(t, "--cluster", "nats://127.0.0.1:-1", "--cluster_name", "yours", "--routes", "nats://"+routes)
		first.await(t, `\[ERR\] .* - Route refused: server "\w+" is in cluster "yours", this server in cluster "mine"; servers of one cluster need the same cluster name, or none$`)
		second.await(t, `\[ERR\] .* - Route refused: server "\w+" is in cluster "mine", this server in cluster "yours"; `)
	},
	"cluster.routes": func(t *testing.T) { pairOf(t, "") },
	"cluster.no_advertise": func(t *testing.T) {
		for _, silent := range []bool{false, true} {
			_, _, routes := clusteredProcess(t, "", fmt.Sprintf("no_advertise: %v", silent))
			if got := greeting(t, routes).ClientConnectURLs; (len(got) == 0) != silent {
				t.Errorf("no_advertise %v: got %q for clients of other servers", silent, got)
			}
		}
	},
	"cluster.cluster_advertise": func(t *testing.T) {
		_, _, routes := clusteredProcess(t, "", `cluster_advertise: "me.example:77"`)
		if got := greeting(t, routes); got.Host != "me.example" || got.Port != 77 {
			t.Errorf("got %s:%d for other servers", got.Host, got.Port)
		}
	},
	"cluster.connect_retries": func(t *testing.T) {
		p, _, routes := clusteredProcess(t, "debug: true", "connect_retries: 2")
		r := wire.Open(t, routes)
		r.Hear("INFO ")
		gone := freePort(t)
		r.Say(`CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"name":"aaaaaaaaaaaaaaaaaaaaaa"}` + "\r\n" +
			infoOfServer("aaaaaaaaaaaaaaaaaaaaaa", 1, "") + infoOfServer("bbbbbbbbbbbbbbbbbbbbbb", gone, fmt.Sprintf(`,"ip":"nats-route://127.0.0.1:%d/"`, gone)))
		for range 3 {
			p.await(t, fmt.Sprintf(`Error trying to connect to route: dial tcp 127\.0\.0\.1:%d: `, gone))
		}
		r.Sync()
	},
	"cluster.compression": func(t *testing.T) {
		_, _, routes := clusteredProcess(t, "", "compression: { mode: s2_auto, rtt_thresholds: [10ms, 50ms, 100ms] }")
		r := wire.Dial(t, routes)
		r.Say(`CONNECT {"verbose":false,"name":"aaaaaaaaaaaaaaaaaaaaaa"}`,
			`INFO {"server_id":"aaaaaaaaaaaaaaaaaaaaaa","version":"1.5.0","proto":1,"compression":"accept"}`)
		r.HearAfter("LINK s2")
	},
	"cluster.pool_size": func(t *testing.T) {
		a, _, routes := clusteredProcess(t, "", "pool_size: 3")
		clusteredProcess(t, "", "pool_size: 2\n"+routeTo("", routes))
		for range 2 {
			a.await(t, `Route connection created$`)
		}
	},
	"cluster.prefer_local": func(t *testing.T) {
		first, second := pairOf(t, "prefer_local: true")
		far, err := goClient("nats://" + second)
		must(t, err)
		defer far.Close()
		_, err = far.QueueSubscribe("work", "q", func(*nats.Msg) { t.Error("a member elsewhere got work") })
		must(t, err)
		flush(t, far)
		subscribed(t, second, first)
		near, err := goClient("nats://" + first)
		must(t, err)
		defer near.Close()
		sub, err := near.QueueSubscribeSync("work", "q")
		must(t, err)
		for range 50 {
			must(t, near.Publish("work", nil))
		}
		for range 50 {
			next(t, sub)
		}
		flush(t, far)
	},
	"cluster.permissions":               exports("permissions { export: { deny: shut } }"),
	"cluster.authorization.permissions": exports("authorization { permissions { export: { deny: shut } } }"),
	"cluster.authorization":             routeLogin,
	"cluster.authorization.user":        routeLogin,
	"cluster.authorization.password":    routeLogin,
	"cluster.authorization.timeout": func(t *testing.T) {
		_, _, routes := clusteredProcess(t, "", "authorization { user: r, password: p, timeout: 0.01 }")
		r := wire.Open(t, routes)
		r.Hear("INFO ")
		r.End("-ERR 'authorization timeout'")
	},
	"cluster.authorization.token": func(t *testing.T) {
		if _, stderr, code := run(t, "-c", writeConfig(t, "cluster { port: -1, authorization { token: x } }")); code != 1 || !strings.Contains(stderr, "cluster authorization does not allow a token") {
			t.Errorf("got exit %d, %s", code, stderr)
		}
	},
	"cluster.authorization.users": func(t *testing.T) {
		if _, stderr, code := run(t, "-c", writeConfig(t, "cluster { authorization { users: [] } }")); code != 1 || !strings.Contains(stderr, "cluster authorization does not allow multiple users") {
			t.Errorf("got exit %d, %s", code, stderr)
		}
	},
}

// infoOfServer is the INFO of a server of 1.4.1 that listens for routes at a port.
func infoOfServer(id string, port int, more string) string {
	return fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":%d,"max_payload":1048576%s}`, id, port, more) + " \r\n"
}

// exports has a broker that keeps one subject to itself.
func exports(block string) func(*testing.T) {
	return func(t *testing.T) {
		first, second := pairOf(t, block)
		received := subscribed(t, second, first, "open", "shut")
		nc, err := goClient("nats://" + first)
		must(t, err)
		defer nc.Close()
		for _, subject := range []string{"shut", "open"} {
			must(t, nc.Publish(subject, nil))
		}
		flush(t, nc)
		for subject := ""; subject != "open"; {
			if subject = await(t, received, "message").Subject; subject == "shut" {
				t.Fatal("a subject that is denied went over the route")
			}
		}
	}
}

// routeLogin has servers with the right and the wrong password.
func routeLogin(t *testing.T) {
	p, _, routes := clusteredProcess(t, "", "authorization { user: r, password: "+hashOfSecret+" }")
	wrong, _, _ := clusteredProcess(t, "", routeTo("r:wrong@", routes))
	wrong.await(t, `Route Error 'Authorization Violation'$`)
	p.await(t, `rid:\d+ - authorization error$`)
	right, _, _ := clusteredProcess(t, "debug: true", routeTo("r:secret@", routes))
	right.await(t, `Registering remote route "\w+"$`)
}
