package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"gnatsd/conf"
)

// This file is where a server listens: addresses that are lists, and those that exclude each other.

// listenList is a setting that may have several addresses.
type listenList struct {
	key, host, port string // rows
	list            string // row of the further addresses
	also            *[]string
}

func (o *Options) listenLists() []listenList {
	return []listenList{
		{"listen", "host", "port", "also_listen", &o.AlsoListen},
		{"cluster.listen", "cluster.host", "cluster.port", "cluster.also_listen", &o.Cluster.AlsoListen},
	}
}

// check returns an error if a file has both a list and, later, a single host or port: it would
// replace the first address only, where it was probably meant to be the only one.
func (l *listenList) check(v *conf.Values[Options]) (problems conf.Errors) {
	from := v.Origin(l.key)
	if from.Layer != conf.FromFile || len(*l.also) == 0 || v.Origin(l.list) != from {
		return nil
	}
	for _, key := range []string{l.host, l.port} {
		if single := v.Origin(key); single.Layer == conf.FromFile && single != from {
			problems = append(problems, &conf.Error{Pos: single.Pos, Key: key, Msg: "listen has several addresses: put this into the list", Hint: "it is at " + from.Pos.String()})
		}
	}
	return problems
}

// listenAddress is an address that a start opens.
type listenAddress struct{ key, addr string }

// listenAddresses returns the addresses that a start opens.
func (o *Options) listenAddresses() (list []listenAddress) {
	add := func(key, host string, port int) {
		list = append(list, listenAddress{key, net.JoinHostPort(host, strconv.Itoa(port))})
	}
	if !o.DontListen {
		add("port", o.Host, o.Port)
		for _, addr := range o.AlsoListen {
			list = append(list, listenAddress{"also_listen", addr})
		}
	}
	if o.Cluster.Port != 0 {
		add("cluster.port", o.Cluster.Host, o.Cluster.Port)
		for _, addr := range o.Cluster.AlsoListen {
			list = append(list, listenAddress{"cluster.also_listen", addr})
		}
	}
	add("http_port", o.HTTPHost, o.HTTPPort)
	add("https_port", o.HTTPHost, o.HTTPSPort)
	add("prof_port", o.Host, o.ProfPort)
	return list
}

// checkListen returns an error if two of the addresses that a start opens exclude each other, or one
// of the further ones is none.
func (o *Options) checkListen() error {
	for _, l := range o.listenLists() {
		for _, addr := range *l.also {
			host, port, err := net.SplitHostPort(addr)
			n, bad := strconv.Atoi(port)
			if err != nil || bad != nil || n == 0 || n < RandomPort || n > 65535 || strings.Contains(host, "@") {
				return &settingError{l.list, fmt.Errorf("%q is not host:port, with a port from 1 to 65535 or -1", conf.RedactURLText(addr))}
			}
		}
	}
	list := o.listenAddresses()
	for i, a := range list {
		for _, b := range list[:i] {
			if conf.Overlap(a.addr, b.addr) {
				if o.loaded != nil && o.loaded.values.Origin(a.key).Layer == conf.FromDefault {
					a, b = b, a // the place is that of the one that was set
				}
				what := a.addr
				if o.where(a.key) == "" { // no place says which setting it is
					what += " of " + a.key
				}
				return &settingError{a.key, fmt.Errorf("%s overlaps with %s of %s: only one of them can be listened on", what, b.addr, b.key)}
			}
		}
	}
	return nil
}

// listenAddrs returns the addresses of the open listeners for clients as they are configured, with
// the ports that they have.
func (s *Server) listenAddrs() (addrs []string) {
	o := s.options()
	for i, a := range s.clientAddrs() {
		host := o.Host
		if i > 0 {
			host, _, _ = net.SplitHostPort(o.AlsoListen[i-1])
		}
		if tcp, ok := a.(*net.TCPAddr); ok {
			addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(tcp.Port)))
		}
	}
	return addrs
}
