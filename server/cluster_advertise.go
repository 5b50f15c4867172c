package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"gnatsd/sublist"
)

// advertiser keeps the addresses that INFO advertises to clients: those of this server, and those
// that other servers sent in their INFO, with the number of routes that sent each.
type advertiser struct {
	srv *Server

	mu         sync.Mutex // guards what follows
	own        []string   // empty until the port is known
	learned    map[*route][]string
	counts     map[string]int // routes by address
	advertises bool           // a peer has sent an address since the start
	publishing bool           // clients are being sent INFO, or were a moment ago
	republish  bool           // INFO has changed again since
	due        time.Time      // when INFO would have been sent last, had it been sent once in infoInterval
}

// Every client is sent the addresses that routes send, so they are bounded, and so is how often.
const (
	infoInterval     = time.Second
	infoBurst        = 10       // times more, where it was not sent for a while: a cluster starts
	maxPeerURLs      = 64       // of one route; a server has one for each address of its machine
	maxPeerURL       = 255 + 8  // bytes of one: a name, brackets, a colon and a port
	maxAdvertisement = 16 << 10 // bytes of those of all routes in INFO
)

// advertisable returns the addresses in the INFO of a peer that clients may be sent: as many as are
// usual, and only those that have the form of an address.
func advertisable(urls []string) []string {
	var list []string
	for _, u := range urls {
		if len(list) == maxPeerURLs {
			break
		}
		host, port, err := net.SplitHostPort(u)
		n, badPort := strconv.ParseUint(port, 10, 16)
		if err != nil || badPort != nil || n == 0 || host == "" || len(u) > maxPeerURL || !sublist.ValidText(u) {
			continue
		}
		list = append(list, u)
	}
	return list
}

// learn adds the addresses that a route sent, unless no_advertise is set.
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
	return !r.ended() && a.learned[r] == nil && a.addLocked(r, urls)
}

func (a *advertiser) addLocked(r *route, urls []string) (changed bool) {
	if a.learned == nil {
		a.learned, a.counts = make(map[*route][]string), make(map[string]int)
	}
	a.learned[r] = urls
	for _, u := range urls {
		if a.counts[u]++; a.counts[u] == 1 {
			changed = true
		}
	}
	a.advertises = a.advertises || changed
	return changed
}

// renew replaces the addresses that a route sent, after its peer has sent others.
func (a *advertiser) renew(r *route, urls []string) {
	if !a.srv.options().Cluster.NoAdvertise && a.replace(r, urls) {
		a.changed()
	}
}

func (a *advertiser) replace(r *route, urls []string) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.ended() {
		return false
	}
	dropped := a.dropLocked(r)
	return len(urls) > 0 && a.addLocked(r, urls) || dropped
}

// relearn adds the addresses that peers sent, or removes them, after no_advertise has changed.
func (k *cluster) relearn() {
	for _, r := range k.active() {
		if k.srv.options().Cluster.NoAdvertise {
			k.adverts.withdraw(r)
			continue
		}
		k.adverts.learn(r, r.peerInfo().ClientConnectURLs)
	}
}

// withdraw removes the addresses that a route sent. In lame duck mode and during shutdown clients
// are not sent the change: they need addresses to reconnect to.
func (a *advertiser) withdraw(r *route) {
	if a.drop(r) && !a.srv.ended() && !a.srv.lameDuck.Load() {
		a.changed()
	}
}

func (a *advertiser) drop(r *route) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropLocked(r)
}

func (a *advertiser) dropLocked(r *route) (changed bool) {
	for _, u := range a.learned[r] {
		if a.counts[u]--; a.counts[u] == 0 {
			delete(a.counts, u)
			changed = true
		}
	}
	delete(a.learned, r)
	return changed
}

// urls returns the addresses in INFO: none before the first peer has sent an address, then those of
// this server, except in lame duck mode, followed by those of peers in no order, up to
// maxAdvertisement.
func (a *advertiser) urls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.advertises {
		return nil
	}
	var list []string
	if !a.srv.lameDuck.Load() {
		list = append(list, a.own...)
	}
	bytes := 0
	for u := range a.counts {
		if bytes += len(u) + len(`"",`); bytes > maxAdvertisement {
			break
		}
		list = append(list, u)
	}
	return list
}

// changed renews INFO and sends it to the clients, on another goroutine: at once, or where that was
// done often in the last time, later, once for all changes meanwhile.
func (a *advertiser) changed() {
	a.srv.changeInfo(func(i *Info) { i.ClientConnectURLs = a.urls() })
	if a.startPublishing() {
		go a.publish(a.srv.clients.all()) // ends when INFO is queued for all clients, which does not wait
	}
}

