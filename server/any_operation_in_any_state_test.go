package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// This file sends any verb in any state to every kind of listener: nothing may break, nothing be
// left behind, and nothing be accepted before a login.

// fragments are what a script of FuzzStates is made of, by number.
var fragments = []string{
	"PING\r\n", "PONG\r\n", "+OK\r\n", "-ERR 'x'\r\n", "INFO {}\r\n", "INFO {\r\n", "INFO []\r\n",
	`INFO {"server_id":"X","host":"127.0.0.1","port":1}` + "\r\n",
	`INFO {"server_id":"X","version":"1.5.0","headers":true,"connect_urls":["127.0.0.1:1","x"],"import":{"deny":["a"]}}` + "\r\n",
	`INFO {"server_id":"Y","ip":"nats-route://127.0.0.1:1/","port":1,"auth_required":true}` + "\r\n",
	`INFO {"server_id":"Y","lost":true}` + "\r\n", `INFO {"server_id":"Z","ip":"nats-route:///","port":-1}` + "\r\n",
	"CONNECT {}\r\n", "CONNECT\r\n", "CONNECT null\r\n", "CONNECT []\r\n", "CONNECT {\"verbose\":1}\r\n", "CONNECT {",
	`CONNECT {"verbose":true,"pedantic":true,"name":"X"}` + "\r\n", `CONNECT {"verbose":false,"name":"N","headers":true,"no_responders":true}` + "\r\n",
	`CONNECT {"lang":"go","protocol":1}` + "\r\n", `CONNECT {"protocol":7}` + "\r\n",
	`CONNECT {"user":"u","pass":"wrong"}` + "\r\n", `CONNECT {"USER":"u","user":"","pass":"","auth_token":"p"}` + "\r\n",
	"SUB a 1\r\n", "SUB > 2\r\n", "SUB a.* g 3\r\n", "SUB a  RSID:1:1\r\n", "SUB a g QRSID:1:1\r\n", "SUB a..b 4\r\n", "SUB\r\n", "SUB \n",
	"UNSUB 1\r\n", "UNSUB 2 1\r\n", "UNSUB RSID:1:1\r\n", "UNSUB 1 x y\r\n",
	"PUB a 2\r\nhi\r\n", "PUB a r 0\r\n\r\n", "PUB a 2\r\nhiX\n", "PUB _SYS.a 0\r\n\r\n", "PUB a 999999999\r\n", "PUB a 99999999999999999999\r\n", "PUB a -1\r\n",
	"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "HPUB a 99 12\r\n",
	"MSG a RSID:1:1 2\r\nhi\r\n", "MSG a QRSID:1:1 r 2\r\nhi\r\n", "MSG a QRSID::: 0\r\n\r\n", "MSG a 18446744073709551617\r\n", "HMSG a RSID:1:1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
	"\r\n", "\n", " ", "\x00", "C", "c", "PI", "P", "NG\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "{\"user\":\"u\"}\r\n",
	"SUB " + strings.Repeat("x", 5000) + " 1\r\n", "CONNECT {\"name\":\"" + strings.Repeat("y", 5000) + "\"}\r\n", strings.Repeat("z", 70000), "PING" + strings.Repeat(" ", 5000) + "\r\n",
}

// Numbers of a script above those of the fragments.
const (
	scriptWrite = 250 + iota // what precedes is written, what follows is another write
	scriptReset              // the connection is reset
	scriptRaw                // the next byte as it is
)

// testPort is one way to a server under test.
type testPort struct {
	underTest *underTest
	route     bool
	secure    bool // what is said is said inside TLS
}

func (d *testPort) String() string {
	return fmt.Sprintf("route=%v login=%v tls=%v inside=%v", d.route, d.underTest.login, d.underTest.tls != nil, d.secure)
}

// underTest is a server under test, and a client that watches it.
type underTest struct {
	s       *Server
	login   bool
	memory  *memoryNet   // that it listens on; nil = sockets
	tls     *tls.Config  // of its peers
	watcher *wire.Client // subscribed to everything; nil if no login is asked for
}

// silentLog takes every line, also those of debugging and traces.
type silentLog struct{}

func (silentLog) Noticef(f string, v ...any) { fmt.Fprintf(io.Discard, f, v...) }
func (silentLog) Warnf(f string, v ...any)   { fmt.Fprintf(io.Discard, f, v...) }
func (silentLog) Errorf(f string, v ...any)  { fmt.Fprintf(io.Discard, f, v...) }
func (silentLog) Fatalf(f string, v ...any)  { fmt.Fprintf(io.Discard, f, v...) }
func (silentLog) Debugf(f string, v ...any)  { fmt.Fprintf(io.Discard, f, v...) }
func (silentLog) Tracef(f string, v ...any)  { fmt.Fprintf(io.Discard, f, v...) }

// startUnderTest starts a server with a port for clients and one for routes, on a network in memory
// unless that is nil.
func startUnderTest(t testing.TB, memory *memoryNet, login, secure bool) *underTest {
	t.Helper()
	h := &underTest{login: login, memory: memory}
	h.s = broker(t, func(o *Options) {
		if memory != nil {
			o.network = memory
		}
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.MaxControlLine = 4096
		o.PingInterval = time.Hour // a watcher that is sent a PING receives something else than messages
		if login {
			o.Users = []*User{{Username: "u", Password: "right"}, {Username: "w", Password: "watch"}}
			o.Cluster.Username, o.Cluster.Password = "u", "right"
		}
		if secure {
			config := mustTLS(t, certOpts(certDir(t), "server"))
			o.TLSConfig, o.Cluster.TLSConfig = config, config
			h.tls = &tls.Config{RootCAs: config.ClientCAs, ServerName: "localhost", Certificates: config.Certificates}
		}
	})
	h.s.SetLogger(silentLog{}, true, true)
	if login {
		h.watcher = h.watch(t)
	}
	return h
}

// watch connects a client that receives everything.
func (h *underTest) watch(t testing.TB) *wire.Client {
	t.Helper()
	nc, err := (&testPort{underTest: h, secure: h.tls != nil}).open()
	okay(t, err)
	w := wire.Of(t, nc)
	w.Say(`CONNECT {"verbose":false,"user":"w","pass":"watch"}`, "SUB > 1")
	w.Sync()
	return w
}

// open connects, as far as the first byte of what a script says.
func (d *testPort) open() (net.Conn, error) {
	addr := d.underTest.s.Addr()
	if d.route {
		addr = d.underTest.s.ClusterAddr()
	}
	dial := func() (net.Conn, error) { return net.Dial("tcp", addr.String()) }
	if d.underTest.memory != nil {
		dial = func() (net.Conn, error) { return d.underTest.memory.Dial(addr.String(), 0) }
	}
	nc, err := dial()
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(2 * patience))
	if !d.route {
		err = skipLine(nc)
	}
	if err == nil && d.secure {
		c := tls.Client(nc, d.underTest.tls)
		err = c.Handshake()
		nc = c
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// skipLine reads to the end of a line and not further.
func skipLine(r io.Reader) error {
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil || b[0] == '\n' {
			return err
		}
	}
}

// writes splits a script into what is written at a time. reset says how it ends.
func writes(script []byte) (parts []string, reset bool) {
	var part strings.Builder
	for i := 0; i < len(script); i++ {
		switch n := int(script[i]); {
		case n == scriptWrite:
			parts = append(parts, part.String())
			part.Reset()
		case n == scriptReset:
			return append(parts, part.String()), true
		case n == scriptRaw && i+1 < len(script):
			i++
			part.WriteByte(script[i])
		default:
			part.WriteString(fragments[n%len(fragments)])
		}
	}
	return append(parts, part.String()), false
}

// play lets a script go in, and sees that nothing of it stays.
func (d *testPort) play(t testing.TB, script []byte) {
	t.Helper()
	nc, err := d.open()
	okay(t, err)
	defer nc.Close()
	parts, reset := writes(script)
	ended := make(chan error, 1)
	go func() { // ends with the connection; received below
		_, err := io.Copy(io.Discard, nc)
		ended <- err
	}()
	for _, part := range parts {
		if _, err := io.WriteString(nc, part); err != nil {
			break // it was shown the testPort
		}
		runtime.Gosched()
	}
	switch half, ok := nc.(interface{ CloseWrite() error }); {
	case reset:
		if tcp, ok := nc.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		nc.Close()
	case ok:
		half.CloseWrite()
	}
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v: not closed after %q", d, parts)
	}
	nc.Close()
	d.underTest.settled(t, d, parts)
}

