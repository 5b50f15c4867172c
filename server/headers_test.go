package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// dialModern connects a client that takes headers and asks for the 503.
func dialModern(t *testing.T, s *Server) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Say(`CONNECT {"verbose":false,"headers":true,"no_responders":true}`)
	return c
}

func TestHeadersCrossARoute(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	pub, sub, old, member := dialModern(t, a), dialModern(t, b), dialClient(t, b), dialModern(t, b)
	sub.Say("SUB foo 1\r\n")
	old.Say("SUB foo 1\r\n")
	member.Say("SUB foo q 7\r\n")
	for _, c := range []*wire.Client{sub, old, member} {
		c.Sync()
	}
	interested(t, a, 3)
	pub.Say("HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB foo r 12 14\r\nNATS/1.0\r\n\r\nho\r\nPUB foo 2\r\nha\r\n")
	pub.Sync()
	sub.Want("HMSG foo 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG foo 1 r 12 14\r\nNATS/1.0\r\n\r\nho\r\nMSG foo 1 2\r\nha\r\n")
	old.Want("MSG foo 1 r 2\r\nhi\r\nMSG foo 1 r 2\r\nho\r\nMSG foo 1 2\r\nha\r\n")
	member.Want("HMSG foo 7 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG foo 7 r 12 14\r\nNATS/1.0\r\n\r\nho\r\nMSG foo 7 2\r\nha\r\n")
}

func TestHeadersAreTakenOffForAClassicServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	logged := new(notices)
	s.SetLogger(logged, false, false)
	peer := wire.Open(t, s.ClusterAddr().String())
	if info := peer.Hear("INFO "); !strings.Contains(info, `"headers":true`) {
		t.Fatalf("got %s; want headers announced to servers", info)
	}
	peer.Say("CONNECT {\"verbose\":false,\"name\":\"classic\"}\r\n" +
		"INFO {\"server_id\":\"classic\",\"version\":\"1.4.1\",\"host\":\"127.0.0.1\",\"port\":1,\"max_payload\":1048576}\r\n" +
		"SUB foo  RSID:5:1\r\nSUB foo q QRSID:5:2\r\n")
	interested(t, s, 2)
	pub := dialModern(t, s)
	for range 2 {
		pub.Say("HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
		peer.Want("MSG foo RSID:5:1 r 2\r\nhi\r\nMSG foo QRSID:5:2 r 2\r\nhi\r\n")
	}
	pub.Sync()
	if got := s.counters.lostHeaders.Load(); got != 4 {
		t.Errorf("got %d messages counted that lost their headers, want 4", got)
	}
	if got := logged.with("Headers of messages are dropped"); len(got) != 1 {
		t.Errorf("got the lines %q, want one", got)
	}
	if z, err := s.Routez(nil); err != nil || len(z.Routes) != 1 || z.Routes[0].HeadersDropped != 4 {
		t.Errorf("got %+v, %v; want a route that says of four messages that they lost their headers", z, err)
	}
}

// TestHeadersArriveAsTheyWereSent publishes messages of all kinds and sizes, and compares what each
// client receives with what it should.
func TestHeadersArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	classic := wire.Listen(t, "classic", false).Join(a.ClusterAddr())
	classic.Say("SUB foo  RSID:5:1")
	interested(t, a, 1)
	classic.Sync()
	receivers := []*struct {
		name    string
		from    *wire.Client
		sid     string
		headers bool
		want    strings.Builder
	}{
		{name: "client", from: dialModern(t, a), sid: "1", headers: true},
		{name: "old client", from: dialClient(t, a), sid: "1"},
		{name: "client with another sid", from: dialModern(t, a), sid: "22", headers: true},
		{name: "client of another server", from: dialModern(t, b), sid: "1", headers: true},
		{name: "old client of another server", from: dialClient(t, b), sid: "1"},
		{name: "classic server", from: classic, sid: "RSID:5:1"},
	}
	for _, r := range receivers[:5] {
		r.from.Say("SUB foo " + r.sid + "\r\n")
		r.from.Sync()
	}
	interested(t, a, 6)
	for range 3 {
		classic.Hear("SUB foo  RSID:")
	}
	classic.Sync()
	random := rand.New(rand.NewPCG(7, 7))
	var sent strings.Builder
	for i := range 600 {
		block, reply := "", ""
		if random.IntN(3) > 0 {
			block = "NATS/1.0\r\nA: " + strings.Repeat("v", []int{1, 50, 9000}[random.IntN(3)]) + "\r\n\r\n"
			if random.IntN(4) == 0 {
				block = "not headers"[:1+random.IntN(11)]
			}
		}
		if random.IntN(2) > 0 {
			reply = "r "
		}
		body := fmt.Sprint(i) + strings.Repeat("x", []int{0, 3, 100, 20_000}[random.IntN(4)]) + "\r\n"
		for range 1 + random.IntN(3) { // equal control lines in a row
			plain, headed := fmt.Sprintf("%s%d\r\n%s", reply, len(body)-2, body), fmt.Sprintf("%s%d %d\r\n%s%s", reply, len(block), len(block)+len(body)-2, block, body)
			switch {
			case block == "" && i%2 == 0:
				sent.WriteString("PUB foo " + plain)
			case block == "":
				sent.WriteString("HPUB foo " + reply + "0 " + strings.TrimPrefix(plain, reply))
			default:
				sent.WriteString("HPUB foo " + headed)
			}
			for _, r := range receivers {
				if block != "" && r.headers {
					r.want.WriteString("HMSG foo " + r.sid + " " + headed)
				} else {
					r.want.WriteString("MSG foo " + r.sid + " " + plain)
				}
			}
		}
	}
	pub := dialModern(t, a)
	var reading sync.WaitGroup
	for _, r := range receivers {
		reading.Go(func() {
			got := make([]byte, r.want.Len())
			r.from.SetReadDeadline(time.Now().Add(patience))
			if n, err := io.ReadFull(r.from.In, got); err != nil || string(got) != r.want.String() {
				want, at := r.want.String(), 0
				for at < n && got[at] == want[at] {
					at++
				}
				t.Errorf("%s: got %d bytes, %v; want %d; from byte %d on %.80q, want %.80q", r.name, n, err, r.want.Len(), at, got[at:n], want[at:])
			}
		})
	}
	pub.Say(sent.String())
	reading.Wait()
}

