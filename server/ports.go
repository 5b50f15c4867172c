package server

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Ports are the URLs of the listeners of a Server. A listener on all interfaces has one for each
// address of the machine. The ports file has them as JSON.
type Ports struct {
	Nats       []string `json:"nats,omitempty"`       // clients, scheme nats or tls
	Monitoring []string `json:"monitoring,omitempty"` // scheme http or https
	Cluster    []string `json:"cluster,omitempty"`    // routes, scheme nats or tls
	Profile    []string `json:"profile,omitempty"`    // scheme http
}

// PortsInfo waits at most maxWait until all listeners are open, and returns their URLs. It returns
// nil after a timeout.
func (s *Server) PortsInfo(maxWait time.Duration) *Ports {
	if !s.ReadyForConnections(maxWait) {
		return nil
	}
	ports := s.ports()
	return &ports
}

// ports returns the URLs of the open listeners.
func (s *Server) ports() Ports {
	var ports Ports
	o := s.options()
	for _, l := range []struct {
		urls   *[]string
		scheme string
		addrs  []net.Addr
	}{
		{&ports.Nats, clientScheme(o.TLSConfig != nil), s.clientAddrs()},
		{&ports.Monitoring, monitoringScheme(o), []net.Addr{s.MonitorAddr()}},
		{&ports.Cluster, clientScheme(o.Cluster.TLSConfig != nil), addrsOf(s.cluster.listening())},
		{&ports.Profile, "http", []net.Addr{s.ProfilerAddr()}},
	} {
		for _, addr := range l.addrs {
			urls, err := portURLs(l.scheme, addr, net.InterfaceAddrs)
			if err != nil {
				s.Errorf("Ports are incomplete: %v", err)
			}
			*l.urls = append(*l.urls, urls...)
		}
	}
	return ports
}

// clientScheme returns the scheme of a URL for clients or routes.
func clientScheme(tls bool) string {
	if tls {
		return "tls"
	}
	return "nats"
}

// monitoringScheme returns the scheme of a URL of the monitoring port.
func monitoringScheme(o *Options) string {
	if o.HTTPSPort != 0 {
		return "https"
	}
	return "http"
}

// portURLs returns the URLs of a listener: one, or one for each address of the machine if it
// listens on all interfaces. interfaceAddrs is net.InterfaceAddrs.
func portURLs(scheme string, addr net.Addr, interfaceAddrs func() ([]net.Addr, error)) ([]string, error) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp == nil {
		return nil, nil
	}
	url := func(ip net.IP) string {
		return scheme + "://" + net.JoinHostPort(ip.String(), strconv.Itoa(tcp.Port))
	}
	if len(tcp.IP) > 0 && !tcp.IP.IsUnspecified() {
		return []string{url(tcp.IP)}, nil
	}
	addrs, err := interfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list own addresses: %w", err)
	}
	var urls []string
	for _, a := range addrs {
		switch a := a.(type) {
		case *net.IPNet:
			urls = append(urls, url(a.IP))
		case *net.IPAddr:
			urls = append(urls, url(a.IP))
		}
	}
	return urls, nil
}

// writePortsFile writes the ports file if the options ask for one and the listeners are open. The
// caller holds s.reloading.
func (s *Server) writePortsFile() {
	dir := s.options().PortsFileDir
	if dir == "" || !s.listening() {
		return
	}
	content, err := json.Marshal(s.ports())
	if err != nil {
		panic("ports cannot be encoded: " + err.Error()) // they are strings
	}
	if path, err := s.files.WritePorts(dir, content); err != nil {
		s.Errorf("Error writing ports file (%s): %v", path, err)
	}
}
