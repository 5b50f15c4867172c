package test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
)

func TestGoClientPublishesAndSubscribes(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s), natsConnect(t, s)
	exact, wild := subscribe(t, a, "foo.bar"), subscribe(t, a, "foo.>")
	other := subscribe(t, b, "foo.*")
	for i := range 1000 {
		must(t, b.PublishRequest("foo.bar", "reply.to", fmt.Appendf(nil, "message %d", i)))
	}
	flush(t, b)
	for _, sub := range []*nats.Subscription{exact, wild, other} {
		for i := range 1000 {
			m := next(t, sub)
			if want := fmt.Sprintf("message %d", i); string(m.Data) != want || m.Subject != "foo.bar" || m.Reply != "reply.to" {
				t.Fatalf("%s: got %q %q %q, want %q", sub.Subject, m.Subject, m.Reply, m.Data, want)
			}
		}
	}
	must(t, exact.Unsubscribe())
	flush(t, a)
	if got := s.NumSubscriptions(); got != 2 {
		t.Errorf("got %d subscriptions, want 2", got)
	}
	if got := s.NumClients(); got != 2 {
		t.Errorf("got %d clients, want 2", got)
	}
}

func TestGoClientSharesWorkInAQueueGroup(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	const members, messages = 4, 4000
	// The members subscribe to different patterns on different connections: all of them are one
	// group.
	patterns := []string{"work.a", "work.*", "work.>", ">"}
	var got [members]atomic.Int64
	var all sync.WaitGroup
	all.Add(messages)
	for i := range members {
		nc := natsConnect(t, s)
		_, err := nc.QueueSubscribe(patterns[i], "workers", func(*nats.Msg) { got[i].Add(1); all.Done() })
		must(t, err)
		flush(t, nc)
	}
	p := natsConnect(t, s)
	plain := subscribe(t, p, "work.a")
	for range messages {
		must(t, p.Publish("work.a", []byte("x")))
	}
	flush(t, p)
	for range messages {
		next(t, plain)
	}
	all.Wait()
	for i := range members {
		// Each count is binomial with deviation 27; six of them are as good as never.
		if n := got[i].Load(); n < messages/members-165 || n > messages/members+165 {
			t.Errorf("member %d got %d of %d messages, want about a quarter", i, n, messages)
		}
	}
}

func TestGoClientRequests(t *testing.T) {
	t.Parallel()
	for _, style := range []struct {
		name string
		opts []nats.Option
	}{
		{"with one inbox for all requests", nil},
		{"with an inbox for each request", []nats.Option{nats.UseOldRequestStyle()}},
	} {
		t.Run(style.name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, nil)
			responder, requester := natsConnect(t, s), natsConnect(t, s, style.opts...)
			_, err := responder.QueueSubscribe("double", "q", func(m *nats.Msg) { m.Respond(append(m.Data, m.Data...)) })
			must(t, err)
			flush(t, responder)
			var group sync.WaitGroup
			for i := range 50 {
				group.Go(func() {
					data := fmt.Appendf(nil, "%d.", i)
					m, err := requester.Request("double", data, patience)
					if err != nil {
						t.Error(err)
						return
					}
					if want := append(data, data...); !bytes.Equal(m.Data, want) {
						t.Errorf("got %q, want %q", m.Data, want)
					}
				})
			}
			group.Wait()
		})
	}
}

func TestGoClientDrains(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	closed := make(chan bool, 1)
	a := natsConnect(t, s, nats.ClosedHandler(func(*nats.Conn) { closed <- true }))
	b := natsConnect(t, s)
	const messages = 500
	var got atomic.Int64
	sub, err := a.Subscribe("foo", func(m *nats.Msg) { got.Add(1); m.Respond(nil) })
	must(t, err)
	keeps := subscribe(t, a, "bar")
	replies := subscribe(t, b, "replies")
	for range messages {
		must(t, b.PublishRequest("foo", "replies", nil))
	}
	flush(t, b)
	must(t, sub.Drain())
	for range messages {
		next(t, replies) // nothing that was on its way is lost
	}
	must(t, b.Publish("bar", nil))
	next(t, keeps) // and the connection goes on
	must(t, a.Drain())
	await(t, closed, "end of the drained connection")
	if n := got.Load(); n != messages {
		t.Errorf("got %d messages, want %d", n, messages)
	}
}

