package admission

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// taken returns how many slots the callers without an address have got.
func taken(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.origins[Source{}]; o != nil {
		return int(o.paid)
	}
	return 0
}

// piecesConn is a connection whose writes are cut. They do not wait for the peer.
type piecesConn struct {
	net.Conn
	cut func([]byte) [][]byte
	out chan []byte
}

// inPieces returns a connection that writes to nc what cut makes of each write, one piece after the
// other.
func inPieces(nc net.Conn, cut func([]byte) [][]byte) *piecesConn {
	c := &piecesConn{nc, cut, make(chan []byte, 1<<16)}
	go func() { // ends with the connection
		for b := range c.out {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
	}()
	return c
}

func (c *piecesConn) Write(b []byte) (int, error) {
	for _, piece := range c.cut(bytes.Clone(b)) {
		c.out <- piece
	}
	return len(b), nil
}

func (c *piecesConn) Close() error {
	close(c.out)
	return c.Conn.Close()
}

// whole cuts nothing.
func whole(b []byte) [][]byte { return [][]byte{b} }

// single cuts between all bytes.
func single(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }

// records makes records of size bytes of those with messages that are not encrypted, and writes each
// record on its own.
func records(size int) func([]byte) [][]byte {
	sealed := false // after a change of the cipher, unless a ClientHello follows
	return func(b []byte) (pieces [][]byte) {
		for len(b) > 0 {
			n := recordHeader + int(b[3])<<8 + int(b[4])
			record, payload := b[:n], b[recordHeader:n]
			b = b[n:]
			if record[0] != recordHandshake || sealed && payload[0] != clientHello {
				sealed = true
				pieces = append(pieces, record)
				continue
			}
			for part := range slices.Chunk(payload, size) {
				header := []byte{record[0], record[1], record[2], 0, byte(len(part))}
				pieces = append(pieces, append(header, part...))
			}
		}
		return pieces
	}
}

// mutual returns configurations that need certificates of both sides.
func mutual(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	_, pair := issued(t)
	server, client = configs(t)
	server.ClientAuth = tls.RequireAnyClientCert
	client.Certificates = []tls.Certificate{pair}
	return server, client
}

func TestAHandshakeTakesASlotForEachMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		version       uint16
		mutual, retry bool
		reads, want   int // slots if everything that is sent at once is read at once, and if not
	}{
		{"TLS 1.3", tls.VersionTLS13, false, false, 2, 2},
		{"TLS 1.3, another ClientHello", tls.VersionTLS13, false, true, 3, 3},
		{"TLS 1.3, a certificate of the client", tls.VersionTLS13, true, false, 2, 4},
		{"TLS 1.2", tls.VersionTLS12, false, false, 2, 3},
		{"TLS 1.2, a certificate of the client", tls.VersionTLS12, true, false, 3, 5}, // which is longer than a read
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := configs(t)
			if tt.mutual {
				server, client = mutual(t)
			}
			client.MaxVersion = tt.version
			if tt.retry {
				client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
				server.CurvePreferences = []tls.CurveID{tls.CurveP256}
			}
			for name, c := range map[string]struct {
				cut  func([]byte) [][]byte
				want int
			}{
				"whole":               {whole, tt.reads},
				"single bytes":        {single, tt.want},
				"records of 1 byte":   {records(1), tt.want},
				"records of 7 bytes":  {records(7), tt.want},
				"records of 99 bytes": {records(99), tt.want},
			} {
				if got := slotsOf(t, server, client, c.cut); got != c.want {
					t.Errorf("%s: %d slots, want %d", name, got, c.want)
				}
			}
		})
	}
}

// slotsOf makes a handshake and returns how many slots it took.
func slotsOf(t *testing.T, server, client *tls.Config, cut func([]byte) [][]byte) (slots int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		nc, done := begin(t.Context(), l, server)
		c := inPieces(nc, cut)
		shake(t, c, client)
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
		slots = taken(l)
		acquire(t, l) // none is lost
		c.Close()
	})
	return slots
}

// helloOf returns what a client sends first.
func helloOf(t *testing.T, client *tls.Config) []byte {
	t.Helper()
	captured, peer := net.Pipe()
	defer captured.Close()
	go tls.Client(peer, client).Handshake() // ends when captured is closed
	b := make([]byte, 4096)
	n, err := captured.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestAnIncompleteHelloTakesNoSlot(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	client.CurvePreferences = []tls.CurveID{tls.X25519} // which makes it short
	hello := helloOf(t, client)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		busy := acquire(t, l)
		for cut := 1; cut < len(hello); cut++ {
			nc, done := begin(t.Context(), l, server)
			nc.Write(hello[:cut])
			synctest.Wait()
			if l.Waiting() > 0 {
				t.Fatalf("%d of %d bytes wait for a slot", cut, len(hello))
			}
			nc.Write(hello[cut:])
			synctest.Wait()
			if n := l.Waiting(); n != 1 {
				t.Fatalf("cut after %d of %d bytes: %d wait for a slot, want 1", cut, len(hello), n)
			}
			nc.Close()
			busy.Release()
			<-done
			busy = acquire(t, l)
		}
		busy.Release()
	})
}

