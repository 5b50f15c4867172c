//go:build unix

package netio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// securePair returns a link over TLS, and the socket and the connection of its peer.
func securePair(t *testing.T) (l Link, socket *net.TCPConn, peer *tls.Conn) {
	t.Helper()
	ca, err := certs.NewAuthority("netio")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(certs.Request{Hosts: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	far, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Server(NewProgressConn(near), &tls.Config{Certificates: []tls.Certificate{cert}})
	peer = tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	t.Cleanup(func() { near.Close(); far.Close() })
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	if err := errors.Join(secure.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return NewLink(secure, new(Shared)), far.(*net.TCPConn), peer
}

// TestTLSReadsWhatHasArrived reads several records at once, no more than it may, and each byte.
func TestTLSReadsWhatHasArrived(t *testing.T) {
	t.Parallel()
	l, _, peer := securePair(t)
	text := make([]byte, 10*tlsRecord)
	for i := range text {
		text[i] = byte(i * 7 % 251)
	}
	for _, limit := range []int{tlsRecord, 3 * tlsRecord, ReadSize, LongRead} {
		most := 0 // of one read
		for round := 0; round == 0 || most < min(limit, len(text)/2) && round < 1000; round++ {
			sent := make(chan error, 1)
			go func() { _, err := peer.Write(text); sent <- err }()
			var in ReadBuffer
			for got := 0; got < len(text); {
				n, err := l.Recv(&in, limit)
				if err != nil || n > limit {
					t.Fatalf("a read of %d bytes returned %d, %v", limit, n, err)
				}
				if !bytes.Equal(in.Unread(), text[got:got+n]) {
					t.Fatalf("a read of %d bytes, after %d: other bytes than what was sent", limit, got)
				}
				in.Consume(n)
				got, most = got+n, max(most, n)
			}
			in.Clear()
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		if most < min(limit, len(text)/2) {
			t.Errorf("a read of %d bytes returned %d at most", limit, most)
		}
	}
}

// TestTLSHasItsTurnUntilItWaits reads what has arrived in a turn, and then waits.
func TestTLSHasItsTurnUntilItWaits(t *testing.T) {
	t.Parallel()
	l, _, peer := securePair(t)
	w := &l.(*tlsLink).work
	w.shared.turns.slots = 1
	send := func() {
		if _, err := peer.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	var in ReadBuffer
	for round := 0; !w.turn; round++ {
		if round == 1000 {
			t.Fatal("a reader that has something to read has no turn")
		}
		send()
		l.Yield()
		if _, err := l.Recv(&in, ReadSize); err != nil {
			t.Fatal(err)
		}
		in.Clear()
	}
	ended := make(chan error, 1)
	go func() { _, err := l.Recv(&in, ReadSize); ended <- err }() // ends with the connection
	other := work{shared: w.shared}
	w.shared.turns.next(&other)
	send()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if w.turn {
		t.Error("a reader has a turn after it waited")
	}
	in.Clear()
}

// TestTLSReadsTheEndAfterWhatHasArrived ends connections in several ways behind a message.
func TestTLSReadsTheEndAfterWhatHasArrived(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(socket *net.TCPConn, peer *tls.Conn)
		want error
	}{
		"TLS is closed":       {func(_ *net.TCPConn, p *tls.Conn) { p.Close() }, io.EOF},
		"the socket is":       {func(s *net.TCPConn, _ *tls.Conn) { s.CloseWrite() }, io.EOF},
		"in half a record":    {func(s *net.TCPConn, _ *tls.Conn) { s.Write([]byte{23, 3, 3, 1, 0, 1}); s.CloseWrite() }, io.ErrUnexpectedEOF},
		"no record":           {func(s *net.TCPConn, _ *tls.Conn) { s.Write([]byte("GET / HTTP/1.1\r\n")) }, nil},
		"the socket is reset": {func(s *net.TCPConn, _ *tls.Conn) { s.SetLinger(0); s.Close() }, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, socket, peer := securePair(t)
			text := bytes.Repeat([]byte("x"), tlsRecord)
			if name != "the socket is reset" { // what it has is lost
				if _, err := peer.Write(text); err != nil {
					t.Fatal(err)
				}
			}
			c.end(socket, peer)
			var in ReadBuffer
			var err error
			for err == nil {
				_, err = l.Recv(&in, ReadSize)
			}
			if name != "the socket is reset" && !bytes.Equal(in.Unread(), text) {
				t.Errorf("%d bytes arrived, want %d", len(in.Unread()), len(text))
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("then %v, want %v", err, c.want)
			}
			if _, again := l.Recv(&in, ReadSize); again == nil {
				t.Errorf("after %v a read succeeds", err)
			}
			in.Clear()
		})
	}
}

// scriptedConn returns one result of a read after the other.
type scriptedConn struct {
	net.Conn
	results []scriptedRead
}

type scriptedRead struct {
	n   int
	err error
}

func (c *scriptedConn) Read(b []byte) (int, error) {
	r := c.results[0]
	c.results = c.results[1:]
	return min(r.n, len(b)), r.err
}

// TestTLSKeepsAnErrorBehindWhatHasArrived has a read of what has arrived end with an error that TLS
// itself does not keep, such as a message of the handshake that must not come.
func TestTLSKeepsAnErrorBehindWhatHasArrived(t *testing.T) {
	t.Parallel()
	wrong := errors.New("unexpected message")
	nc := &scriptedConn{results: []scriptedRead{{tlsRecord, nil}, {100, nil}, {0, wrong}, {100, nil}}}
	l := &tlsLink{plainLink: plainLink{nc: nc, work: work{shared: new(Shared)}, size: tlsRecord}, socket: NewProgressConn(nc)}
	var in ReadBuffer
	if n, err := l.Recv(&in, ReadSize); n != tlsRecord+100 || err != nil {
		t.Errorf("got %d bytes and %v, want what came before the error", n, err)
	}
	in.Consume(len(in.Unread()))
	for range 2 {
		if n, err := l.Recv(&in, ReadSize); n > 0 || err != wrong {
			t.Errorf("then %d bytes and %v, want the error", n, err)
		}
	}
}

// TestReadsThatDoNotWaitSeeErrors resets a connection.
func TestReadsThatDoNotWaitSeeErrors(t *testing.T) {
	t.Parallel()
	l, socket, _ := securePair(t)
	c := l.(*tlsLink).socket
	c.noWait = true
	b := make([]byte, 1000)
	for deadline := time.Now().Add(patience); ; { // the session tickets
		if n, err := c.Read(b); err != nil {
			if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
				t.Fatalf("with nothing to read: %d bytes and %v", n, err)
			}
			break
		}
	}
	socket.SetLinger(0)
	socket.Close()
	for deadline := time.Now().Add(patience); ; {
		n, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline) {
			continue
		}
		if n > 0 || !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), socket.LocalAddr().String()) {
			t.Errorf("after a reset: %d bytes and %v", n, err)
		}
		return
	}
}

