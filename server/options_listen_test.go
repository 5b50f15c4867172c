package server

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// TestAddressesThatExcludeEachOther has settings of which a start could open only one address.
func TestAddressesThatExcludeEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ config, want string }{
		{`listen: ["127.0.0.1:4222", "127.0.0.1:4222"]`, "FILE:1:28: listen: 127.0.0.1:4222 overlaps with 127.0.0.1:4222: only one of them can be listened on"},
		{`listen: ["127.0.0.1:4222", "0.0.0.0:4222"]`, "FILE:1:28: listen: 0.0.0.0:4222 overlaps with 127.0.0.1:4222: "},
		{`listen: ["[::]:4222", "127.0.0.1:4222"]`, "FILE:1:23: listen: 127.0.0.1:4222 overlaps with [::]:4222: "},
		{`listen: [4222, 4222]`, "FILE:1:16: listen: :4222 overlaps with :4222: "},
		{`listen: ["[::1]:4222", "[0:0:0:0:0:0:0:1]:4222"]`, "FILE:1:24: listen: [0:0:0:0:0:0:0:1]:4222 overlaps with [::1]:4222: "},
		{`listen: ["LOCALHOST:4222", "localhost:4222"]`, "FILE:1:28: listen: localhost:4222 overlaps with LOCALHOST:4222: "},
		{`listen: []`, "FILE:1:9: listen: the list of addresses is empty"},
		{`listen: ["127.0.0.1:4222", "::1:4222"]`, `FILE:1:28: listen: could not parse address string "::1:4222"`},
		{`listen: ["127.0.0.1:4222", "127.0.0.1:0"]`, "FILE:1:28: listen: port 0 in a list of addresses: give the port, or -1 for any free one"},
		{`listen: ["127.0.0.1:4222", true]`, "FILE:1:28: listen: want host:port or a port, have "},
		{"listen: [\"127.0.0.1:4222\", \"[::1]:4222\"]\nhost: 10.0.0.1", "FILE:2:1: host: listen has several addresses: put this into the list"},
		{"listen: [\"127.0.0.1:4222\", \"[::1]:4222\"]\nport: 5222", "FILE:2:1: port: listen has several addresses: put this into the list"},
		{"listen: 127.0.0.1:4222\nalso_listen: [\"127.0.0.1:4222\"]", "FILE:2:1: also_listen: 127.0.0.1:4222 overlaps with 127.0.0.1:4222 of port: "},
		{"listen: 127.0.0.1:4222\nhttp: 127.0.0.1:4222", "FILE:2:1: http_port: 127.0.0.1:4222 overlaps with 127.0.0.1:4222 of port: "},
		{"cluster { listen: 0.0.0.0:4222 }", "FILE:1:11: cluster.port: 0.0.0.0:4222 overlaps with 0.0.0.0:4222 of port: "},
		{`cluster { listen: ["127.0.0.1:6222", "127.0.0.1:6222"] }`, "FILE:1:38: cluster.listen: 127.0.0.1:6222 overlaps with 127.0.0.1:6222: "},
	} {
		file := filepath.Join(t.TempDir(), "x.conf")
		okay(t, os.WriteFile(file, []byte(tt.config), 0o600))
		o, err := ProcessConfigFile(file)
		if err == nil {
			if _, err = NewServer(o); err != nil {
				err = o.place(err)
			}
		}
		want := strings.ReplaceAll(tt.want, "FILE", file)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.config, err, want)
		}
	}
}

// TestAServerListensOnAllItsAddresses has two addresses for clients and two for routes.
func TestAServerListensOnAllItsAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, func(o *Options) {
		o.AlsoListen, o.Cluster.AlsoListen = []string{"127.0.0.2:-1"}, []string{"127.0.0.2:-1", "127.0.0.1:-1"}
		o.PortsFileDir = dir
	})
	addrs := addrTexts(s.clientAddrs())
	if len(addrs) != 2 || addrs[0] != s.Addr().String() || !strings.HasPrefix(addrs[1], "127.0.0.2:") {
		t.Fatalf("the server listens on %q", addrs)
	}
	clients := []*wire.Client{}
	for _, addr := range addrs {
		c := wire.Dial(t, addr)
		c.Sync()
		clients = append(clients, c)
	}
	routes := addrTexts(addrsOf(s.cluster.listening()))
	for i, addr := range routes {
		peer := wire.Listen(t, fmt.Sprint("peer", i), false)
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		okay(t, err)
		peer.Join(tcp).Sync()
	}
	eventually(t, "a route over each address", func() bool { return s.NumRoutes() == 3 })

	v, err := s.Varz(nil)
	okay(t, err)
	if !slices.Equal(v.AlsoListen, addrs[1:]) || !slices.Equal(v.Cluster.AlsoListen, routes[1:]) {
		t.Errorf("/varz has %q and %q, want %q and %q", v.AlsoListen, v.Cluster.AlsoListen, addrs[1:], routes[1:])
	}
	if got := s.cluster.adverts.ownURLs(); !slices.Equal(got, addrs) {
		t.Errorf("clients learn of %q, want %q", got, addrs)
	}
	ports := s.PortsInfo(patience)
	urls := func(addrs []string) (list []string) {
		for _, a := range addrs {
			list = append(list, "nats://"+a)
		}
		return list
	}
	if !slices.Equal(ports.Nats, urls(addrs)) || !slices.Equal(ports.Cluster, urls(routes)) {
		t.Errorf("got the ports %+v, want %q and %q", ports, addrs, routes)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
	if len(files) != 1 {
		t.Fatalf("ports files: %q", files)
	}
	text, err := os.ReadFile(files[0])
	okay(t, err)
	var written Ports
	okay(t, json.Unmarshal(text, &written))
	if !slices.Equal(written.Nats, ports.Nats) {
		t.Errorf("the ports file has %q, want %q", written.Nats, ports.Nats)
	}

	s.enterLameDuck()
	for _, addr := range addrs {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			t.Errorf("%s is open in lame duck mode", addr)
		}
	}
	s.Shutdown()
	for _, c := range clients {
		c.End()
	}
	for _, addr := range routes {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			t.Errorf("%s is open after the end", addr)
		}
	}
}

