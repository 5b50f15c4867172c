package server

import (
	"encoding/json"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPortURLs(t *testing.T) {
	t.Parallel()
	machine := func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.ParseIP("127.0.0.1"), Mask: net.CIDRMask(8, 32)},
			&net.IPNet{IP: net.ParseIP("::1"), Mask: net.CIDRMask(128, 128)},
			&net.IPAddr{IP: net.ParseIP("10.1.2.3")},
			&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}
	all := []string{"nats://127.0.0.1:4222", "nats://[::1]:4222", "nats://10.1.2.3:4222", "nats://[fe80::1]:4222"}
	tests := []struct {
		name string
		addr net.Addr
		want []string
	}{
		{"one address", &net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 22101}, []string{"nats://127.0.0.1:22101"}},
		{"one IPv6 address", &net.TCPAddr{IP: net.ParseIP("::1"), Port: 22101}, []string{"nats://[::1]:22101"}},
		{"all addresses", &net.TCPAddr{IP: net.IPv6unspecified, Port: 4222}, all},
		{"all addresses, as IPv4 says it", &net.TCPAddr{IP: net.IPv4zero, Port: 4222}, all},
		{"all addresses, left out", &net.TCPAddr{Port: 4222}, all},
		{"no listener", nil, nil},
		{"no listener of its type", (*net.TCPAddr)(nil), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := portURLs("nats", tt.addr, machine)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	_, err := portURLs("nats", &net.TCPAddr{}, func() ([]net.Addr, error) { return nil, io.EOF })
	if want := "list own addresses: EOF"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPortsInfoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{network: newPipeNet(), NoSigs: true})
		okay(t, err)
		begin := time.Now()
		if s.PortsInfo(time.Second) != nil || time.Since(begin) != time.Second {
			t.Errorf("before the start: got an answer after %v, want nil after 1s", time.Since(begin))
		}
		go s.Start() // ends with Shutdown
		if s.PortsInfo(time.Second) == nil {
			t.Error("after the start: got nil")
		}
		s.Shutdown()
	})
}

func TestPortsFileHasTheKeysOfItsListeners(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		ports Ports
		want  string
	}{
		{"keys in order", Ports{Nats: []string{"nats://127.0.0.1:1"}, Monitoring: []string{"http://127.0.0.1:2"},
			Cluster: []string{"tls://127.0.0.1:3"}, Profile: []string{"http://127.0.0.1:4", "http://[::1]:4"}},
			`{"nats":["nats://127.0.0.1:1"],"monitoring":["http://127.0.0.1:2"],"cluster":["tls://127.0.0.1:3"],"profile":["http://127.0.0.1:4","http://[::1]:4"]}`},
		{"what does not listen is absent", Ports{Nats: []string{"nats://127.0.0.1:1"}}, `{"nats":["nats://127.0.0.1:1"]}`},
	} {
		if got, err := json.Marshal(tt.ports); string(got) != tt.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}
