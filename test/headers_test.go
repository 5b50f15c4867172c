package test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
)

func TestGoClientHeaders(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s), natsConnect(t, s)
	if !a.HeadersSupported() {
		t.Fatal("INFO does not announce headers")
	}
	sub := subscribe(t, a, "h.*")
	for _, size := range []int{0, 1, 5000, 100_000, 1<<20 - 1000} {
		sent := nats.NewMsg("h.x")
		sent.Reply = "some.where"
		sent.Header.Add("A", "one")
		sent.Header.Add("A", "two")
		sent.Header.Set("lower-Case", strings.Repeat("v", 500))
		sent.Data = bytes.Repeat([]byte{'d'}, size)
		must(t, b.PublishMsg(sent))
		got := next(t, sub)
		if fmt.Sprint(got.Header) != fmt.Sprint(sent.Header) || got.Reply != sent.Reply || !bytes.Equal(got.Data, sent.Data) {
			t.Errorf("payload of %d bytes: got %v, %d bytes; want %v", size, got.Header, len(got.Data), sent.Header)
		}
	}
	tooLarge := nats.NewMsg("h.x")
	tooLarge.Header.Set("A", "b")
	tooLarge.Data = make([]byte, b.MaxPayload())
	if err := b.PublishMsg(tooLarge); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("headers and payload above the limit: got %v, want %v", err, nats.ErrMaxPayload)
	}
}

func TestGoClientRequestWithoutRespondersFailsAtOnce(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	for name, opts := range map[string][]nats.Option{
		"one inbox for all requests": nil,
		"an inbox for each request":  {nats.UseOldRequestStyle()},
		"no echo":                    {nats.NoEcho()},
		"an inbox of its own":        {nats.CustomInboxPrefix("_MINE")},
	} {
		t.Run(name, func(t *testing.T) {
			nc := natsConnect(t, s, opts...)
			for range 3 {
				if _, err := nc.Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
					t.Fatalf("got %v, want %v", err, nats.ErrNoResponders)
				}
			}
			withHeaders := nats.NewMsg("nobody")
			withHeaders.Header.Set("A", "b")
			if _, err := nc.RequestMsg(withHeaders, patience); !errors.Is(err, nats.ErrNoResponders) {
				t.Fatalf("with headers: got %v, want %v", err, nats.ErrNoResponders)
			}
		})
	}
}

func TestGoClientGetsTheStatusMessage(t *testing.T) {
	t.Parallel()
	nc := natsConnect(t, Start(t, nil))
	messages := make(chan *nats.Msg, 1)
	_, err := nc.ChanSubscribe("inbox", messages)
	must(t, err)
	must(t, nc.PublishRequest("nobody.there", "inbox", []byte("hello")))
	got := await(t, messages, "status message")
	if got.Header.Get("Status") != "503" || got.Header.Get("Nats-Subject") != "nobody.there" || len(got.Data) != 0 {
		t.Errorf("got %v with %d bytes, want status 503 for nobody.there with none", got.Header, len(got.Data))
	}
}

func TestGoClientDrainsAQueueSubscription(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	pub := natsConnect(t, s)
	const messages = 2000
	var handled atomic.Int64
	all := make(chan bool)
	work := func(*nats.Msg) {
		if handled.Add(1) == messages {
			close(all)
		}
	}
	var subs []*nats.Subscription
	for range 3 {
		nc := natsConnect(t, s)
		sub, err := nc.QueueSubscribe("work", "q", work)
		must(t, err)
		flush(t, nc)
		subs = append(subs, sub)
	}
	for i := range messages {
		must(t, pub.Publish("work", nil))
		switch i {
		case messages / 3:
			must(t, subs[0].Drain())
		case messages / 2:
			must(t, subs[1].Drain())
		}
	}
	flush(t, pub)
	await(t, all, "last message")
}

func TestInfoLargerThanARead(t *testing.T) {
	t.Parallel()
	s := Start(t, &server.Options{
		ServerName: strings.Repeat("n", 100_000),
		NoLog:      true,
	})
	nc := natsConnect(t, s)
	if got := len(nc.ConnectedServerName()); got != 100_000 {
		t.Errorf("got a server name of %d bytes, want 100000", got)
	}
	sub := subscribe(t, nc, "x")
	must(t, nc.Publish("x", nil))
	next(t, sub)
}