func addrTexts(addrs []net.Addr) (list []string) {
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

// TestAllAddressesAreOpenedOrNone has a second address that is in use.
func TestAllAddressesAreOpenedOrNone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.2:0")
	okay(t, err)
	defer taken.Close()
	for _, tt := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.AlsoListen = []string{taken.Addr().String()} }, fmt.Sprintf(`Error listening on port: %s, "listen tcp %[1]s: bind: address already in use"`, taken.Addr())},
		{func(o *Options) { o.Cluster.AlsoListen = []string{taken.Addr().String()} }, fmt.Sprintf(`Error listening on router port: %d - listen tcp %s: bind: address already in use`, taken.Addr().(*net.TCPAddr).Port, taken.Addr())},
	} {
		o := Defaults()
		o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		tt.change(o)
		s, err := NewServer(o)
		okay(t, err)
		log := newLineLog()
		s.SetLogger(log, false, false)
		if err := s.Run(); err == nil {
			t.Fatal("the server started")
		}
		if got := log.wait(t, "Error listening"); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestLoopbackAddressesAreNotAdvertisedBesideOthers(t *testing.T) {
	t.Parallel()
	none := func() ([]net.Addr, error) { return nil, nil }
	for _, tt := range []struct{ addrs, want string }{
		{"127.0.0.1:1 [::1]:1 localhost:2", "127.0.0.1:1 [::1]:1 localhost:2"},
		{"127.0.0.1:1 10.0.0.1:1 [::1]:1 10.0.0.2:3", "10.0.0.1:1 10.0.0.2:3"},
		{"10.0.0.1:1 127.0.0.1:1", "10.0.0.1:1"},
		{"host.example:1 localhost:1", "host.example:1"},
	} {
		got, err := allClientURLs(strings.Fields(tt.addrs), none)
		okay(t, err)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.addrs, got, tt.want)
		}
	}
}

// TestFlagsReplaceTheListOfAddresses has flags that say where to listen: there alone.
func TestFlagsReplaceTheListOfAddresses(t *testing.T) {
	t.Parallel()
	const config = `listen: ["10.0.0.1:4222", "127.0.0.1:4223"]
cluster { listen: ["10.0.0.1:6222", "127.0.0.1:6222"] }`
	for _, tt := range []struct {
		flags string
		want  string
	}{
		{"", "10.0.0.1:4222 [127.0.0.1:4223], 10.0.0.1:6222 [127.0.0.1:6222]"},
		{"-p 5222", "10.0.0.1:5222 [], 10.0.0.1:6222 [127.0.0.1:6222]"},
		{"-a 127.0.0.1", "127.0.0.1:4222 [], 10.0.0.1:6222 [127.0.0.1:6222]"},
		{"--cluster nats://127.0.0.1:7222", "10.0.0.1:4222 [127.0.0.1:4223], 127.0.0.1:7222 []"},
	} {
		o, err := configured(t, config, strings.Fields(tt.flags)...)
		okay(t, err)
		got := fmt.Sprintf("%s:%d %v, %s:%d %v", o.Host, o.Port, o.AlsoListen, o.Cluster.Host, o.Cluster.Port, o.Cluster.AlsoListen)
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.flags, got, tt.want)
		}
	}
}

// TestReloadOfSeveralAddresses reloads files that say the same in other words, and one that does not.
func TestReloadOfSeveralAddresses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.conf")
	write := func(text string) { t.Helper(); okay(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`listen: ["127.0.0.1:-1", "127.0.0.2:-1"]`)
	o, err := ProcessConfigFile(file)
	okay(t, err)
	s := startServer(t, func(d *Options) { *d = *o; d.NoSigs = true })
	okay(t, s.Reload())
	addrs := addrTexts(s.clientAddrs())
	write(fmt.Sprintf("listen: [%q, %q]", addrs[0], addrs[1]))
	okay(t, s.Reload())
	write(`listen: ["127.0.0.1:-1", "127.0.0.2:-1"]`)
	okay(t, s.Reload())
	write(`listen: ["127.0.0.1:-1", "127.0.0.3:-1"]`)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "config reload not supported for AlsoListen: old=") || !strings.Contains(err.Error(), file+":1:1") {
		t.Errorf("got %v for another address", err)
	}
	wire.Dial(t, addrs[1]).Sync()
}

