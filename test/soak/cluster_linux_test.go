package soak

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// patience bounds every wait. It is long, because only a failure uses it up.
const patience = 2 * time.Minute

// secure is the server whose clients use TLS; routes do between all.
const secure = 2

// cluster is three servers, each a process, with a proxy in front of its port for routes.
type cluster struct {
	t         *testing.T
	dir       string
	authority *certs.Authority
	trusted   *tls.Config
	nodes     []*node
}

// node is one of the servers.
type node struct {
	c               *cluster
	number          int
	dir             string
	proxy           *proxy
	cmd             *exec.Cmd
	addr            string // for clients
	pages, profiler string // URLs
	renewed         int    // certificates
	strict          bool   // the second of two sets of permissions is in force

	mu        sync.Mutex // guards what follows
	news      sync.Cond
	lines     []string          // of the log; the last ones
	count     int               // of lines since the start
	explained map[string]string // by address of a client: why it was disconnected
	ended     bool              // the log has ended
}

// startCluster builds the program and starts the servers. They end with the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	program := build(t, c.dir)
	var err error
	c.authority, err = certs.NewAuthority("soak")
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.authority.PEM())
	c.trusted = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	for i := range servers {
		n := &node{c: c, number: i, dir: filepath.Join(c.dir, strconv.Itoa(i)), proxy: startProxy(t), explained: map[string]string{}}
		n.news.L = &n.mu
		must(t, os.Mkdir(n.dir, 0o755))
		must(t, os.WriteFile(filepath.Join(n.dir, "ca.pem"), c.authority.PEM(), 0o644))
		n.renew()
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		n.start(program)
	}
	return c
}

// build builds the program, where possible in memory: pages of code that come from a disk are taken
// from the resident memory when the machine is short of memory, and come back later.
func build(t *testing.T, dir string) (program string) {
	t.Helper()
	program = filepath.Join(dir, "gnatsd")
	if out, err := exec.Command("go", "build", "-o", program, "gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	shared, err := os.MkdirTemp("/dev/shm", "gnatsd-soak")
	if err != nil {
		return program
	}
	t.Cleanup(func() { os.RemoveAll(shared) })
	inMemory := filepath.Join(shared, "gnatsd")
	if text, err := os.ReadFile(program); err != nil || os.WriteFile(inMemory, text, 0o755) != nil || exec.Command(inMemory, "-v").Run() != nil {
		t.Log("the program runs from a disk: /dev/shm has no room, or may not hold programs")
		return program
	}
	return inMemory
}

// configuration is the file of a server. Records of closed connections are few, so that they are
// complete before memory is measured.
func (n *node) configuration() string {
	routes := make([]string, 0, servers)
	for _, o := range n.c.nodes {
		if o != n {
			routes = append(routes, strconv.Quote("nats-route://"+o.proxy.addr()))
		}
	}
	files := `tls { cert_file: "server-cert.pem", key_file: "server-key.pem", ca_file: "ca.pem", timeout: 30 }`
	text := fmt.Sprintf(`server_name: n%d
listen: "127.0.0.1:-1"
http: "127.0.0.1:-1"
max_closed_clients: 50
max_pending: 1MB
max_payload: 512KB
write_deadline: "10s"
ping_interval: "1m"
cluster { name: soak, listen: "127.0.0.1:-1", cluster_advertise: "%s", pool_size: 2, compression: s2_fast, routes: [%s], %s }
authorization {
  timeout: 30
  users: [ { user: all, password: p }, { user: some, password: p, permissions: %s } ]
}
`, n.number, n.proxy.addr(), strings.Join(routes, ", "), files, permissions(rulesOf("some", n.strict)))
	if n.number == secure {
		text += files + "\n"
	}
	if *profile {
		text += "prof_port: -1\n"
	}
	return text
}

func (n *node) start(program string) {
	t := n.c.t
	t.Helper()
	must(t, os.WriteFile(n.file(), []byte(n.configuration()), 0o600))
	n.cmd = exec.Command(program, "-c", n.file())
	n.cmd.Dir = n.dir
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := n.cmd.StderrPipe()
	must(t, err)
	must(t, n.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() { n.read(log) }) // ends with the process
	t.Cleanup(func() {
		n.cmd.Process.Kill()
		reading.Wait()
		n.cmd.Wait()
	})
	n.addr = n.await(0, `Listening for client connections on (\S+)$`)
	n.proxy.change(func() { n.proxy.target = n.await(0, `Listening for route connections on (\S+)$`) })
	n.pages = "http://" + n.await(0, `Starting http monitor on (\S+)$`)
	if *profile {
		n.profiler = "http://127.0.0.1:" + n.await(0, `profiling port: (\d+)$`)
	}
}

func (n *node) file() string { return filepath.Join(n.dir, "gnatsd.conf") }

// ofClient finds the address of a client in a line of the log, and what is said of it.
var ofClient = regexp.MustCompile(`\[(INF|WRN|ERR)\] (\S+) - cid:\d+ - (.*)$`)

// refusal finds what a client is refused and stays connected.
var refusal = regexp.MustCompile(`^(Publish|Subscription) Violation`)

// read collects the log until it ends.
func (n *node) read(log io.Reader) {
	for scan := bufio.NewScanner(log); scan.Scan(); {
		n.note(scan.Text())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	n.news.Broadcast()
}

func (n *node) note(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	if n.lines = append(n.lines, line); len(n.lines) > 400 {
		n.lines = append(n.lines[:0], n.lines[200:]...)
	}
	if m := ofClient.FindStringSubmatch(line); m != nil && !refusal.MatchString(m[3]) {
		n.explained[m[2]] = m[3]
	}
	n.news.Broadcast()
}

// said returns how many lines the log has.
func (n *node) said() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}

// await waits for a line of the log after the first ones, and returns what its parentheses matched.
func (n *node) await(after int, pattern string) (found string) {
	n.c.t.Helper()
	re := regexp.MustCompile(pattern)
	if !n.until(func() bool {
		for i, line := range n.lines {
			if m := re.FindStringSubmatch(line); m != nil && n.count-len(n.lines)+i >= after {
				found = m[len(m)-1]
				return true
			}
		}
		return false
	}) {
		n.c.t.Fatalf("no %s in the log of n%d", pattern, n.number)
	}
	return found
}

// until waits for news of the log until ok, which is called under the lock.
func (n *node) until(ok func() bool) bool {
	late := false
	timer := time.AfterFunc(patience, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		late = true
		n.news.Broadcast()
	})
	defer timer.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for !ok() {
		if late || n.ended {
			return false
		}
		n.news.Wait()
	}
	return true
}