func TestGoClientUnsubscribesAutomatically(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s), natsConnect(t, s)
	sub := subscribe(t, a, "foo")
	must(t, sub.AutoUnsubscribe(10))
	flush(t, a)
	for range 20 {
		must(t, b.Publish("foo", nil))
	}
	flush(t, b)
	for range 10 {
		next(t, sub)
	}
	if _, err := sub.NextMsg(patience); !errors.Is(err, nats.ErrMaxMessages) && !errors.Is(err, nats.ErrBadSubscription) {
		t.Errorf("got %v after the tenth message, want the end of the subscription", err)
	}
	if got := s.NumSubscriptions(); got != 0 {
		t.Errorf("got %d subscriptions on the broker, want none", got)
	}
}

func TestGoClientWithoutEcho(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s, nats.NoEcho()), natsConnect(t, s)
	silent, others := subscribe(t, a, "foo"), subscribe(t, b, "foo")
	must(t, a.Publish("foo", []byte("own")))
	flush(t, a)
	if m := next(t, others); string(m.Data) != "own" {
		t.Errorf("got %q", m.Data)
	}
	must(t, b.Publish("foo", []byte("other")))
	flush(t, b)
	if m := next(t, silent); string(m.Data) != "other" {
		t.Errorf("got %q, want only the message of the other client", m.Data)
	}
}

func TestGoClientSendsLargePayloads(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s), natsConnect(t, s)
	sub, small := subscribe(t, a, "large"), subscribe(t, a, ">")
	limit := int(b.MaxPayload())
	if limit != 1<<20 {
		t.Errorf("got max_payload %d, want 1 MiB", limit)
	}
	payload := make([]byte, limit)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	sizes := []int{0, 1, 4095, 4096, 65535, 65536, 100_000, limit - 1, limit}
	for _, size := range sizes {
		must(t, b.Publish("large", payload[:size]))
	}
	flush(t, b)
	for _, from := range []*nats.Subscription{sub, small} {
		for _, size := range sizes {
			if m := next(t, from); !bytes.Equal(m.Data, payload[:size]) {
				t.Fatalf("%s: got %d bytes, want %d, or not the same", from.Subject, len(m.Data), size)
			}
		}
	}
	if err := b.Publish("large", make([]byte, limit+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("got %v for one byte too many, want ErrMaxPayload", err)
	}
}

// restartable has a port that is still free when the broker is started again.
func restartable(t *testing.T) *server.Options {
	t.Helper()
	opts := quietOptions()
	opts.Port = freePort(t)
	return opts
}

// restart stops a broker and runs another on its port.
func restart(t *testing.T, s *server.Server) *server.Server {
	t.Helper()
	opts := quietOptions()
	opts.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	return Start(t, opts)
}

func TestGoClientReconnectsAndSubscribesAgain(t *testing.T) {
	t.Parallel()
	const subjects = 10_000
	s := Start(t, restartable(t))
	lost, back := make(chan bool, 1), make(chan bool, 1)
	var received atomic.Int64
	all := make(chan bool, 1)
	a := natsConnect(t, s, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- true }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- true }))
	for i := range subjects {
		_, err := a.Subscribe(fmt.Sprintf("s.%d", i), func(*nats.Msg) {
			if received.Add(1) == subjects {
				all <- true
			}
		})
		must(t, err)
	}
	flush(t, a)
	s = restart(t, s)
	await(t, lost, "disconnection")
	await(t, back, "reconnection")
	flush(t, a)
	if got := s.NumSubscriptions(); got != subjects {
		t.Errorf("got %d subscriptions on the new broker, want %d", got, subjects)
	}
	b := natsConnect(t, s)
	for i := range subjects {
		must(t, b.Publish(fmt.Sprintf("s.%d", i), nil))
	}
	flush(t, b)
	await(t, all, "message on every subject")
}

func TestGoClientBuffersWhatItPublishesWhileAway(t *testing.T) {
	t.Parallel()
	opts := restartable(t)
	s := Start(t, opts)
	lost, back := make(chan bool, 1), make(chan bool, 1)
	a := natsConnect(t, s, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- true }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- true }))
	sub := subscribe(t, a, "foo")
	s.Shutdown()
	await(t, lost, "disconnection")
	must(t, a.Publish("foo", []byte("kept")))
	Start(t, opts)
	await(t, back, "reconnection")
	if m := next(t, sub); string(m.Data) != "kept" {
		t.Errorf("got %q", m.Data)
	}
}

