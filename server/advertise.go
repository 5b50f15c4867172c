package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// advertiser keeps the addresses that clients may connect to: our own, and
// those that other servers give for themselves, counted by how many do.
type advertiser struct {
	srv *Server

	mu     sync.Mutex // guards what follows
	own    []string   // empty until the port is known
	given  map[*route][]string
	counts map[string]int
	shown  bool // a peer gave an address once
	busy   bool // clients are being told
	again  bool // and must be told again
}

// learn takes the addresses that a route gives.
func (a *advertiser) learn(r *route, urls []string) {
	if a.srv.options().Cluster.NoAdvertise || len(urls) == 0 {
		return
	}
	if a.add(r, urls) {
		a.changed()
	}
}

func (a *advertiser) add(r *route, urls []string) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given == nil {
		a.given, a.counts = make(map[*route][]string), make(map[string]int)
	}
	if r.ended() || a.given[r] != nil {
		return false
	}
	a.given[r] = urls
	for _, u := range urls {
		if a.counts[u]++; a.counts[u] == 1 {
			changed = true
		}
	}
	a.shown = a.shown || changed
	return changed
}

// withdraw forgets the addresses that a route gave. Clients that are being sent
// away keep all they know: they need some place to go.
func (a *advertiser) withdraw(r *route) {
	if a.drop(r) && !a.srv.ended() && !a.srv.lameDuck.Load() {
		a.changed()
	}
}

func (a *advertiser) drop(r *route) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range a.given[r] {
		if a.counts[u]--; a.counts[u] == 0 {
			delete(a.counts, u)
			changed = true
		}
	}
	delete(a.given, r)
	return changed
}

// urls returns what clients are told: nothing before the first peer gave an
// address, then our own followed by those of peers in no order. A server in lame
// duck mode leaves its own out.
func (a *advertiser) urls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.shown {
		return nil
	}
	var list []string
	if !a.srv.lameDuck.Load() {
		list = append(list, a.own...)
	}
	for u := range a.counts {
		list = append(list, u)
	}
	return list
}

// changed renews INFO and tells the clients, on a goroutine of its own. Several
// changes in a row are told once.
func (a *advertiser) changed() {
	a.srv.changeInfo(func(i *Info) { i.ConnectURLs = a.urls() })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		a.again = true
		return
	}
	a.busy = true
	go a.tell() // ends when all clients have been told; sending never waits
}

func (a *advertiser) tell() {
	for {
		for _, c := range a.srv.clients.all() {
			c.infoChanged()
		}
		a.mu.Lock()
		if !a.again {
			a.busy = false
			a.mu.Unlock()
			return
		}
		a.again = false
		a.mu.Unlock()
	}
}

// clientURLs returns the addresses under which clients reach a listener at
// host:port: those of all interfaces if it is bound to all.
func clientURLs(host string, port int, interfaceAddrs func() ([]net.Addr, error)) ([]string, error) {
	text := strconv.Itoa(port)
	ip := net.ParseIP(host)
	if host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{net.JoinHostPort(host, text)}, nil
	}
	addrs, err := interfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list own addresses: %w", err)
	}
	var urls []string
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() || ip != nil && ip.To4() != nil && n.IP.To4() == nil {
			continue
		}
		urls = append(urls, net.JoinHostPort(n.IP.String(), text))
	}
	if len(urls) == 0 { // alone on a machine without a network
		urls = []string{net.JoinHostPort(host, text)}
	}
	return urls, nil
}

// advertise works out our own addresses, once the port of the client listener
// is known, and what INFO says of it.
func (a *advertiser) advertise(port int) error {
	o := a.srv.options()
	host := o.Host
	if o.ClientAdvertise != "" {
		var err error
		if host, port, err = hostAndPort(strings.TrimSpace(o.ClientAdvertise), port); err != nil {
			return err
		}
	}
	a.srv.changeInfo(func(i *Info) { i.Host, i.Port = host, port })
	urls, err := clientURLs(host, port, net.InterfaceAddrs)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own = urls
	return nil
}

// readvertise works out again what advertise did, for changed settings.
func (s *Server) readvertise() error {
	addr, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		return nil // the start is yet to come, or the end has begun
	}
	if err := s.cluster.adverts.advertise(addr.Port); err != nil {
		return err
	}
	s.changeInfo(func(i *Info) { i.ConnectURLs = s.cluster.adverts.urls() })
	return nil
}

// ownURLs returns the addresses under which clients reach this server.
func (a *advertiser) ownURLs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.own
}
