package windows

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// TestProtocol has what clients do with a broker.
func TestProtocol(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	addr := m.start(t).ready()
	c, d := wire.Dial(t, addr), wire.Dial(t, addr)
	for _, field := range []string{`"headers":true`, `"max_payload":1048576`, `"client_ip":"127.0.0.1"`} {
		if !strings.Contains(c.Info, field) {
			t.Errorf("no %s in %s", field, c.Info)
		}
	}
	c.Say(`CONNECT {"verbose":true,"headers":true,"no_responders":true}`, "SUB foo.* 1", "PUB foo.a 2", "hi")
	c.Want("+OK", "+OK", "+OK", "MSG foo.a 1 2", "hi")
	c.Do("UNSUB 1", `CONNECT {"verbose":false,"headers":true,"no_responders":true}`)

	d.Say(`CONNECT {"verbose":false,"headers":true}`, "SUB help 7")
	d.Sync()
	c.Say("SUB _INBOX.1 2", "PUB help _INBOX.1 3", "why")
	d.Want("MSG help 7 _INBOX.1 3", "why")
	d.Say("HPUB _INBOX.1 12 18", "NATS/1.0\r\n\r\nnot me")
	c.Want("HMSG _INBOX.1 2 12 18", "NATS/1.0\r\n\r\nnot me")
	c.Say("PUB no.one _INBOX.1 0", "")
	c.Want("HMSG _INBOX.1 2 38 38", "NATS/1.0 503\r\nNats-Subject: no.one\r\n\r\n", "")

	c.Say("SUB work q 3")
	c.Sync()
	d.Say("SUB work q 8")
	d.Sync()
	const jobs = 200
	p := wire.Dial(t, addr)
	p.Say(`CONNECT {"verbose":false}`)
	for range jobs {
		p.Say("PUB work 1", "x")
	}
	p.Sync()
	first, second := len(c.Drain()), len(d.Drain())
	if first+second != jobs || first == 0 || second == 0 {
		t.Errorf("of %d queue messages %d and %d came", jobs, first, second)
	}

	large := strings.Repeat("x", 1<<20)
	c.Do("SUB large 4")
	p.Say("PUB large 1048576", large)
	c.Want("MSG large 4 1048576", large)
	p.Say("PUB large 1048577")
	p.End("-ERR 'Maximum Payload Violation'")
}

// TestMessagesInOrder has more messages than any buffer holds.
func TestMessagesInOrder(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	addr := m.start(t).ready()
	s, p := wire.Dial(t, addr), wire.Dial(t, addr)
	s.Do("SUB n 1")
	const messages = 100_000
	go func() {
		var text strings.Builder
		for i := range messages {
			number := fmt.Sprint(i)
			fmt.Fprintf(&text, "PUB n %d\r\n%s\r\n", len(number), number)
		}
		p.Say(text.String())
	}()
	for i := range messages {
		number := fmt.Sprint(i)
		if err := s.Expect(fmt.Sprintf("MSG n 1 %d\r\n%s\r\n", len(number), number)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientThatResets has a client that ends as abruptly as it can: the broker goes on.
func TestClientThatResets(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	b := m.start(t)
	addr := b.ready()
	c := wire.Dial(t, addr)
	c.Do("SUB foo 1")
	must(t, c.Conn.Conn.(*net.TCPConn).SetLinger(0))
	c.Close()
	b.await("Client connection closed")
	wire.Dial(t, addr).Sync()
}

// TestSlowReader has one that takes a little at a time: it is no slow consumer, since there is
// progress. One that takes nothing is.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t)
	m.write(t, dir+`\gnatsd.conf`, "write_deadline: \"1s\"\n")
	b := m.start(t, "-c", dir+`\gnatsd.conf`)
	addr := b.ready()
	slow, stopped, p := wire.Dial(t, addr), wire.Dial(t, addr), wire.Dial(t, addr)
	for _, c := range []*wire.Client{slow, stopped} {
		must(t, c.Conn.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	}
	slow.Do("SUB slow 1")
	stopped.Do("SUB stopped 1")
	const size, messages = 100_000, 160
	payload := strings.Repeat("x", size)
	go func() {
		for range messages {
			p.Say("PUB slow 100000", payload)
			p.Say("PUB stopped 100000", payload)
		}
	}()
	pace := time.NewTicker(25 * time.Millisecond) // 4 MB/s
	defer pace.Stop()
	for range messages {
		<-pace.C
		if err := slow.Expect("MSG slow 1 100000\r\n" + payload + "\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	b.await("Slow Consumer Detected")
	slow.Sync()
}
