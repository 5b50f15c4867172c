package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
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
	_, err := portURLs("nats", &net.TCPAddr{}, func() ([]net.Addr, error) { return nil, errFake })
	if want := "list own addresses: it does not work"; errText(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPortsFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		ports Ports
		want  string
	}{
		{"keys in order", Ports{Nats: []string{"nats://127.0.0.1:1"}, Monitoring: []string{"http://127.0.0.1:2"},
			Cluster: []string{"tls://127.0.0.1:3"}, Profile: []string{"http://127.0.0.1:4", "http://[::1]:4"}},
			`{"nats":["nats://127.0.0.1:1"],"monitoring":["http://127.0.0.1:2"],"cluster":["tls://127.0.0.1:3"],"profile":["http://127.0.0.1:4","http://[::1]:4"]}`},
		{"what does not listen is absent", Ports{Nats: []string{"nats://127.0.0.1:1"}}, `{"nats":["nats://127.0.0.1:1"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path, err := writePortsFile(dir, tt.ports)
			must(t, err)
			wantPath := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid()))
			if path != wantPath {
				t.Errorf("path: got %s, want %s", path, wantPath)
			}
			got, err := os.ReadFile(path)
			must(t, err)
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			must(t, removePortsFile(path))
			must(t, removePortsFile(path))
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if path, err := writePortsFile(missing, Ports{}); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) != missing {
		t.Errorf("missing directory: got %s, %v", path, err)
	}
}