// notices keeps the lines of the log.
type notices struct {
	mu    sync.Mutex
	lines []string
}

func (n *notices) note(format string, v ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, v...))
}

func (n *notices) with(text string) (found []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (n *notices) Noticef(format string, v ...any) { n.note(format, v...) }
func (n *notices) Warnf(format string, v ...any)   { n.note(format, v...) }
func (n *notices) Errorf(format string, v ...any)  { n.note(format, v...) }
func (n *notices) Fatalf(format string, v ...any)  { n.note(format, v...) }
func (n *notices) Debugf(string, ...any)           {}
func (n *notices) Tracef(string, ...any)           {}

func TestRemoteResponderAnswersTheFirstRequest(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	responder := dialModern(t, b)
	responder.Say("SUB service workers 1\r\n")
	responder.Sync()
	interested(t, a, 1)
	requester := dialModern(t, a)
	requester.Say("SUB _INBOX.1 1\r\nPUB service _INBOX.1 4\r\nhelp\r\n")
	responder.Want("MSG service 1 _INBOX.1 4\r\nhelp\r\n")
	responder.Say("PUB _INBOX.1 4\r\nhere\r\n")
	requester.Want("MSG _INBOX.1 1 4\r\nhere\r\n")
	responder.Say("UNSUB 1\r\n")
	interested(t, a, 1) // the inbox
	requester.Say("PUB service _INBOX.1 4\r\nhelp\r\n")
	requester.Want("HMSG _INBOX.1 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: service\r\n\r\n\r\n")
}

func TestQueueMemberGetsTheHeadOfItsOwnMessage(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	const rounds = 200
	var members [2]*wire.Client
	for i := range members {
		members[i] = dialModern(t, s)
		members[i].Say("SUB q workers 1\r\nSUB end 2\r\n")
		members[i].Sync()
	}
	pub := dialModern(t, s)
	pub.Say(strings.Repeat("PUB q 1\r\na\r\nPUB q reply 2\r\nbb\r\nPUB q reply 2\r\nbb\r\n", rounds) + "PUB end 0\r\n\r\n")
	bodies := map[string]string{"MSG q 1 1\r\n": "a\r\n", "MSG q 1 reply 2\r\n": "bb\r\n"}
	got := 0
	for _, m := range members {
		for head := m.Hear(""); head != "MSG end 2 0\r\n"; head = m.Hear("") {
			if body := m.Hear(""); bodies[head] != body {
				t.Fatalf("got %q with %q", head, body)
			}
			got++
		}
	}
	if got != 3*rounds {
		t.Errorf("got %d messages, want %d", got, 3*rounds)
	}
}

func TestInfoLine(t *testing.T) {
	t.Parallel()
	info := &Info{
		ID: "id", Name: "name", Version: "1.5.0", Proto: 1, GitCommit: "abc", GoVersion: "go1", Host: "h", Port: 1,
		Headers: true, AuthRequired: true, TLSRequired: true, TLSVerify: true, TLSAvailable: true, MaxPayload: 2,
		IP: "ip", CID: 3, ClientIP: "::1", Nonce: "n", Cluster: "c", ClientConnectURLs: []string{"u"}, LameDuckMode: true,
	}
	want := `INFO {"server_id":"id","server_name":"name","version":"1.5.0","proto":1,"git_commit":"abc","go":"go1",` +
		`"host":"h","port":1,"headers":true,"auth_required":true,"tls_required":true,"tls_verify":true,` +
		`"tls_available":true,"max_payload":2,"ip":"ip","client_id":3,"client_ip":"::1","nonce":"n","cluster":"c",` +
		`"connect_urls":["u"],"ldm":true} ` + "\r\n"
	if got := infoLine(info); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