// TestAHostThatAnotherKeyReplaces has keys that say where to listen, of which the last one counts.
func TestAHostThatAnotherKeyReplaces(t *testing.T) {
	t.Parallel()
	const all = " would have no effect: the server would listen on all addresses"
	const warn = " has no effect: this counts"
	for _, tt := range []struct {
		config string
		flags  string
		want   string // the error, or the warning behind "W ", or none
	}{
		{"host: 127.0.0.1\nlisten: 4222", "", "2:1: listen: host at FILE:1:1" + all},
		{"net: 127.0.0.1\nlisten: \":4222\"", "", "2:1: listen: host at FILE:1:1" + all},
		{"host: 127.0.0.1\nlisten: \"0.0.0.0:4222\"", "", "2:1: listen: host at FILE:1:1" + all},
		{"host: 127.0.0.1\nlisten: [\"127.0.0.1:4222\", \"[::]:4223\"]", "", "2:1: listen: host at FILE:1:1" + all},
		{"listen: 127.0.0.1:4222\nhost: 0.0.0.0", "", "2:1: host: the host of listen at FILE:1:1" + all},
		{"http: 127.0.0.1:8222\nhttp_host: 0.0.0.0", "", "2:1: http_host: the host of http at FILE:1:1" + all},
		{"http_host: 127.0.0.1\nhttp: 8222", "", "2:1: http: http_host at FILE:1:1" + all},
		{"cluster {\nlisten: 127.0.0.1:6222\nport: 6223\nhost: 0.0.0.0 }", "", "4:1: cluster.host: the host of cluster.listen at FILE:2:1" + all},
		{"net: 127.0.0.1\nhost: 0.0.0.0", "", "2:1: host: host at FILE:1:1" + all},
		{"listen: 127.0.0.1:4222\nnet: 127.0.0.1\nhost: \"\"", "", "3:1: host: host at FILE:2:1" + all},
		{"host: 127.0.0.1\nlisten: 4222\nport: x", "", "2:1: listen: host at FILE:1:1" + all},

		{"host: 127.0.0.1\nlisten: 10.0.0.1:4222", "", "W 2:1: listen: host at FILE:1:1" + warn},
		{"listen: 127.0.0.1:4222\nport: 4223", "", "W 2:1: port: the port of listen at FILE:1:1" + warn},
		{"host: 0.0.0.0\nlisten: 127.0.0.1:4222", "", "W 2:1: listen: host at FILE:1:1" + warn},
		{"http: 127.0.0.1:8222\nmonitor_port: 8223", "", "W 2:1: http_port: the port of http at FILE:1:1" + warn},

		{"host: 127.0.0.1\nport: 4222\nlisten: 127.0.0.1:4222", "", ""},
		{"host: \"::1\"\nlisten: \"[0:0::1]:4222\"", "", ""},
		{"listen: 4222\nhost: 127.0.0.1", "", ""},
		{"host: 0.0.0.0\nlisten: 4222", "", ""},
		{"host: localhost\nhttp: 8222", "", ""},
		{"host: localhost\nhttp_host: localhost\nhttp: 8222", "", ""},
		{"HOST = 127.0.0.1\nlisten: 4222\nhost: $HOST", "", ""},
		{"host: 127.0.0.1\nlisten: 4222", "-a 0.0.0.0", ""},
	} {
		file := writeConfig(t, tt.config)
		o, err := configured(t, "", append([]string{"-c", file}, strings.Fields(tt.flags)...)...)
		got := ""
		switch {
		case err != nil:
			got, _, _ = strings.Cut(err.Error(), "\n")
		case len(o.loaded.warnings) > 0:
			got = "W " + strings.Join(o.loaded.warnings, "\n")
		}
		got = strings.ReplaceAll(strings.Replace(got, file+":", "", 1), file, "FILE")
		if got != tt.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", tt.config, tt.flags, got, tt.want)
		}
	}
}

// TestAnIncludedHostMayBeReplaced replaces the host of an included file, but not by a port alone.
func TestAnIncludedHostMayBeReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "y.conf", "host: 127.0.0.1")
	for _, tt := range []struct {
		config  string
		refused bool
	}{
		{"include y.conf\nlisten: \"0.0.0.0:4222\"", false},
		{"include y.conf\nlisten: \"10.0.0.1:4222\"", false},
		{"include y.conf\nlisten: 4222", true},
	} {
		put(t, dir, "x.conf", tt.config)
		o, err := ProcessConfigFile(filepath.Join(dir, "x.conf"))
		if (err != nil) != tt.refused || o != nil && len(o.loaded.warnings) > 0 {
			t.Errorf("%s: got %v", tt.config, err)
		}
	}
}
