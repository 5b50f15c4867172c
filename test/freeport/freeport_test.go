package freeport

import (
	"net"
	"testing"
)

// TestPortsAreGivenOnce: a port that was given is not given again, although nothing listens on it yet.
// The system does not give it either, as long as its own ports do not begin at 10000 or below.
func TestPortsAreGivenOnce(t *testing.T) {
	t.Parallel()
	ours := map[int]bool{}
	for range 200 {
		port, err := Get()
		if err != nil {
			t.Fatal(err)
		}
		if ours[port] {
			t.Fatalf("port %d was given twice", port)
		}
		ours[port] = true
	}
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, addr := range []net.Addr{l.Addr(), nc.LocalAddr()} {
			if port := addr.(*net.TCPAddr).Port; ours[port] {
				t.Fatalf("the system gives port %d, too", port)
			}
		}
	}
}