// publish sends INFO to clients. After a pause it is called again: for all if INFO has changed since,
// else for those that had not yet taken the INFO before.
func (a *advertiser) publish(to []*client) {
	to = slices.DeleteFunc(to, (*client).renewInfo)
	time.AfterFunc(a.pause(len(to) > 0), func() { // ends like publish
		changed := a.endInterval(len(to) > 0)
		if changed {
			to = a.srv.clients.all()
		}
		if changed || len(to) > 0 {
			a.publish(to)
		}
	})
}

// pause returns how long INFO that has just been sent is not sent again (GCRA). To clients that are left it
// is sent after infoInterval.
func (a *advertiser) pause(left bool) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.due.Before(now) {
		a.due = now
	}
	a.due = a.due.Add(infoInterval)
	if left {
		return infoInterval
	}
	return a.due.Sub(now) - infoBurst*infoInterval
}

// startPublishing reports whether the caller must call publish. If it pauses it will be called again.
func (a *advertiser) startPublishing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.publishing {
		a.republish = true
		return false
	}
	a.publishing = true
	return true
}

// endInterval reports whether INFO has changed since it was published. The publishing ends if not,
// and if no client is left that has to be sent it.
func (a *advertiser) endInterval(left bool) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed, a.republish = a.republish, false
	a.publishing = changed || left
	return changed
}

// clientURLs returns the host:port addresses at which clients reach a listener: one, or one per
// global unicast address of the machine if the listener is bound to all interfaces.
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
	if len(urls) == 0 { // a machine without a network
		urls = []string{net.JoinHostPort(host, text)}
	}
	return urls, nil
}

// allClientURLs returns the addresses at which clients reach several listeners. Those of the
// loopback interface are left out if there are others: a client of another machine would look there
// for a server of its own.
func allClientURLs(addrs []string, interfaceAddrs func() ([]net.Addr, error)) (urls []string, err error) {
	loopback := func(host string) bool {
		ip := net.ParseIP(host)
		return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
	}
	local := 0 // addresses in urls that are loopback
	for _, addr := range addrs {
		host, port, err := hostAndPort(addr, 0)
		if err != nil {
			return nil, err
		}
		list, err := clientURLs(host, port, interfaceAddrs)
		if err != nil {
			return nil, err
		}
		switch {
		case !loopback(host):
			urls = append(urls[local:], list...)
			local = 0
		case local == len(urls):
			urls = append(urls, list...)
			local = len(urls)
		}
	}
	return urls, nil
}

// advertise determines the addresses of this server for clients, and sets host and port in INFO.
// addrs are those of the listeners for clients, as they are configured, the first one first.
func (a *advertiser) advertise(addrs []string) error {
	o := a.srv.options()
	host, port, err := hostAndPort(addrs[0], 0)
	if err != nil {
		return err
	}
	if o.ClientAdvertise != "" {
		if host, port, err = advertisedAddr(o.ClientAdvertise, port); err != nil {
			return err
		}
		addrs = []string{net.JoinHostPort(host, strconv.Itoa(port))}
	}
	a.srv.changeInfo(func(i *Info) { i.Host, i.Port = host, port })
	urls, err := allClientURLs(addrs, net.InterfaceAddrs)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own = urls
	return nil
}

// readvertise calls advertise again after the settings have changed.
func (s *Server) readvertise() error {
	addrs := s.listenAddrs()
	if len(addrs) == 0 {
		return nil // not listening yet, or stopping
	}
	if err := s.cluster.adverts.advertise(addrs); err != nil {
		return err
	}
	s.changeInfo(func(i *Info) { i.ClientConnectURLs = s.cluster.adverts.urls() })
	return nil
}

// ownURLs returns the addresses at which clients reach this server.
func (a *advertiser) ownURLs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.own
}

// advertisedAddr is hostAndPort for an address that an operator has others use. It may be one of IPv6,
// with or without brackets.
func advertisedAddr(text string, port int) (string, int, error) {
	text = strings.TrimSpace(text)
	inner, bracket := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if ip, err := netip.ParseAddr(inner); err == nil && bracket == closed && (!bracket || ip.Is6()) {
		return inner, port, nil
	}
	host, port, err := hostAndPort(text, port)
	switch {
	case err != nil:
		return "", 0, err
	case host == "":
		return "", 0, errors.New("the host is missing")
	case strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "", 0, errors.New("a host has no blanks in it")
	case strings.ContainsAny(host, "[]"):
		return "", 0, errors.New("what is in brackets is no IPv6 address")
	}
	return host, port, nil
}

// hostAndPort splits "host" or "host:port". If the port is missing, 0 or -1 it returns port
// instead.
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
