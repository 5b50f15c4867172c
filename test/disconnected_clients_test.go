package test

import (
	"strings"
	"testing"
	"time"

	"gnatsd/server"
	"gnatsd/test/wire"
)

func TestReaderThatStopsIsDisconnectedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		set  func(*server.Options)
	}{
		{"by max_pending", func(o *server.Options) { o.MaxPending = 1 << 20 }},
		{"by write_deadline", func(o *server.Options) { o.WriteDeadline = 100 * time.Millisecond }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			opts := quietOptions()
			test.set(opts)
			s := Start(t, opts)
			stopped, reader, writer := wire.Dial(t, s.Addr().String()), wire.Dial(t, s.Addr().String()), wire.Dial(t, s.Addr().String())
			for _, c := range []*wire.Client{stopped, reader, writer} {
				c.Say(`CONNECT {"verbose":false}`)
			}
			for _, c := range []*wire.Client{stopped, reader} {
				c.Say("SUB foo 1", "PING")
				c.Want("PONG")
			}
			const size = 64 << 10
			payload := strings.Repeat("x", size) + "\r\n"
			for end := time.Now().Add(patience); s.NumClients() == 3; {
				if time.Now().After(end) {
					t.Fatal("the reader that stopped is still connected")
				}
				writer.Say("PUB foo 65536", payload)
				if err := reader.Expect("MSG foo 1 65536\r\n" + payload); err != nil {
					t.Fatal(err)
				}
			}
			if err := stopped.Dropped(); err != nil {
				t.Error(err)
			}
			for _, c := range []*wire.Client{reader, writer} {
				c.Sync()
			}
			if got := s.NumSlowConsumers(); got != 1 {
				t.Errorf("got %d slow consumers, want 1", got)
			}
		})
	}
}

func TestClientThatLeavesTakesItsSubscriptionsAlong(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	gone, stays := wire.Dial(t, s.Addr().String()), wire.Dial(t, s.Addr().String())
	gone.Say(`CONNECT {"verbose":false}`, "SUB foo 1", "SUB foo.* q 2", "SUB > 3", "PING")
	gone.Want("PONG")
	stays.Say(`CONNECT {"verbose":false}`, "SUB foo 1", "PING")
	stays.Want("PONG")
	if got := s.NumSubscriptions(); got != 4 {
		t.Errorf("got %d subscriptions, want 4", got)
	}
	gone.Close()
	for end := time.Now().Add(patience); s.NumSubscriptions() != 1 || s.NumClients() != 1; {
		if time.Now().After(end) {
			t.Fatalf("got %d subscriptions of %d clients, want 1 of 1", s.NumSubscriptions(), s.NumClients())
		}
		stays.Sync()
	}
}

func TestConnectionLimitFreesItsPlaces(t *testing.T) {
	t.Parallel()
	opts := quietOptions()
	opts.MaxConn = 1
	s := Start(t, opts)
	first := wire.Dial(t, s.Addr().String())
	first.Sync()
	wire.Dial(t, s.Addr().String()).Want("-ERR 'maximum connections exceeded'")
	first.Close()
	for end := time.Now().Add(patience); ; {
		if time.Now().After(end) {
			t.Fatal("the place of the client that left is still taken")
		}
		if c := wire.Dial(t, s.Addr().String()); c.Send("PING\r\n") == nil && c.Expect("PONG\r\n") == nil {
			return
		}
	}
}
