package server

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// TestAPeerThatIsDisconnectedForItsBytesCannotSendMore reads the -ERR of clients that sent too much
// or did not answer, and has them send on: their writes fail, and the broker takes nothing.
func TestAPeerThatIsDisconnectedForItsBytesCannotSendMore(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	for _, tt := range []struct {
		name, sent string
		close      closeReason // by the server; keepOpen if what is sent is the reason
		want       string
	}{
		{"maximum payload", "PUB foo 9999999\r\n", keepOpen, "-ERR 'Maximum Payload Violation'\r\n"},
		{"maximum payload, some of it sent", "PUB foo 9999999\r\n" + strings.Repeat("x", 1000), keepOpen, "-ERR 'Maximum Payload Violation'\r\n"},
		{"maximum control line", "SUB " + strings.Repeat("x", 5000) + " 1\r\n", keepOpen, "-ERR 'Maximum Control Line Exceeded'\r\n"},
		{"stale connection", "", closeStale, "-ERR 'Stale Connection'\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialClient(t, s)
			c.Sync()
			if tt.close != keepOpen {
				for _, open := range s.clients.all() {
					open.close(tt.close)
				}
			}
			okay(t, c.Send(tt.sent))
			c.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(c.In)
			if string(got) != tt.want || err != nil && !wire.IsEnd(err) {
				t.Errorf("got %q, %v; want %q and the end", got, err, tt.want)
			}
			more, taken := make([]byte, 64<<10), 0
			c.SetWriteDeadline(time.Now().Add(patience))
			for err = nil; err == nil; {
				var n int
				n, err = c.Conn.Conn.Write(more)
				taken += n
			}
			if taken > 256<<10 {
				t.Errorf("%d bytes were taken after the end; want the next write to fail", taken)
			}
		})
	}
}

// TestAPeerReadsWhyItIsDisconnected sends more behind what is refused: a reset would take the -ERR
// from peers that have not read it yet.
func TestAPeerReadsWhyItIsDisconnected(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.Username, o.Password = "me", "secret" })
	for sent, want := range map[string]string{
		"CONNECT {\"user\":\"me\",\"pass\":\"wrong\"}\r\n": "-ERR 'Authorization Violation'\r\n",
		"PING\r\n": "-ERR 'Authorization Violation'\r\n",
		"CONNECT {\"verbose\":false,\"user\":\"me\",\"pass\":\"secret\"}\r\nFOO\r\n":             "-ERR 'Unknown Protocol Operation'\r\n",
		"CONNECT {\"verbose\":false,\"user\":\"me\",\"pass\":\"secret\"}\r\nPUB foo bar 1 1\r\n": "-ERR 'Parser Error'\r\n",
	} {
		c := openClient(t, s)
		okay(t, c.Send(sent+strings.Repeat("PUB foo 2\r\nhi\r\n", 5000)))
		c.SetReadDeadline(time.Now().Add(patience))
		if got, err := io.ReadAll(c.In); string(got) != want || err != nil {
			t.Errorf("%q: got %q, %v; want %q and the end", sent, got, err, want)
		}
	}
}

// TestWhoSendsReceivesWhatTheServerSentBefore has a client read slowly, and go on to send, while the server
// ends its connection: it receives what the socket of the server holds.
func TestWhoSendsReceivesWhatTheServerSentBefore(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("how much the socket holds is not known here")
	}
	s := broker(t, nil)
	c := dialClient(t, s)
	okay(t, c.Conn.Conn.(*net.TCPConn).SetReadBuffer(32<<10))
	c.Say("SUB x 1")
	c.Sync()
	served := s.clients.all()[0]
	const size = 512 << 10 // more than the peer takes before it reads, and less than both sockets
	dialClient(t, s).Do(fmt.Sprintf("PUB x %d", size), strings.Repeat("x", size))
	eventually(t, "all of it is in the sockets", func() bool { return s.io.Pending.Load() == 0 })
	go func() { // ends with the connection
		for c.Send("PUB y 1\r\ny\r\n") == nil {
		}
	}()
	served.close(closeLameDuck)
	eventually(t, "the beginning of its end", func() bool { return s.clients.len() == 1 })
	if m, err := c.Next(); err != nil || len(m.Payload) != size {
		t.Errorf("got %.40q, %v", m, err)
	}
	for _, r := range []closeReason{closeShutdown, closeKicked, closeRouteRemoved, closeRouteRenewed} { // which have less time
		if !closeRows[r].received {
			t.Errorf("%s: the peer has no time to receive anything", r)
		}
	}
}

// TestShutdownDoesNotWaitForWhatLameDuckModeWaitsFor has clients read nothing when their turn comes, and
// one be sent more than its socket takes.
func TestShutdownDoesNotWaitForWhatLameDuckModeWaitsFor(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	pub := dialClient(t, s)
	for _, size := range []int{100_000, 1_000_000} {
		c := dialClient(t, s)
		okay(t, c.Conn.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
		subject := fmt.Sprintf("x.%d", size)
		c.Do("SUB " + subject + " 1")
		for range 10 {
			pub.Do(fmt.Sprintf("PUB %s %d", subject, size), strings.Repeat("x", size))
		}
	}
	begun := time.Now()
	for _, c := range s.clients.all() {
		c.close(closeLameDuck)
	}
	eventually(t, "what they leave", func() bool { return s.clients.len() == 0 && s.leaving.Load() == 0 })
	if s.Shutdown(); time.Since(begun) >= lameDuckWait-finishWait {
		t.Errorf("it took %v", time.Since(begun))
	}
}