// awaitReason waits until the log says why a client was disconnected, and forgets it.
func (n *node) awaitReason(addr string) (why string) {
	n.c.t.Helper()
	if !n.until(func() bool { why = n.explained[addr]; return why != "" }) {
		n.c.t.Errorf("the log of n%d does not say why it disconnected %s", n.number, addr)
	}
	return why
}

// forget forgets why clients were disconnected.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.explained)
}

// tail is the end of the log.
func (n *node) tail() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines[max(0, len(n.lines)-60):], "\n")
}

// reload writes the file again and waits until it is in force.
func (n *node) reload() {
	n.c.t.Helper()
	must(n.c.t, os.WriteFile(n.file(), []byte(n.configuration()), 0o600))
	after := n.said()
	must(n.c.t, n.cmd.Process.Signal(syscall.SIGHUP))
	n.await(after, `(Reloaded server configuration)`)
}

// renew writes another certificate.
func (n *node) renew() {
	n.c.t.Helper()
	n.renewed++
	pair, err := n.c.authority.Issue(certs.Request{Subject: pkix.Name{CommonName: fmt.Sprintf("renewed %d", n.renewed)}, Hosts: certs.Local()})
	must(n.c.t, err)
	must(n.c.t, pair.Write(n.dir, "server"))
}

// dial connects a client; where its server has TLS, what is read next is INFO all the same.
func (n *node) dial() (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", n.addr, patience)
	if err != nil || n.number != secure {
		return nc, err
	}
	info, err := bufio.NewReaderSize(nc, 16).ReadString('\n')
	if err == nil {
		conn := tls.Client(nc, n.c.trusted)
		nc.SetDeadline(time.Now().Add(patience))
		if err = conn.Handshake(); err == nil {
			nc.SetDeadline(time.Time{})
			return &afterInfo{Conn: conn, raw: nc, info: strings.NewReader(info)}, nil
		}
	}
	nc.Close()
	return nil, err
}

// certificate returns the name in the certificate that a server has now.
func (n *node) certificate() (string, error) {
	nc, err := n.dial()
	if err != nil {
		return "", err
	}
	defer nc.Close()
	return nc.(*afterInfo).Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// afterInfo is a connection over TLS that begins with the INFO that came before TLS.
type afterInfo struct {
	net.Conn
	raw  net.Conn
	info *strings.Reader
}

// Read reads INFO, then the connection.
func (a *afterInfo) Read(p []byte) (int, error) {
	if a.info.Len() > 0 {
		return a.info.Read(p)
	}
	return a.Conn.Read(p)
}

// get reads a page.
func get(t *testing.T, url string) []byte {
	t.Helper()
	client := http.Client{Timeout: patience}
	r, err := client.Get(url)
	must(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	if r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, r.Status)
	}
	return text
}

// measure returns what a server holds.
func (n *node) measure() (s sample) {
	t := n.c.t
	t.Helper()
	var page struct {
		Connections, Subscriptions int
		Pending                    int64 `json:"pending_bytes"`
	}
	must(t, json.Unmarshal(get(t, n.pages+"/varz"), &page))
	s.server, s.connections, s.subscriptions, s.pending = n.number, page.Connections, page.Subscriptions, page.Pending
	metrics := get(t, n.pages+"/metrics")
	stat := func(name string) int64 {
		value, err := strconv.ParseFloat(found(t, metrics, `(?m)^`+name+` (\S+)$`), 64)
		must(t, err)
		return int64(value)
	}
	memory := func(name string) int64 { return stat("go_memstats_" + name + "_bytes") }
	s.goroutines = int(stat("go_goroutines"))
	s.heap = stat("go_gc_heap_live_bytes")
	s.free = memory("heap_idle") - memory("heap_released")
	s.between = memory("heap_inuse") - memory("heap_alloc")
	s.stacks = memory("stack_inuse")
	s.records = memory("buck_hash_sys")
	s.runtime = memory("mspan_sys") + memory("mcache_sys") + memory("gc_sys") + memory("other_sys")
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	must(t, err)
	s.files = len(list)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	must(t, err)
	s.resident = int64(number(t, status, `VmRSS:\s+(\d+) kB`)) << 10
	s.anonymous = int64(number(t, status, `RssAnon:\s+(\d+) kB`)) << 10
	times, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	must(t, err)
	const used = `\) . (?:-?\d+ ){10}` // before the ticks of user time, then those of system time
	s.cpu = time.Duration(number(t, times, used+`(\d+)`)+number(t, times, used+`\d+ (\d+)`)) * time.Second / 100
	return s
}

// number finds a number.
func number(t *testing.T, text []byte, pattern string) int {
	t.Helper()
	n, err := strconv.Atoi(found(t, text, pattern))
	must(t, err)
	return n
}

// found returns what the group of a pattern matches.
func found(t *testing.T, text []byte, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %.200s", pattern, text)
	}
	return string(m[1])
}
