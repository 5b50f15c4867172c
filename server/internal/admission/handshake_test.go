package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/test/certs"
)

// issued returns an authority and a certificate of it.
func issued(t *testing.T) (a *certs.Authority, pair tls.Certificate) {
	t.Helper()
	a, err := certs.NewAuthority("authority")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(certs.Request{Hosts: certs.Local()})
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.X509KeyPair(p.Cert, p.Key); err != nil {
		t.Fatal(err)
	}
	return a, pair
}

// configs returns the configurations of a server and of a client that trusts it.
func configs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	a, pair := issued(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// outcome is what Handshake returned.
type outcome struct {
	conn *tls.Conn
	err  error
}

// begin starts Handshake with a time limit of a second on one end of a pipe. It returns the other
// end and where the outcome will be.
func begin(ctx context.Context, l *Limiter, config *tls.Config) (net.Conn, chan outcome) {
	return beginWith(ctx, l, Peer{}, config)
}

// beginWith is begin with a peer.
func beginWith(ctx context.Context, l *Limiter, peer Peer, config *tls.Config) (net.Conn, chan outcome) {
	a, b := net.Pipe()
	done := make(chan outcome, 1)
	go func() { // ends with the handshake; done is received by the test
		c, err := l.Handshake(ctx, a, peer, config, time.Second)
		done <- outcome{c, err}
	}()
	return b, done
}

// shake makes the client's side of a handshake on nc, and reads on until nc is closed.
func shake(t *testing.T, nc net.Conn, config *tls.Config) {
	t.Helper()
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		t.Error(err)
	}
	go io.Copy(io.Discard, c) // takes session tickets; ends with nc
}

func TestPeersThatStallOccupyNoSlot(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		silent, silentDone := begin(t.Context(), l, server)
		half, halfDone := begin(t.Context(), l, server)
		captured, peer := net.Pipe()
		go tls.Client(peer, client).Handshake() // ends when captured is closed
		hello := make([]byte, 4096)
		n, err := captured.Read(hello)
		if err != nil {
			t.Fatal(err)
		}
		half.Write(hello[:n]) // a whole hello; the answer is never read
		synctest.Wait()

		nc, done := begin(t.Context(), l, server)
		shake(t, nc, client)
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
		for _, d := range []chan outcome{silentDone, halfDone} {
			if o := <-d; !errors.Is(o.err, os.ErrDeadlineExceeded) || o.conn != nil {
				t.Errorf("error %v, want a deadline", o.err)
			}
		}
		acquire(t, l) // no slot is lost
		for _, c := range []net.Conn{silent, half, nc, captured, peer} {
			c.Close()
		}
	})
}

func TestAWaitingHandshakeDoesNotLoseItsTime(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		busy := acquire(t, l)
		nc, done := begin(t.Context(), l, server)
		shaken := make(chan struct{})
		go func() { // received below
			defer close(shaken)
			shake(t, nc, client)
		}()
		time.Sleep(time.Minute) // of the test's clock
		if !l.Overloaded() || len(done) > 0 {
			t.Error("the handshake does not wait")
		}
		busy.Release()
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
		<-shaken
		nc.Close()
	})
}

func TestAHandshakeThatIsCanceledLeavesTheQueue(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		acquire(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		nc, done := begin(ctx, l, server)
		go tls.Client(nc, client).Handshake() // ends with the other end
		synctest.Wait()
		cancel()
		if o := <-done; !errors.Is(o.err, context.Canceled) || o.conn != nil {
			t.Errorf("error %v, want canceled", o.err)
		}
		if l.Overloaded() {
			t.Error("still in the queue")
		}
	})
}

func TestNothingIsComputedForAPeerThatIsGone(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		busy := acquire(t, l)
		var gone, asked atomic.Bool
		config := server.Clone()
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			asked.Store(true)
			return nil, nil
		}
		nc, done := beginWith(t.Context(), l, Peer{Gone: gone.Load}, config)
		go tls.Client(nc, client).Handshake() // ends with the other end
		synctest.Wait()
		gone.Store(true)
		busy.Release()
		if o := <-done; !errors.Is(o.err, errPeerReset) || asked.Load() {
			t.Errorf("error %v, computed %v; want %v and nothing", o.err, asked.Load(), errPeerReset)
		}
		acquire(t, l)
	})
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	net.Listener
	nc net.Conn
}

func (l oneConn) Accept() (net.Conn, error) { return l.nc, nil }

func TestAcceptedConnectionsWaitInTheirHandshakes(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		busy := acquire(t, l)
		a, b := net.Pipe()
		accepted, err := tls.NewListener(l.Listener(t.Context(), oneConn{nc: a}), server).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go io.Copy(accepted, accepted) // makes the handshake, then echoes; ends with b
		shaken := make(chan struct{})
		c := tls.Client(b, client)
		go func() { // received below
			defer close(shaken)
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if !l.Overloaded() {
			t.Error("the handshake does not wait for a slot")
		}
		busy.Release()
		<-shaken
		synctest.Wait()
		acquire(t, l)              // the handshake has released it, and what comes later needs none
		go c.Write([]byte("echo")) // ends when it is read
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		b.Close()
	})
}

// TestAnotherHelloWaitsForASlot has a client of a port with a handshake of its own that is asked for
// another ClientHello: that answer costs nothing, what follows does.
func TestAnotherHelloWaitsForASlot(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	server.CurvePreferences = []tls.CurveID{tls.CurveP256}
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		a, b := net.Pipe()
		accepted, err := tls.NewListener(l.Listener(t.Context(), oneConn{nc: a}), server).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go io.Copy(accepted, accepted) // makes the handshake, then echoes; ends with b
		c := inPieces(b, whole)
		if err := tls.Client(c, client).Handshake(); err != nil {
			t.Error(err)
		}
		if got := taken(l); got != 2 {
			t.Errorf("%d slots, want 2: one for each ClientHello", got)
		}
		c.Close()
	})
}
