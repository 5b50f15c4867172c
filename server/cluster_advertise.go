package server

import (
	"errors"
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
	busy   bool // clients are being sent INFO
	repeat bool // and must be once more
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

// learnAgain takes the addresses that peers give for their clients, or forgets
// them, as the setting now says.
func (k *cluster) learnAgain() {
	for _, r := range k.active() {
		if k.srv.options().Cluster.NoAdvertise {
			k.adverts.withdraw(r)
			continue
		}
		k.adverts.learn(r, r.peerInfo().ConnectURLs)
	}
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

// urls returns the addresses in INFO: none before the first peer gave an
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

// changed renews INFO and sends it to the clients, on a goroutine of its own: once for
// several changes in a row.
func (a *advertiser) changed() {
	a.srv.changeInfo(func(i *Info) { i.ConnectURLs = a.urls() })
	if a.startPublishing() {
		go a.publish() // ends when INFO is queued for all clients; that never waits
	}
}

func (a *advertiser) publish() {
	for more := true; more; more = !a.stopPublishing() {
		for _, c := range a.srv.clients.all() {
			c.infoChanged()
		}
	}
}

// startPublishing reports whether publish is to be called. If that is under way it
// is repeated.
func (a *advertiser) startPublishing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		a.repeat = true
		return false
	}
	a.busy = true
	return true
}

// stopPublishing reports false if publish is to be repeated.
func (a *advertiser) stopPublishing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy, a.repeat = a.repeat, false
	return !a.busy
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

// hostAndPort splits "host" or "host:port"; port is what stands in for one that
// is missing, 0 or -1.
func hostAndPort(text string, port int) (string, int, error) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		if addrErr, ok := errors.AsType[*net.AddrError](err); ok && addrErr.Err == "missing port in address" {
			return text, port, nil
		}
		return "", 0, err
	}
	n, err := strconv.Atoi(given)
	if err != nil || n > 65535 || n < RandomPort {
		return "", 0, fmt.Errorf("port %q is not a number between 0 and 65535", given)
	}
	if n <= 0 {
		n = port
	}
	return host, n, nil
}