// TestTLSReadsTakeLittleMoreMemoryThanTheyMayHold looks at the largest buffer of many reads.
func TestTLSReadsTakeLittleMoreMemoryThanTheyMayHold(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{ReadSize, 2 * ReadSize, LongRead} {
		l, _, peer := securePair(t)
		const all = 64 << 20
		go func() { // ends with the connection
			for text := make([]byte, all/64); ; {
				if _, err := peer.Write(text); err != nil {
					return
				}
			}
		}()
		var in ReadBuffer
		largest := 0
		for got := 0; got < all; {
			n, err := l.Recv(&in, limit)
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, cap(in.chunk.buf))
			got += n
			in.Consume(len(in.Unread()) - got%100) // some of an operation stays
		}
		in.Clear()
		if largest > 2*limit {
			t.Errorf("reads of %d bytes took a buffer of %d", limit, largest)
		}
	}
}

// TestTLSWritesMoreThanTheSocketTakes writes to a peer that begins to read when the socket is full.
func TestTLSWritesMoreThanTheSocketTakes(t *testing.T) {
	t.Parallel()
	l, _, peer := securePair(t)
	new(WriteQueue).Init(l, nil, new(Shared), &Limits{WriteDeadline: patience})
	text := make([]byte, 16<<20)
	for i := range text {
		text[i] = byte(i * 7 % 251)
	}
	sent := make(chan error, 1)
	go func() { // ends when all is sent
		for segs := []Segment{{Bytes: text}}; len(segs) > 0; {
			n, err := l.Send(segs, time.Now().Add(patience))
			if segs = skip(segs, n); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	socket := l.(*tlsLink).socket
	for deadline := time.Now().Add(patience); unsent(socket.raw) == 0 && time.Now().Before(deadline); { // where it is known
		runtime.Gosched()
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("other bytes than what was sent arrive, then %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
