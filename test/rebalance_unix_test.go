//go:build unix

package test

import (
	"fmt"
	"strconv"
	"testing"

	"gnatsd/test/wire"
)

// operated is the accounts of a broker that operators ask over NATS.
const operated = `
accounts { SYS { users: [{ user: sys, password: s }] }, APP { users: [{ user: app, password: a }] } }
system_account: SYS
`

// operatedMember starts a broker of a mesh with a system account, and returns where clients and
// routes connect.
func operatedMember(t *testing.T, routes string) (p *process, clients, peers string) {
	t.Helper()
	p = spawn(t, "-c", writeConfig(t, operated+`cluster { listen: "127.0.0.1:-1", routes: [`+routes+`] }`))
	clients = p.addr(t)
	return p, clients, p.await(t, `Listening for route connections on (\S+)$`)[1]
}

// loggedIn connects a client as one of the users of operated.
func loggedIn(t *testing.T, addr, user string) *wire.Client {
	t.Helper()
	c := wire.Open(t, addr)
	c.ReadInfo()
	c.Do(fmt.Sprintf(`CONNECT {"verbose":false,"headers":true,"user":%q,"pass":%q}`, user, user[:1]))
	return c
}

// awaitServers waits until the server that a user of the system account is connected to knows n
// servers that answer requests.
func awaitServers(t *testing.T, sys *wire.Client, n int) {
	t.Helper()
	const subject = "$SYS.REQ.SERVER.PING"
	sys.Do("SUB _INBOX.servers 9")
	for known := ""; known != strconv.Itoa(n); {
		sys.Say(fmt.Sprintf("PUB $SYS.DEBUG.SUBSCRIBERS _INBOX.servers %d", len(subject)), subject)
		m, err := sys.Next()
		must(t, err)
		known = string(m.Payload)
	}
	sys.Do("UNSUB 9")
}

// TestSignalFlagRebalances has nine clients on one of three brokers, of which the idle ones above the
// mean are disconnected, and a broker without anywhere to send them.
func TestSignalFlagRebalances(t *testing.T) {
	t.Parallel()
	full, addr, peers := operatedMember(t, "")
	for range 2 {
		operatedMember(t, `"nats-route://`+peers+`"`)
	}
	awaitServers(t, loggedIn(t, addr, "sys"), 3)
	var apps []*wire.Client
	for range 9 {
		apps = append(apps, loggedIn(t, addr, "app"))
	}
	for _, busy := range apps[:3] { // those that connected last have been idle for longest
		busy.Do("PUB a 1", "x")
	}
	rebalance := func(p *process) {
		t.Helper()
		if stdout, stderr, code := run(t, "-sl", "rebalance="+strconv.Itoa(p.cmd.Process.Pid)); stdout+stderr != "" || code != 0 {
			t.Fatalf("got %q, %q, exit %d; want silence", stdout, stderr, code)
		}
	}
	rebalance(full)
	full.await(t, `Disconnecting 6 clients, those above the mean of 3 servers, 4 clients: asked for by a signal \(-sl rebalance\)$`)
	for _, idle := range apps[3:] {
		must(t, idle.Ended())
	}
	for _, busy := range apps[:3] {
		busy.Sync()
	}

	for config, want := range map[string]string{
		operated: `Clients are not rebalanced: no other server has answered: there is nowhere to send clients$`,
		"":       `Clients are not rebalanced: this needs a system account on every server`,
	} {
		alone := spawn(t, "-c", writeConfig(t, config))
		at := alone.addr(t)
		rebalance(alone)
		alone.await(t, want)
		conn := wire.Open(t, at)
		conn.ReadInfo() // it goes on
	}
}