// settled sees that a server is as it was before a connection came and went.
func (h *underTest) settled(t testing.TB, d *testPort, parts []string) {
	t.Helper()
	clients, subs := 0, uint32(0)
	if h.watcher != nil {
		clients, subs = 1, 1
	}
	eventually(t, fmt.Sprintf("%v: nothing is left of %.300q", d, parts), func() bool {
		h.s.cluster.mu.Lock()
		links := len(h.s.cluster.routes)
		h.s.cluster.mu.Unlock()
		return h.s.NumClients() == clients && h.s.NumSubscriptions() == subs && links == 0
	})
	if h.watcher == nil {
		return
	}
	got, err := h.watcher.Fence()
	okay(t, err)
	if len(got) > 0 {
		t.Fatalf("%v: without a login %q was published with %q", d, got[0].Subject, parts)
	}
}

// allPorts are all ways into all kinds of servers.
func allPorts(t testing.TB, memory *memoryNet) (all []*testPort) {
	for _, login := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			h := startUnderTest(t, memory, login, secure)
			for _, route := range []bool{false, true} {
				all = append(all, &testPort{underTest: h, route: route})
				if secure {
					all = append(all, &testPort{underTest: h, route: route, secure: true})
				}
			}
		}
	}
	return all
}

// FuzzStates plays scripts at every kind of testPort.
func FuzzStates(f *testing.F) {
	for i := range fragments { // TestRandomStates has more, at each port
		f.Add(uint8(i), []byte{byte(i), scriptWrite, byte(i)})
	}
	oneThread()
	all := allPorts(f, newMemoryNet())
	f.Fuzz(func(t *testing.T, number uint8, script []byte) {
		if len(script) > 40 {
			return // nothing new, and slow
		}
		all[int(number)%len(all)].play(t, script)
	})
}