func TestGoClientThatIsSlowInItself(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	slow := make(chan error, 1)
	a := natsConnect(t, s, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case slow <- err:
		default:
		}
	}))
	release := make(chan bool)
	sub, err := a.Subscribe("foo", func(*nats.Msg) { <-release })
	must(t, err)
	must(t, sub.SetPendingLimits(5, -1))
	fine := subscribe(t, a, "bar")
	b := natsConnect(t, s)
	for range 100 {
		must(t, b.Publish("foo", nil))
	}
	must(t, b.Publish("bar", nil))
	flush(t, b)
	if err := await(t, slow, "slow consumer"); !errors.Is(err, nats.ErrSlowConsumer) {
		t.Errorf("got %v, want ErrSlowConsumer", err)
	}
	next(t, fine) // the broker has nothing to do with it
	close(release)
	if got := s.NumSlowConsumers(); got != 0 {
		t.Errorf("got %d slow consumers on the broker, want none", got)
	}
}

// dam is a connection whose reads wait until it is opened.
type dam struct {
	net.Conn
	shut  atomic.Bool
	opens chan struct{}
}

func (d *dam) Read(b []byte) (int, error) {
	if d.shut.Load() {
		<-d.opens
	}
	return d.Conn.Read(b)
}

// dammed dials connections that stop reading once the first of them shall.
type dammed struct {
	first *dam
}

func (d *dammed) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil || d.first != nil {
		return c, err
	}
	d.first = &dam{Conn: c, opens: make(chan struct{})}
	return d.first, nil
}

func TestGoClientThatTheBrokerDisconnectsComesBack(t *testing.T) {
	t.Parallel()
	opts := quietOptions()
	opts.MaxPending = 1 << 20
	s := Start(t, opts)
	lost, back := make(chan bool, 1), make(chan bool, 1)
	dialer := &dammed{}
	a := natsConnect(t, s, nats.SetCustomDialer(dialer), nats.ReconnectWait(10*time.Millisecond),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- true }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- true }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	sub := subscribe(t, a, "foo")
	dialer.first.shut.Store(true)
	b := natsConnect(t, s)
	payload := make([]byte, 64<<10)
	for end := time.Now().Add(patience); s.NumSlowConsumers() == 0; {
		if time.Now().After(end) {
			t.Fatal("the broker keeps a client that does not read")
		}
		must(t, b.Publish("foo", payload))
		flush(t, b)
	}
	close(dialer.first.opens)
	await(t, lost, "disconnection")
	await(t, back, "reconnection")
	flush(t, a)
	must(t, b.Publish("foo", []byte("again")))
	flush(t, b)
	for m := next(t, sub); string(m.Data) != "again"; m = next(t, sub) {
	}
	if got := s.NumSlowConsumers(); got != 1 {
		t.Errorf("got %d slow consumers, want 1", got)
	}
}

func TestGoClientLearnsOfItsErrors(t *testing.T) {
	t.Parallel()
	opts := quietOptions()
	opts.MaxSubs = 1
	s := Start(t, opts)
	errs := make(chan error, 10)
	a := natsConnect(t, s, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	subscribe(t, a, "foo")
	_, err := a.SubscribeSync("bar")
	must(t, err)
	if err := await(t, errs, "error"); !errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		t.Errorf("got %v, want the subscription limit", err)
	}
	must(t, a.Publish("_SYS.x", nil))
	if err := await(t, errs, "error"); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v, want a permissions violation", err)
	}
	flush(t, a) // the connection lives on
}

func TestGoClientFlushIsAFence(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	a, b := natsConnect(t, s), natsConnect(t, s)
	for i := range 200 {
		sub := subscribe(t, a, "foo") // in place when flush returns
		must(t, b.Publish("foo", fmt.Appendf(nil, "%d", i)))
		if m := next(t, sub); string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", m.Data, i)
		}
		must(t, sub.Unsubscribe())
	}
	if d, err := a.RTT(); err != nil || d <= 0 {
		t.Errorf("got round-trip time %v, %v", d, err)
	}
}
