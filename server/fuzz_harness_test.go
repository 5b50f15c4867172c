package server

import (
	"context"
	"flag"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/check"
	"gnatsd/test/wire"
)

// This file is what the fuzz targets of whole servers have in common: a network in memory, and
// clients that must notice nothing of what is done to their server. What is called for each message calls
// no t.Helper: that takes longer than the message.

// memoryNet is a network in memory, without delays. What connects has the address 10.0.0.1.
type memoryNet struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	ports     int
}

func newMemoryNet() *memoryNet { return &memoryNet{listeners: map[string]*memoryListener{}} }

func (n *memoryNet) Listen(addr string) (net.Listener, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	port, err := strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return nil, fmt.Errorf("listen tcp: address %s: invalid port", addr)
	}
	if port == 0 {
		n.ports++
		port = 30000 + n.ports%30000
	}
	ip := net.ParseIP(host)
	if ip == nil {
		ip = net.IPv4(127, 0, 0, 1)
	}
	l := &memoryListener{of: n, addr: &net.TCPAddr{IP: ip, Port: port}, conns: make(chan net.Conn, 16), closed: make(chan struct{})}
	for _, other := range n.listeners {
		if other.addr.Port == port && (other.addr.IP.Equal(ip) || other.addr.IP.IsUnspecified() || ip.IsUnspecified()) {
			return nil, fmt.Errorf("listen tcp %s: address already in use", addr)
		}
	}
	n.listeners[l.addr.String()] = l
	return l, nil
}

func (n *memoryNet) Dial(addr string, _ time.Duration) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.ports++
	from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1024 + n.ports%60000}
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial tcp %s: connection refused", addr)
	}
	here, there := netio.Pipe()
	select {
	case l.conns <- memoryConn{there.(memoryEnd), l.addr, from}:
		return memoryConn{here.(memoryEnd), from, l.addr}, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial tcp %s: connection refused", addr)
	}
}

func (n *memoryNet) LookupHost(_ context.Context, host string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

type memoryListener struct {
	of     *memoryNet
	addr   *net.TCPAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		delete(l.of.listeners, l.addr.String())
		close(l.closed)
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }

// memoryEnd is what an end of a [netio.Pipe] can do.
type memoryEnd interface {
	net.Conn
	CloseWrite() error
	TryWrite(b []byte) (int, error)
}

// memoryConn is an end of a connection of a memoryNet.
type memoryConn struct {
	memoryEnd
	local, remote *net.TCPAddr
}

func (c memoryConn) LocalAddr() net.Addr  { return c.local }
func (c memoryConn) RemoteAddr() net.Addr { return c.remote }

// memoryOptions returns options of a server on a memoryNet, where nothing happens by itself.
func memoryOptions(n *memoryNet) *Options {
	o := Defaults()
	o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
	o.network = n
	o.PingInterval = 24 * time.Hour
	o.WriteDeadline = time.Minute
	return o
}

// startInMemory starts a server that logs to nothing. The caller shuts it down.
func startInMemory(t testing.TB, o *Options) *Server {
	t.Helper()
	s, err := NewServer(o)
	okay(t, err)
	s.SetLogger(silentLog{}, false, false)
	go s.Start() // ends with Shutdown, which waits
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return s
}

// oneThread lets a process that fuzzes use one thread: executions follow each other, and what they
// wait for is done by goroutines that take turns, which costs a tenth of waking threads. Other tests
// are left alone.
func oneThread() {
	if fuzzes() {
		runtime.GOMAXPROCS(1)
		debug.SetGCPercent(800) // the heap is small
	}
}

// fuzzes reports whether this is a process that fuzzes: make fuzz runs it, and not go test.
func fuzzes() bool {
	f := flag.Lookup("test.fuzzworker")
	return f != nil && f.Value.String() == "true"
}

// executionTime bounds one execution. A process that fuzzes is ended, without a word, if one takes ten
// seconds; tests that share a machine with others may take longer.
func executionTime() time.Duration {
	if fuzzes() {
		return 7 * time.Second
	}
	return patience
}

// soon waits until ok is true, which it mostly is after other goroutines had their turn.
func soon(t testing.TB, what string, ok func() bool) {
	for range 100 {
		if ok() {
			return
		}
		runtime.Gosched()
	}
	late := time.After(executionTime())
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("still not: %s", what)
		}
	}
}

// limit closes the connections of the clients if done is not called in time, so that an execution
// fails that waits for what does not come.
func (b *bystanders) limit() (done func() bool) {
	return time.AfterFunc(executionTime(), func() {
		for _, c := range b.clients {
			c.conn.Close()
		}
	}).Stop
}

// bystanders are clients that number what they publish while something is done to their server, and
// the record of it. They are used by one goroutine, and their connections stay from one execution of
// a fuzz target to the next.
type bystanders struct {
	clients []*bystander
	events  []check.Event
	joined  int // length of events after the logins and first subscriptions
}

