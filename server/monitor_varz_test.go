package server

import (
	"fmt"
	"net/url"
	"testing"
)

// TestVarzHasTheClusterAndTheTrafficOfClients sends messages to a server and to another one, through
// a route.
func TestVarzHasTheClusterAndTheTrafficOfClients(t *testing.T) {
	t.Parallel()
	other := startServer(t, nil)
	to := routeTo(t, other)
	to.User = url.UserPassword("u", "secret")
	s := startServer(t, func(o *Options) {
		o.Cluster.Name, o.Routes = "blue", []*url.URL{to}
	})
	meshed(t, s, other)
	here, there := dialClient(t, s), dialClient(t, other)
	here.Do("SUB in.* 1")
	there.Do("SUB out.* 1")
	interested(t, s, 2)
	interested(t, other, 2)
	here.Say("PUB out.x 3\r\nabc\r\n")
	there.Want("MSG out.x 1 3\r\nabc\r\n")
	there.Say("PUB in.x 5\r\nhello\r\n")
	here.Want("MSG in.x 1 5\r\nhello\r\n")
	here.Say("PUB in.x 1\r\na\r\n")
	here.Want("MSG in.x 1 1\r\na\r\n")
	v, err := s.Varz(nil)
	okay(t, err)
	got := fmt.Sprint(v.InMsgs, v.InBytes, v.OutMsgs, v.OutBytes, v.InClientMsgs, v.InClientBytes, v.OutClientMsgs, v.OutClientBytes)
	if want := "3 9 3 9 2 4 2 6"; got != want {
		t.Errorf("got messages and bytes in and out, of all and of clients, %s; want %s", got, want)
	}
	c := v.Cluster
	if c.Name != "blue" || c.Host != "127.0.0.1" || c.Port != s.ClusterAddr().Port || c.TLSTimeout != loginTime || fmt.Sprint(c.URLs) != "["+to.Host+"]" {
		t.Errorf("got %+v; want the name, the address, and the configured route without its password", c)
	}
	if v.SystemAccount != "$SYS" {
		t.Errorf("got the system account %q, want $SYS", v.SystemAccount)
	}
	alone, err := broker(t, nil).Varz(nil)
	okay(t, err)
	if fmt.Sprint(alone.Cluster) != fmt.Sprint(ClusterOptsVarz{}) {
		t.Errorf("got %+v without a cluster, want nothing", alone.Cluster)
	}
}