// TestRandomStates plays random scripts and counts what is left in the process. It runs alone, so
// that it can.
func TestRandomStates(t *testing.T) {
	rounds := 600 // at each testPort
	if raceEnabled {
		rounds = 40
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	all := allPorts(t, nil)
	play := func(rounds int) {
		for _, d := range all {
			for range rounds {
				d.play(t, randomScript(rnd))
			}
		}
	}
	play(rounds / 10) // pools fill, helpers of the runtime start
	goroutines, files, before := runtime.NumGoroutine(), openFiles(), liveHeap()
	play(rounds)
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "no file is left", func() bool { return openFiles() <= files })
	if grown := int64(liveHeap()) - int64(before); grown > 4<<20 {
		t.Errorf("%d bytes are left of %d visits", grown, rounds*len(all))
	}
	for _, d := range all {
		if n := len(d.underTest.s.cluster.targets()); n > 2 { // those that were advertised and may come
			t.Errorf("%v: %d servers are remembered", d, n)
		}
	}
}

func randomScript(rnd *rand.Rand) []byte {
	script := make([]byte, 1+rnd.IntN(12))
	for i := range script {
		switch rnd.IntN(12) {
		case 0, 1, 2:
			script[i] = scriptWrite
		case 3:
			script[i] = byte(rnd.Uint32())
		default:
			script[i] = byte(rnd.IntN(len(fragments)))
		}
	}
	return script
}

// liveHeap is what the heap holds after a collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what pools had let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestEveryFragmentFitsIntoAByte(t *testing.T) {
	t.Parallel()
	if len(fragments) >= scriptWrite || slices.Contains(fragments, "") {
		t.Errorf("%d fragments", len(fragments))
	}
}