// bystander is one of them.
type bystander struct {
	of     *bystanders
	number int
	conn   *wire.Conn
	text   []byte // to be sent
	n      int    // publications
	sids   int
	ends   int // messages on own.end that it has received, see startAttackedByRoutes
}

// bystanderMark is in all that bystanders publish, and in no script.
const bystanderMark = "bystander"

// join logs a client in over nc, with what it sends in CONNECT.
func (b *bystanders) join(t testing.TB, nc net.Conn, server int, connect string) *bystander {
	t.Helper()
	c := &bystander{of: b, number: len(b.clients) + 1, conn: wire.New(nc)}
	_, err := c.conn.Line() // INFO
	okay(t, err)
	okay(t, c.conn.Send("CONNECT "+connect+"\r\n"))
	b.clients = append(b.clients, c)
	c.note(check.Event{Kind: check.Joined, Server: server})
	return c
}

func (c *bystander) note(e check.Event) {
	e.Client = c.number
	c.of.events = append(c.of.events, e)
}

func (c *bystander) subscribe(t testing.TB, pattern, queue string) {
	t.Helper()
	c.sids++
	sid := strconv.Itoa(c.sids)
	c.note(check.Event{Kind: check.Subscribed, Sid: sid, Pattern: pattern, Queue: queue})
	okay(t, c.conn.Send("SUB "+pattern+" "+queue+" "+sid+"\r\n"))
	c.fence(t)
}

// publish prepares a message. It is sent by flush or fence.
func (c *bystander) publish(subject string) {
	c.n++
	c.note(check.Event{Kind: check.Published, N: c.n, Subject: subject})
	payload := fmt.Appendf(nil, bystanderMark+" %d %d", c.number, c.n)
	c.text = fmt.Appendf(c.text, "PUB %s %d\r\n%s\r\n", subject, len(payload), payload)
}

// flush sends what was published, or the first n bytes of it.
func (c *bystander) flush(t testing.TB, n int) {
	n = min(n, len(c.text))
	okay(t, c.conn.Send(string(c.text[:n])))
	c.text = c.text[:copy(c.text, c.text[n:])]
}

// fence sends what was published and a PING, and takes what comes before its PONG.
func (c *bystander) fence(t testing.TB) {
	c.note(check.Event{Kind: check.Pinged})
	c.text = append(c.text, "PING\r\n"...)
	c.flush(t, len(c.text))
	for c.next(t) {
	}
	c.note(check.Event{Kind: check.Ponged})
}

// next takes what comes next. It reports false for a PONG.
func (c *bystander) next(t testing.TB) bool {
	m, err := c.conn.Next()
	if err != nil {
		t.Fatalf("client %d: %v", c.number, err)
	}
	if m != nil {
		c.received(m)
		if m.Subject == "own.end" {
			c.ends++
		}
	}
	return m != nil
}

// received records a message, unless others have published it on a subject of theirs.
func (c *bystander) received(m *wire.Message) {
	rest, ok := strings.CutPrefix(string(m.Payload), bystanderMark+" ")
	from, n, two := strings.Cut(rest, " ")
	switch publisher, err := strconv.Atoi(from); {
	case ok && two && err == nil:
		number, _ := strconv.Atoi(n) // 0 is no publication
		c.note(check.Event{Kind: check.Received, Sid: m.Sid, Message: check.ID{Client: publisher, N: number}, Subject: m.Subject, Reply: m.Reply})
	case strings.HasPrefix(m.Subject, "own."):
		c.note(check.Event{Kind: check.Garbled, Text: wire.Excerpt(m.Subject + " " + string(m.Payload))})
	}
}

// ready ends the part of the record that all executions have in common. settled are the servers that
// know all interest of each other.
func (b *bystanders) ready(settled ...int) {
	if len(settled) > 1 {
		b.events = append(b.events, check.Event{Kind: check.Settled, Servers: settled})
	}
	b.joined = len(b.events)
}

// judge fails if something is wrong with what the clients received in one execution, and begins the
// next one.
func (b *bystanders) judge(t testing.TB) {
	t.Helper()
	b.events = append(b.events, check.Event{Kind: check.Quiet})
	report := check.Judge(b.events)
	for i, fault := range report.Faults {
		if i == 0 {
			for at, e := range b.events {
				t.Logf("event %d: %v", at, e)
			}
		}
		t.Error(fault)
	}
	b.events = b.events[:b.joined]
}

// goroutines notices goroutines that executions leave behind.
type goroutines struct {
	first int // how many there were before
	some  int // that may come and go
}

// check fails if there are some more goroutines than at first, and they do not end.
func (l *goroutines) check(t testing.TB) {
	some := max(l.some, 8) // those of the runtime
	if l.first == 0 {
		l.first = runtime.NumGoroutine()
	}
	if runtime.NumGoroutine() > l.first+some {
		soon(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= l.first+some })
	}
}
