package check

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// TestAClientRecordsWhatItDoesAndReceives is a conversation with a broker that is played by hand.
func TestAClientRecordsWhatItDoesAndReceives(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	b := wire.Of(t, far)
	b.Say(`INFO {}`)
	b.Say("PONG")
	log := new(Log)
	c, err := log.Join(near, 3, Identity{User: "u", NoEcho: true})
	if err != nil {
		t.Fatal(err)
	}
	b.Hear(`CONNECT {`)
	b.Want("PING")
	sid := c.Subscribe("a.*", "q")
	c.Limit(sid, 5)
	c.Publish("a.x", 40)
	c.Request("a.y", "inbox")
	c.Ping()
	b.Want("SUB a.* q 1", "UNSUB 1 5")
	b.Hear("PUB a.x 40\r\n")
	payload := b.Hear("1 1 0 0 ")
	b.Hear("PUB a.y inbox ")
	b.Hear("1 2 0 0 ")
	b.Want("PING")
	b.Say("MSG a.x 1 40", payload, "MSG a.x 1 3", "bad", "MSG a.z 1 ask 8", "9 1 0 0 ", "PING", "PONG")
	b.Hear("PUB ask ")
	b.Hear("1 3 9 1 ")
	b.Want("PONG")
	b.Say("-ERR 'x'")
	b.Close()
	c.Wait()
	var lines []string
	for _, e := range log.Events() {
		lines = append(lines, e.String())
	}
	for _, want := range []string{
		`joined client=1 server=3 account="" noecho=true rules=all`,
		"subscribed client=1 sid=1 a.* q",
		"limited client=1 sid=1 max=5",
		"published client=1 n=1 a.x ",
		"published client=1 n=2 a.y inbox",
		"pinged client=1",
		"received client=1 sid=1 message=1/1 a.x ",
		"garbled client=1",
		"received client=1 sid=1 message=9/1 a.z ask",
		"published client=1 n=3 ask ",
		"ponged client=1",
		`dropped client=1 "-ERR 'x'"`,
	} {
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) })
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, strings.Join(lines, "\n"))
		}
		lines = lines[i+1:]
	}
	if c.Leave(func(nc net.Conn) { nc.Close() }) || c.Alive() || !c.Answered() {
		t.Error("a client whose connection has ended left, is alive or waits for a PONG")
	}
}

func TestJoinReturnsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	b := wire.Of(t, far)
	b.Say("INFO {}", "-ERR 'Authorization Violation'")
	if _, err := new(Log).Join(near, 0, Identity{}); err == nil || !strings.Contains(err.Error(), "Authorization Violation") {
		t.Errorf("got %v", err)
	}
}

// TestAStalledClientReadsNothing waits for what arrives only after Resume.
func TestAStalledClientReadsNothing(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	b := wire.Of(t, far)
	b.Say("INFO {}", "PONG")
	c, err := new(Log).Join(near, 0, Identity{})
	if err != nil {
		t.Fatal(err)
	}
	b.Hear("CONNECT ")
	b.Want("PING")
	c.Stall()
	b.Say("PING", "PING") // one read may have begun
	b.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if pongs, _ := b.In.Peek(2 * len("PONG\r\n")); len(pongs) == 2*len("PONG\r\n") {
		t.Error("a stalled client answers")
	}
	c.Resume()
	b.Want("PONG", "PONG")
}

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
