package server

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// TestDeliveryOfRandomMixes publishes random messages, with and without headers, to clients with
// plain, queue and limited subscriptions, some of which may not have some subjects, want no echo or
// know no headers, and some of which are of the system account, and decides message by message and
// subscription by subscription who must get what. Batches are flushed whole or every few messages,
// by one goroutine or by several.
func TestDeliveryOfRandomMixes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newMix(t, seed).run()
		})
	}
}

// mix is a server whose connections are driven by hand.
type mix struct {
	t       *testing.T
	r       *rand.Rand
	srv     *Server
	clients []*mixClient
	sent    []mixMessage
}

type mixMessage struct {
	from            *mixClient
	subject         string
	header, payload string
}

type mixClient struct {
	c       *client
	link    *fakeLink
	headers bool
	noEcho  bool
	system  bool // of the system account
	denied  string
	refused int // operations
	subs    []*mixSub
}

type mixSub struct {
	sid, pattern, queue string
	limit               int // 0 = none
	since               int // messages sent before it
	want                []int
}

func newMix(t *testing.T, seed uint64) *mix {
	r := rand.New(rand.NewPCG(seed, 31))
	opts := &Options{MaxPending: 1 << 30}
	if r.IntN(2) == 0 {
		opts.accounts = []account{{name: defaultSystemAccount}}
	}
	erraticPeers := r.IntN(2) == 0
	if !erraticPeers {
		opts.MaxPending = []int64{200, 3000, 1 << 20}[r.IntN(3)] // flushed that often
	}
	s, err := NewServer(opts)
	okay(t, err)
	if n := []int{0, 1, 4}[r.IntN(3)]; n > 0 {
		s.helpers.start(s, n)
		s.helpers.least, s.helpers.cores = 0, 8
		t.Cleanup(func() { close(s.quit); s.conns.Wait() })
	}
	m := &mix{t: t, r: r, srv: s}
	for range 3 + r.IntN(40) {
		m.join(erraticPeers)
	}
	return m
}

func (m *mix) join(erraticPeers bool) {
	l := new(fakeLink)
	if erraticPeers {
		seed := m.r.Uint64()
		l.try, l.wait = erratic(seed, false), erratic(seed+1, true)
	}
	mc := &mixClient{link: l, c: onFake(m.t, m.srv, l), headers: m.r.IntN(2) == 0, noEcho: m.r.IntN(4) == 0}
	deliverTo(m.t, mc.c, fmt.Sprintf("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":%v,\"echo\":%v}\r\n", mc.headers, !mc.noEcho))
	var permissions *Permissions
	if m.r.IntN(4) == 0 {
		mc.denied = "a.x"
		permissions = &Permissions{Subscribe: list("!" + mc.denied)}
		mc.c.permissions.Store(mustCompile(m.t, permissions))
	}
	if m.srv.system != nil && m.r.IntN(3) == 0 {
		mc.system = true
		mc.c.table = m.srv.system.table
		mc.c.inSystem.Store(true)
		mc.c.permissions.Store(ofSystem(m.t, permissions))
	}
	m.clients = append(m.clients, mc)
	for range m.r.IntN(4) {
		deliverTo(m.t, mc.c, m.subscribe(mc))
	}
}

// ofSystem returns permissions as a user of the system account has them.
func ofSystem(t *testing.T, p *Permissions) *access.Permissions {
	t.Helper()
	policy, _, err := access.NewPolicy(access.Settings{Users: []access.User{{Name: "s", Password: "p", System: true, Rules: p.rules()}}}, access.NewVerifier(nil))
	okay(t, err)
	id, err := policy.Check(t.Context(), &access.Credentials{User: "s", Password: "p"})
	okay(t, err)
	return id.Permissions
}

