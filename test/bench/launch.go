package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"gnatsd/test/certs"
	"gnatsd/test/freeport"
)

// launch is how a broker is started, besides the address it listens on.
type launch struct {
	path     string
	args     []string  // more flags
	config   string    // text of a configuration file; none if empty
	procs    int       // GOMAXPROCS of the process; 0 leaves it to the broker
	secure   bool      // TLS, with a certificate made for this process
	profiles *profiles // collected through a profiling port; nil for none
}

// with adds flags.
func (l launch) with(args ...string) launch {
	l.args = slices.Concat(l.args, args)
	return l
}

// start runs the broker on a free loopback port, and returns once it has greeted a connection.
func (l launch) start() (*process, error) {
	dir, err := os.MkdirTemp("", "gnatsd-bench-")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.path, err)
	}
	p := &process{launch: l, dir: dir, log: &tail{}, exited: make(chan struct{})}
	if err := p.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w%s", l.path, err, p.lastWords()), os.RemoveAll(dir))
	}
	return p, nil
}

// begin starts the process and waits until it is ready.
func (p *process) begin() error {
	port, err := freeport.Get()
	if err != nil {
		return err
	}
	p.addr = freeport.Loopback(port)
	args := append([]string{"-a", "127.0.0.1", "-p", strconv.Itoa(port)}, p.launch.args...)
	for _, prepare := range []func() ([]string, error){p.configure, p.certify, p.openProfiler} {
		more, err := prepare()
		if err != nil {
			return err
		}
		args = append(args, more...)
	}
	p.cmd = exec.Command(p.launch.path, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if p.launch.procs > 0 {
		p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", p.launch.procs))
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process; stop waits for it
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	if err := p.awaitReady(port); err != nil {
		p.end()
		return err
	}
	return nil
}

// configure writes the configuration file, and returns the flags that name it.
func (p *process) configure() ([]string, error) {
	if p.launch.config == "" {
		return nil, nil
	}
	path := filepath.Join(p.dir, "bench.conf")
	return []string{"-c", path}, os.WriteFile(path, []byte(p.launch.config), 0o600)
}

// certify makes the certificate of a broker with TLS, and returns the flags that name it.
func (p *process) certify() ([]string, error) {
	if !p.launch.secure {
		return nil, nil
	}
	authority, err := certs.NewAuthority("bench")
	if err != nil {
		return nil, err
	}
	pair, err := authority.Issue(certs.Request{Subject: pkix.Name{CommonName: "bench"}, Hosts: certs.Local()})
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	p.tls = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	cert, key := filepath.Join(p.dir, "broker-cert.pem"), filepath.Join(p.dir, "broker-key.pem")
	return []string{"--tls", "--tlscert", cert, "--tlskey", key}, pair.Write(p.dir, "broker")
}

// openProfiler chooses the profiling port, and returns the flags that name it.
func (p *process) openProfiler() ([]string, error) {
	if p.launch.profiles == nil {
		return nil, nil
	}
	port, err := freeport.Get()
	p.profiler = freeport.Loopback(port)
	return []string{"--profile", strconv.Itoa(port)}, err
}
