package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipeHandshake starts serveTLS on one end of a pipe and returns the other end
// and where the outcome will be.
func pipeHandshake(ctx context.Context, config *tls.Config, places *admission, timeout time.Duration) (net.Conn, chan handshakeOutcome) {
	a, b := net.Pipe()
	done := make(chan handshakeOutcome, 1)
	go func() { // ends with the handshake, at the latest by timeout; done is received by the test
		c, err := serveTLS(ctx, a, config, places, timeout)
		done <- handshakeOutcome{c, err}
	}()
	return b, done
}

type handshakeOutcome struct {
	conn *tls.Conn
	err  error
}

func TestPeersThatStallKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	config := mustTLS(t, certOpts(certDir(t), "server"))
	synctest.Test(t, func(t *testing.T) {
		places := newAdmission(1)
		accepting := newTLSHolder(config, tlsClients).accepting()
		silent, silentDone := pipeHandshake(t.Context(), accepting, places, time.Second)
		half, halfDone := pipeHandshake(t.Context(), accepting, places, time.Second)
		captured, peer := net.Pipe()
		go tls.Client(peer, &tls.Config{ServerName: "localhost"}).Handshake() // ends when captured is closed
		hello := make([]byte, 4096)
		n, err := captured.Read(hello)
		if err != nil {
			t.Fatal(err)
		}
		half.Write(hello[:n]) // a whole hello; the answer is never read
		synctest.Wait()

		client, done := pipeHandshake(t.Context(), accepting, places, time.Second)
		c := tls.Client(client, &tls.Config{RootCAs: config.ClientCAs, ServerName: "localhost"})
		if err := c.Handshake(); err != nil {
			t.Error(err)
		}
		go io.Copy(io.Discard, c) // takes session tickets; ends with Close
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
		for _, d := range []chan handshakeOutcome{silentDone, halfDone} {
			if o := <-d; !errors.Is(o.err, os.ErrDeadlineExceeded) {
				t.Errorf("error %v, want a deadline", o.err)
			}
		}
		if places.free != 1 {
			t.Errorf("%d places free, want 1", places.free)
		}
		for _, c := range []net.Conn{silent, half, client, captured, peer} {
			c.Close()
		}
	})
}

func TestWaitingForAPlaceDoesNotCountAgainstThePeer(t *testing.T) {
	t.Parallel()
	config := mustTLS(t, certOpts(certDir(t), "server"))
	synctest.Test(t, func(t *testing.T) {
		places := newAdmission(1)
		places.enter(t.Context())
		client, done := pipeHandshake(t.Context(), newTLSHolder(config, tlsClients).accepting(), places, time.Second)
		handshaken := make(chan error, 1)
		c := tls.Client(client, &tls.Config{RootCAs: config.ClientCAs, ServerName: "localhost"})
		go func() { // received below
			handshaken <- c.Handshake()
			io.Copy(io.Discard, c)
		}()
		time.Sleep(time.Minute) // of the test's clock
		if n := places.waiting(); n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		places.leave()
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
		if err := <-handshaken; err != nil {
			t.Error(err)
		}
		client.Close()
	})
}

func TestAHandshakeThatIsCalledOffLeavesTheQueue(t *testing.T) {
	t.Parallel()
	config := mustTLS(t, certOpts(certDir(t), "server"))
	synctest.Test(t, func(t *testing.T) {
		places := newAdmission(1)
		places.enter(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		client, done := pipeHandshake(ctx, newTLSHolder(config, tlsClients).accepting(), places, time.Second)
		go tls.Client(client, &tls.Config{ServerName: "localhost"}).Handshake() // ends with the other end
		synctest.Wait()
		cancel()
		if o := <-done; o.err == nil || o.conn != nil {
			t.Error("the handshake succeeded")
		}
		if places.waiting() != 0 {
			t.Error("still in the queue")
		}
	})
}