// subscribe adds a subscription, and returns what the client sends for it. Sids are often those of
// other clients.
func (m *mix) subscribe(mc *mixClient) (text string) {
	s := &mixSub{
		sid:     fmt.Sprint(len(mc.subs) + m.r.IntN(2)*1000),
		pattern: []string{"a.x", "a.y", "a.*", ">", "b.>", "b.z", "*.x", "$SYS.>"}[m.r.IntN(8)],
		since:   len(m.sent),
	}
	if s.pattern == "$SYS.>" && !mc.system {
		mc.refused++
		return fmt.Sprintf("SUB %s %s\r\n", s.pattern, s.sid)
	}
	if s.pattern == mc.denied || slices.ContainsFunc(mc.subs, func(o *mixSub) bool { return o.sid == s.sid }) {
		return ""
	}
	if m.r.IntN(3) == 0 {
		s.queue = []string{"q", "r"}[m.r.IntN(2)]
	}
	text = fmt.Sprintf("SUB %s %s %s\r\n", s.pattern, s.queue, s.sid)
	if m.r.IntN(4) == 0 {
		s.limit = 1 + m.r.IntN(60)
		text += fmt.Sprintf("UNSUB %s %d\r\n", s.sid, s.limit)
	}
	mc.subs = append(mc.subs, s)
	return text
}

func (m *mix) run() {
	for range 25 {
		m.publish(m.clients[m.r.IntN(len(m.clients))])
		if m.r.IntN(4) == 0 {
			mc := m.clients[m.r.IntN(len(m.clients))]
			deliverTo(m.t, mc.c, m.subscribe(mc))
		}
	}
	members := map[int]map[string]int{} // by message and group: members that got it
	for _, mc := range m.clients {
		m.check(mc, members)
	}
	m.checkGroups(members)
	if got := m.srv.io.Pending.Load(); got != 0 {
		m.t.Errorf("%d bytes pending at the end", got)
	}
}

// publish sends a batch of messages, many of which have a line that came before. Sometimes the
// publisher subscribes in between.
func (m *mix) publish(from *mixClient) {
	var text strings.Builder
	subject, size, headers := "", 0, false
	for i := range 1 + m.r.IntN(60) {
		if m.r.IntN(40) == 0 {
			text.WriteString(m.subscribe(from))
		}
		if i == 0 || m.r.IntN(3) == 0 {
			subject = []string{"a.x", "a.y", "b.z", "c", "$SYS.x"}[m.r.IntN(5)]
			size = []int{10, 11, 100, 9000}[m.r.IntN(4)]
			headers = from.headers && m.r.IntN(2) == 0
			if size > 100 && (m.srv.options().MaxPending < 1<<20 || m.r.IntN(8) > 0) {
				size = 12 // a message larger than the limit would end the connection
			}
		}
		msg := mixMessage{from: from, subject: subject, payload: fmt.Sprintf("%0*d", size, len(m.sent))}
		if headers {
			msg.header = "NATS/1.0\r\nA: b\r\n\r\n"
			fmt.Fprintf(&text, "HPUB %s %d %d\r\n%s%s\r\n", subject, len(msg.header), len(msg.header)+size, msg.header, msg.payload)
		} else {
			fmt.Fprintf(&text, "PUB %s %d\r\n%s\r\n", subject, size, msg.payload)
		}
		if subject == "$SYS.x" && !from.system {
			from.refused++
			continue
		}
		m.sent = append(m.sent, msg)
	}
	deliverTo(m.t, from.c, text.String())
}

// mayGet reports whether a subscription may get message i, as far as that does not depend on what
// it got before.
func (m *mix) mayGet(mc *mixClient, s *mixSub, i int) bool {
	msg := &m.sent[i]
	return i >= s.since && msg.from.system == mc.system && sublist.Matches(s.pattern, msg.subject) && msg.subject != mc.denied && !(mc.noEcho && msg.from == mc)
}

