package server

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestShutdownAtAnyMomentOfAHandshake closes the server while clients are in their handshakes, and
// just after these.
func TestShutdownAtAnyMomentOfAHandshake(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	for round := range 12 {
		s := broker(t, func(o *Options) {
			o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
			o.TLSTimeout = 600
		})
		addr := s.Addr().String()
		var clients sync.WaitGroup
		begun := make(chan struct{}, 16)
		for range cap(begun) {
			clients.Go(func() { // ends when the server closes the connection
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					begun <- struct{}{}
					return
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(patience))
				line := make([]byte, 4096)
				if _, err := nc.Read(line); err != nil {
					begun <- struct{}{}
					return
				}
				begun <- struct{}{}
				c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
				if c.Handshake() == nil {
					if _, err := io.Copy(io.Discard, c); isTimeout(err) {
						t.Error("a client is still connected")
					}
				}
			})
		}
		for range 1 + round {
			<-begun
		}
		start := time.Now()
		s.Shutdown()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the end took %v", took)
		}
		clients.Wait()
	}
}

// TestShutdownDoesNotWaitForTLSClientsThatDoNotRead has a client whose socket is full.
func TestShutdownDoesNotWaitForTLSClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	s := broker(t, func(o *Options) {
		o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
		o.WriteDeadline, o.MaxPending = time.Minute, 512<<20
	})
	slow := probingTLS(t, s)
	okay(t, slow.Send("SUB flood 2\r\nPING\r\n"))
	if d, err := slow.Next(); d != nil || err != nil {
		t.Fatalf("got %v, %v, want PONG", d, err)
	}
	p := probingTLS(t, s)
	okay(t, p.Send(strings.Repeat("PUB flood 1000000\r\n"+strings.Repeat("x", 1_000_000)+"\r\n", 20)+"PING\r\n"))
	if d, err := p.Next(); d != nil || err != nil {
		t.Fatalf("got %v, %v, want PONG", d, err)
	}
	start := time.Now()
	s.Shutdown()
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("the end took %v", took)
	}
}