func TestBytesBeforeAMessageIsCompleteGiveNoTime(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	hello := helloOf(t, client)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		g := NewGate()
		pass, err := g.Acquire(t.Context(), at("10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		var ranks []Rank
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() { // received below
			peer := Peer{From: at("10.0.0.1"), Rank: func(r Rank) { ranks = append(ranks, r) }, Pass: pass}
			_, err := l.Handshake(t.Context(), a, peer, server, time.Second)
			done <- err
		}()
		start := time.Now()
		for i := 0; time.Since(start) < passTime+time.Millisecond; i++ {
			b.Write(hello[i : i+1])
			time.Sleep(50 * time.Millisecond)
		}
		if passes(g, at("10.0.0.1")) > 0 {
			t.Error("a peer that sends bytes has its pass for longer than one that does not")
		}
		go io.Copy(io.Discard, b) // ends with the connection
		if err := <-done; err == nil || time.Since(start) != time.Second {
			t.Errorf("the handshake ended after %v, %v; want a timeout after %v", time.Since(start), err, time.Second)
		}
		if want := []Rank{Partial}; !slices.Equal(ranks, want) {
			t.Errorf("ranks %v, want %v: it is evicted no later for many bytes", ranks, want)
		}
		pass.Release()
	})
}

// passes returns how many passes of a source are in use.
func passes(g *Gate, from Source) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lines[from]; l != nil {
		return l.passes
	}
	return 0
}

// TestWhatFollowsAHelloTakesASlot has a client that does not wait for the answer to its ClientHello:
// what comes after it is computed without another read.
func TestWhatFollowsAHelloTakesASlot(t *testing.T) {
	t.Parallel()
	server, client := configs(t)
	client.MaxVersion = tls.VersionTLS12
	message := []byte{recordHandshake, 3, 3, 0, 5, 16, 0, 0, 1, 0} // a ClientKeyExchange
	early := append(helloOf(t, client), message...)
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		nc, done := begin(t.Context(), l, server)
		nc.Write(early)
		synctest.Wait()
		if got := taken(l); got != 1 {
			t.Errorf("%d slots for the ClientHello, want 1", got)
		}
		busy := acquire(t, l)      // while the server writes
		go io.Copy(io.Discard, nc) // ends with the connection
		synctest.Wait()
		if l.Waiting() != 1 {
			t.Error("the next message does not wait for a slot")
		}
		busy.Release()
		if o := <-done; o.err == nil {
			t.Error("no error, want one: the message is not valid")
		}
		if got := taken(l); got != 3 {
			t.Errorf("%d slots, want 3: two for messages and that of the test", got)
		}
		acquire(t, l)
	})
}

// exchange sends text to a server that makes handshake, and returns what it answers and its error.
func exchange(t *testing.T, text []byte, handshake func(net.Conn) error) (answer []byte, err error) {
	t.Helper()
	a, b := net.Pipe()
	done, answered := make(chan error, 1), make(chan []byte, 1)
	go func() { // received below
		err := handshake(a)
		a.Close()
		done <- err
	}()
	go func() { // received below
		read, _ := io.ReadAll(b)
		answered <- read
	}()
	b.Write(text)
	synctest.Wait()
	if len(done) == 0 {
		b.Close()
	}
	return <-answered, <-done
}

func TestWhatIsNoHandshakeIsRefusedAsByCryptoTLS(t *testing.T) {
	t.Parallel()
	server, _ := configs(t)
	warning := []byte{21, 3, 1, 0, 2, 1, 90}
	for _, tt := range []struct {
		name, text string
		slots      int
	}{
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 0},
		{"the protocol of clients", "CONNECT {}\r\nPING\r\n", 0},
		{"a ClientHello of SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 0},
		{"a record that is too long", "\x16\x03\x01\xff\xff" + string(make([]byte, 20000)), 0},
		{"a version that is none", "\x16\x10\x01\x00\x04\x01\x00\x00\x00", 0},
		{"a message that is too long", "\x16\x03\x01\x00\x04\x01\xff\xff\xff" + string(make([]byte, 20000)), 0},
		{"an empty record", "\x16\x03\x01\x00\x00", 0},
		{"a message that is no ClientHello", "\x16\x03\x01\x00\x04\x14\x00\x00\x00", 0},
		{"a change of the cipher first", "\x14\x03\x01\x00\x01\x01\x16\x03\x01\x00\x04\x01\x00\x00\x00", 0},
		{"data first", "\x17\x03\x01\x00\x01\x01", 0},
		{"an error", "\x15\x03\x01\x00\x02\x02\x28", 0},
		{"many warnings", string(bytes.Repeat(warning, 20)), 0},
		{"the end in the middle", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0},
		{"a ClientHello that is empty", "\x16\x03\x01\x00\x04\x01\x00\x00\x00", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(1)
				answer, err := exchange(t, []byte(tt.text), func(nc net.Conn) error {
					_, err := l.Handshake(t.Context(), nc, Peer{}, server, time.Hour)
					return err
				})
				want, wantErr := exchange(t, []byte(tt.text), func(nc net.Conn) error { return tls.Server(nc, server).Handshake() })
				if !bytes.Equal(answer, want) || err == nil || err.Error() != wantErr.Error() {
					t.Errorf("answer %x, error %v; want %x, %v", answer, err, want, wantErr)
				}
				if got := taken(l); got != tt.slots {
					t.Errorf("%d slots, want %d", got, tt.slots)
				}
				acquire(t, l)
			})
		})
	}
}