// check compares what a client got with what it must have got.
func (m *mix) check(mc *mixClient, members map[int]map[string]int) {
	allWritten(m.t, &mc.c.out)
	out, overlap := mc.link.taken()
	if overlap {
		m.t.Error("two wrote to one socket at a time")
	}
	got, last := map[string][]int{}, -1
	for r := bufio.NewReader(bytes.NewReader(out)); ; {
		sid, i := m.frame(r, mc)
		if sid == "" {
			break
		}
		if i < last {
			m.t.Errorf("message %d came after %d", i, last)
		}
		got[sid], last = append(got[sid], i), i
	}
	if mc.refused != 0 {
		m.t.Errorf("%d operations more were refused than were answered with -ERR", mc.refused)
	}
	for _, s := range mc.subs {
		if s.queue != "" {
			m.checkMember(mc, s, got[s.sid], members)
			continue
		}
		var want []int
		for i := range m.sent {
			if m.mayGet(mc, s, i) && (s.limit == 0 || len(want) < s.limit) {
				want = append(want, i)
			}
		}
		if !slices.Equal(got[s.sid], want) {
			m.t.Errorf("SUB %s %s, limit %d: got %d messages, want %d: %.80s, %.80s", s.pattern, s.sid, s.limit, len(got[s.sid]), len(want), fmt.Sprint(got[s.sid]), fmt.Sprint(want))
		}
	}
}

// frame reads one message and checks its bytes.
func (m *mix) frame(r *bufio.Reader, mc *mixClient) (sid string, i int) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", 0
	}
	f := strings.Fields(line)
	if f[0] == "-ERR" {
		mc.refused--
		return m.frame(r, mc)
	}
	size, _ := strconv.Atoi(f[len(f)-1])
	text := make([]byte, size+2)
	if _, err := r.Read(text[:0]); err != nil {
		m.t.Fatal(err)
	}
	for n := 0; n < len(text); {
		k, err := r.Read(text[n:])
		okay(m.t, err)
		n += k
	}
	body := string(text[:size])
	if f[0] == "HMSG" {
		header, _ := strconv.Atoi(f[3])
		body = body[header:]
	}
	if i, err = strconv.Atoi(body); err != nil || i >= len(m.sent) {
		m.t.Fatalf("%q is no payload", body)
	}
	msg := &m.sent[i]
	want := fmt.Sprintf("MSG %s %s %d\r\n%s\r\n", msg.subject, f[2], len(msg.payload), msg.payload)
	if msg.header != "" && mc.headers {
		want = fmt.Sprintf("HMSG %s %s %d %d\r\n%s%s\r\n", msg.subject, f[2], len(msg.header), len(msg.header)+len(msg.payload), msg.header, msg.payload)
	}
	if line+string(text) != want {
		m.t.Fatalf("got %.100q, want %.100q", line+string(text), want)
	}
	return f[2], i
}

// checkMember checks what one member of a queue group got, and notes it.
func (m *mix) checkMember(mc *mixClient, s *mixSub, got []int, members map[int]map[string]int) {
	if s.limit > 0 && len(got) > s.limit {
		m.t.Errorf("a member got %d messages, its limit is %d", len(got), s.limit)
	}
	for _, i := range got {
		if !m.mayGet(mc, s, i) {
			m.t.Errorf("a member of %s on %s got message %d on %s", s.queue, s.pattern, i, m.sent[i].subject)
		}
		if members[i] == nil {
			members[i] = map[string]int{}
		}
		members[i][s.queue]++
	}
	s.want = got
}

// checkGroups checks that each message reached one member of each group that has any for it.
func (m *mix) checkGroups(members map[int]map[string]int) {
	for i := range m.sent {
		for _, queue := range []string{"q", "r"} {
			able, free := 0, 0
			for _, mc := range m.clients {
				for _, s := range mc.subs {
					if s.queue != queue || !m.mayGet(mc, s, i) {
						continue
					}
					able++
					if before := slices.IndexFunc(s.want, func(k int) bool { return k > i }); s.limit == 0 || len(s.want) < s.limit || before >= 0 {
						free++
					}
				}
			}
			if n := members[i][queue]; n > 1 || n == 0 && free > 0 {
				m.t.Errorf("message %d on %s: %d members of %s got it; %d could, %d of them had room", i, m.sent[i].subject, n, queue, able, free)
			}
		}
	}
}
