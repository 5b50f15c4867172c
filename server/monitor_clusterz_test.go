package server

import (
	"strings"
	"testing"
)

func TestClusterzAsksTheOtherServers(t *testing.T) {
	t.Parallel()
	hub := monitored(t, Options{ServerName: "hub", Cluster: ClusterOpts{Host: "127.0.0.1", Port: RandomPort}})
	to := RoutesFromStr("nats-route://" + hub.ClusterAddr().String())
	spoke := func(o Options) *Server {
		o.Cluster, o.Routes = ClusterOpts{Host: "127.0.0.1", Port: RandomPort}, to
		return monitored(t, o)
	}
	well := spoke(Options{ServerName: "well", HTTPBasePath: "/a/b"})
	closed := spoke(Options{ServerName: "closed", HTTPUsername: "me", HTTPPassword: "pw"})
	leaving := spoke(Options{ServerName: "leaving"})
	leaving.lameDuck.Store(true)
	mute := broker(t, func(o *Options) {
		o.ServerName, o.Routes = "mute", to
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
	})
	meshed(t, hub, well, closed, leaving, mute)
	z := decode[Clusterz](t, hub, "/clusterz")
	got := map[string]ClusterServer{}
	for _, one := range z.Servers {
		got[one.Name] = one
	}
	if len(z.Servers) != 5 || z.Servers[0].Name != "hub" || z.Servers[0].Status != StatusOK {
		t.Errorf("got %+v", z.Servers)
	}
	if one := got["well"]; one.Status != StatusOK || one.Error != "" || one.MonitorURL != "http://"+well.MonitorAddr().String()+"/a/b/" {
		t.Errorf("got %+v", one)
	}
	if one := got["leaving"]; one.Status != StatusWarning || len(one.Conditions) != 1 {
		t.Errorf("got %+v", one)
	}
	if one := got["closed"]; one.Status != "" || one.Error != "its monitoring port asks for a login" {
		t.Errorf("got %+v", one)
	}
	if one := got["mute"]; one.Status != "" || !strings.Contains(one.Error, "no monitoring port") {
		t.Errorf("got %+v", one)
	}
	if again, _ := hub.Clusterz(nil); !again.Now.Equal(z.Now) {
		t.Error("the others are asked again at once")
	}
}

func TestAPeerCannotHaveOtherPlacesAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, host, want string }{
		{"http://:8222/", "10.0.0.1", "http://10.0.0.1:8222/"},
		{"https://10.0.0.1:8222/base/", "10.0.0.1", "https://10.0.0.1:8222/base/"},
		{"http://[::1]:8222/", "::1", "http://[::1]:8222/"},
		{"http://127.0.0.1:8222/", "10.0.0.1", ""},
		{"http://169.254.169.254:80/", "10.0.0.1", ""},
		{"javascript:alert(1)", "10.0.0.1", ""},
		{"http://me:pw@:8222/", "10.0.0.1", ""},
		{"http://:8222/x?y=z", "10.0.0.1", ""},
		{"http://:8222/<b>", "10.0.0.1", ""},
		{"http://:0/", "10.0.0.1", ""},
		{"http://10.0.0.1/", "10.0.0.1", ""},
		{"", "10.0.0.1", ""},
		{"http://:8222/", "", ""},
	} {
		if got := peerMonitor(c.text, c.host); got != c.want {
			t.Errorf("%q at %q: got %q, want %q", c.text, c.host, got, c.want)
		}
	}
}
