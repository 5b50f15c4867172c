package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Ports are the URLs at which a Server listens, one per address if it listens at all addresses of the machine. The ports
// file holds them as JSON.
type Ports struct {
	Nats       []string `json:"nats,omitempty"`       // clients, scheme nats or tls
	Monitoring []string `json:"monitoring,omitempty"` // scheme http or https
	Cluster    []string `json:"cluster,omitempty"`    // routes, scheme nats or tls
	Profile    []string `json:"profile,omitempty"`    // scheme http
}

// What is logged, as errors, when a ports file cannot be kept.
const (
	msgPortsNotWritten = "Error writing ports file (%s): %v"
	msgPortsNotRemoved = "Error cleaning up ports file %s: %v"
)

// portURLs lists the URLs at which a listener is reached: one, or one per address of the machine if it is bound to
// the unspecified address. interfaceAddrs is net.InterfaceAddrs.
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

// portsFilePath is where the ports file of this process belongs in dir: the base name of the command and the pid
// tell the files of several processes apart.
func portsFilePath(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid()))
}

// writePortsFile writes the ports file to dir, in one step, and returns its path, also with an error.
func writePortsFile(dir string, ports Ports) (path string, err error) {
	path = portsFilePath(dir)
	content, err := json.Marshal(ports)
	if err != nil {
		return path, err
	}
	return path, replaceFile(path, content, portsFilePerm)
}

// removePortsFile removes a ports file; one that is gone is fine.
func removePortsFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
