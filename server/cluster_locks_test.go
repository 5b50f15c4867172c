package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// lockProbe is the log and the network of a server: whatever is called of them checks that the
// locks of the cluster can be taken.
type lockProbe struct {
	osNetwork
	t *testing.T

	mu  sync.Mutex
	srv *Server // nil before it is known
}

func (p *lockProbe) Noticef(format string, v ...any) { p.check(fmt.Sprintf(format, v...)) }
func (p *lockProbe) Warnf(format string, v ...any)   { p.check(fmt.Sprintf(format, v...)) }
func (p *lockProbe) Errorf(format string, v ...any)  { p.check(fmt.Sprintf(format, v...)) }
func (p *lockProbe) Fatalf(format string, v ...any)  { p.check(fmt.Sprintf(format, v...)) }
func (p *lockProbe) Debugf(format string, v ...any)  { p.check(fmt.Sprintf(format, v...)) }
func (p *lockProbe) Tracef(format string, v ...any)  { p.check(fmt.Sprintf(format, v...)) }

func (p *lockProbe) Listen(addr string) (net.Listener, error) {
	p.check("Listen")
	l, err := p.osNetwork.Listen(addr)
	return &probedListener{l, p}, err
}

func (p *lockProbe) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	p.check("Dial")
	return p.osNetwork.Dial(addr, timeout)
}

func (p *lockProbe) LookupHost(ctx context.Context, host string) ([]string, error) {
	p.check("LookupHost")
	return p.osNetwork.LookupHost(ctx, host)
}

type probedListener struct {
	net.Listener
	probe *lockProbe
}

func (l *probedListener) Addr() net.Addr {
	l.probe.check("Addr of a listener")
	return l.Listener.Addr()
}

func (l *probedListener) Close() error {
	l.probe.check("Close of a listener")
	return l.Listener.Close()
}

// check takes each lock once. One that is held for longer than others need it is held by the
// caller.
func (p *lockProbe) check(call string) {
	p.mu.Lock()
	s := p.srv
	p.mu.Unlock()
	if s == nil {
		return
	}
	k := s.cluster
	locks := map[string]*sync.Mutex{"cluster": &k.mu, "advertiser": &k.adverts.mu, "closedQueues": &k.closed.mu}
	for _, r := range k.active() {
		locks[fmt.Sprintf("interestQueue of rid:%d", r.id)] = &r.interest.mu
		locks[fmt.Sprintf("conn of rid:%d", r.id)] = &r.mu
	}
	for _, c := range s.clients.all() {
		locks[fmt.Sprintf("conn of cid:%d", c.id)] = &c.mu
	}
	for name, mu := range locks {
		if !comesTrue(mu.TryLock) {
			p.t.Errorf("%s: called under the lock of %s", call, name)
			continue
		}
		mu.Unlock()
	}
}

func TestNeitherLogNorNetworkIsCalledUnderALockOfTheCluster(t *testing.T) {
	t.Parallel()
	start := func(routes ...*url.URL) *Server {
		p := &lockProbe{t: t}
		o := defaults()
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.network, o.Routes = p, routes
		s, err := NewServer(o)
		okay(t, err)
		s.SetLogger(p, true, true)
		p.mu.Lock()
		p.srv = s
		p.mu.Unlock()
		go s.Start() // ends with Shutdown
		t.Cleanup(s.Shutdown)
		if !s.ReadyForConnections(patience) {
			t.Fatal("the server did not start")
		}
		return s
	}
	a := start()
	b := start(routeTo(t, a))
	go a.cluster.solicit([]*url.URL{routeTo(t, b)}) // ends at once
	c := start(routeTo(t, a), routeTo(t, b))
	meshed(t, a, b, c)
	for i, s := range []*Server{a, b, c} {
		client := dialClient(t, s)
		client.Say(fmt.Sprintf("SUB foo.%d 1\r\nSUB bar group 2\r\n", i))
		client.Say("UNSUB 2\r\n")
		client.Sync()
		interested(t, s, 1+i)
		defer client.Close()
	}
	c.Shutdown()
	interested(t, a, 2)
}
