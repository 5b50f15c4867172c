package netio

import (
	"net"
	"testing"
	"time"
)

// TestPollerWakesOnce watches sockets that get bytes, lose their peer, or nothing.
func TestPollerWakesOnce(t *testing.T) {
	t.Parallel()
	ready := make(chan uint64, 100)
	p, err := OpenPoller(func(key uint64) { ready <- key })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var near, far [3]net.Conn
	for i := range near {
		if near[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if far[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		defer near[i].Close()
		defer far[i].Close()
	}
	next := func(want uint64) {
		t.Helper()
		select {
		case got := <-ready:
			if got != want {
				t.Fatalf("got key %#x, want %#x", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no call for key %#x", want)
		}
	}
	const first = 0xfedcba98_76543210 // keys have 64 bits
	watch := func(i int) {
		t.Helper()
		if err := p.Watch(far[i], first+uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range far {
		watch(i)
	}
	near[1].Write([]byte("1"))
	next(first + 1)
	near[1].Write([]byte("2")) // it is not watched any more
	near[2].Close()
	next(first + 2)
	watch(1) // there is something to read
	next(first + 1)
	near[0].Write([]byte("0"))
	next(first)
	p.Close()
	if err := p.Watch(far[0], 1); err == nil {
		t.Error("a closed Poller watches a socket")
	}
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if err := p.Watch(here, 1); err == nil {
		t.Error("a connection in memory is watched")
	}
	if len(ready) > 0 {
		t.Errorf("key %#x once more", <-ready)
	}
}
