//go:build linux && (amd64 || arm64)

package torture

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gnatsd/test/check"
)

// session is one life of a broker, in which a call fails.
type session struct {
	w     *world
	fault fault
	duck  bool // it ends in lame duck mode
	peer  *peer
	dir   string
	*supervisor
	cmd     *exec.Cmd
	out     output
	exited  chan struct{} // closed when the program has ended; nil if it could not be started
	log     *check.Log
	members []*check.Client
	settled int
	causes  []string // addresses of clients of which the log must say why they were disconnected
	lost    int      // routes, as the log says
	payload int      // maximum, which a reload changes

	client, monitor string // addresses
	problems        []string
	refused         bool           // it did not start
	descriptors     map[string]int // at the end, without clients
	goroutines      int
}

// broker and other are the numbers of the servers.
const broker, other = 0, 1

// giveUp is the value of a panic that ends a session.
type giveUp struct{}

// play plays a session, and returns it with its problems.
func (w *world) play(p *peer, f fault, duck bool) *session {
	s := &session{w: w, fault: f, duck: duck, peer: p, supervisor: newSupervisor(f), log: new(check.Log), payload: 1000000}
	dir, err := os.MkdirTemp(w.dir, "session-")
	if err != nil {
		s.problem("%v", err)
		return s
	}
	s.dir = dir
	defer os.RemoveAll(dir)
	s.files, s.nameServer = w.files, w.nameServer
	s.name(portOf(p.route), "route")
	defer s.close()
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(giveUp{}) {
				panic(r)
			}
		}()
		s.run()
	}()
	if len(s.problems) > 0 {
		s.problem("the broker printed:\n%s\nits log:\n%s", s.out.String(), s.logged())
	}
	return s
}

// run is the script.
func (s *session) run() {
	if !s.start() {
		s.examineOutput()
		s.examineFiles(true)
		return
	}
	for _, server := range []int{broker, broker, broker, other} {
		s.enter(server)
	}
	for i, m := range s.members {
		m.Subscribe("a.x", "")
		m.Subscribe("a.*", []string{"", "q"}[i%2])
		m.Subscribe("req.*", "workers")
	}
	s.work()
	s.reload()
	s.reopen()
	s.pages()
	s.work()
	s.leave()
	s.rest()
	s.stop()
	s.examineOutput()
	s.examineFiles(true)
	s.judge()
}

func (s *session) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// fatal ends the session.
func (s *session) fatal(format string, args ...any) {
	s.problem(format, args...)
	panic(giveUp{})
}

// close ends the program, if it has not ended.
func (s *session) close() {
	for _, m := range s.members {
		m.Leave(func(nc net.Conn) { nc.Close() })
	}
	if s.exited != nil {
		s.cmd.Process.Kill()
		<-s.exited
	}
}

func (s *session) path(name string) string { return filepath.Join(s.dir, name) }

const oldPid = "99999999"

func (s *session) configuration() string {
	return fmt.Sprintf(`server_name: tortured
listen: "127.0.0.1:-1"
http: "127.0.0.1:-1"
log_file: "gnatsd.log"
log_size_limit: 2KB
logfile_max_num: 100
debug: true
pid_file: "gnatsd.pid"
ports_file_dir: "."
max_payload: %d
lame_duck_duration: "50ms"
lame_duck_grace_period: "50ms"
allow_non_tls: true
tls { cert_file: "server-cert.pem", key_file: "server-key.pem", timeout: 10 }
`, s.payload) + cluster(fmt.Sprintf(`"nats-route://%s:%d"`, peerName, portOf(s.peer.route))) + users
}

// start starts the broker. It reports false if that has been refused because of the fault.
func (s *session) start() bool {
	if err := s.w.writeCertificates(s.dir); err != nil {
		s.fatal("%v", err)
	}
	s.writeConfiguration()
	if err := os.WriteFile(s.path("gnatsd.pid"), []byte(oldPid), 0o644); err != nil {
		s.fatal("%v", err)
	}
	s.cmd = exec.Command(s.w.program, "-c", "gnatsd.conf")
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := startFiltered(s.cmd, s.supervisor); err != nil {
		s.fatal("%v: %s", err, s.out.String())
	}
	s.exited = make(chan struct{})
	go func() { // ends with the program
		defer close(s.exited)
		s.cmd.Wait()
	}()
	if !eventually(func() bool { return s.ended() || s.listening() }) {
		s.fatal("after the start it neither listens nor has it ended")
	}
	if !s.ended() {
		return true
	}
	s.refused = true
	if len(s.failed()) == 0 {
		s.problem("it does not start although nothing fails")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 1 {
		s.problem("it ended with status %d at the start, want 1", code)
	}
	if s.out.String() == "" && !regexp.MustCompile(`\[(FTL|ERR)\]`).MatchString(s.logged()) {
		s.problem("it does not say why it has not started")
	}
	return false
}

func (s *session) writeConfiguration() {
	if err := os.WriteFile(s.path("gnatsd.conf"), []byte(s.configuration()), 0o600); err != nil {
		s.fatal("%v", err)
	}
}

// ended reports whether the program has ended.
func (s *session) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// listening reports whether all ports are open, and notes them. The log or the ports file may lack
// them because of the fault.
func (s *session) listening() bool {
	log := s.logged()
	find := func(pattern string) string {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(log); m != nil {
			return m[1]
		}
		return ""
	}
	s.client = cmp.Or(s.client, find(`Listening for client connections on (\S+)\n`))
	s.monitor = cmp.Or(s.monitor, find(`Starting http monitor on (\S+)\n`))
	routes := find(`Listening for route connections on (\S+)\n`)
	if list, _ := filepath.Glob(s.path("*.ports")); len(list) == 1 {
		var ports struct{ Nats, Monitoring, Cluster []string }
		text, _ := os.ReadFile(list[0])
		if json.Unmarshal(text, &ports) == nil && len(ports.Nats)*len(ports.Monitoring)*len(ports.Cluster) == 1 {
			s.client, s.monitor = strings.TrimPrefix(ports.Nats[0], "tls://"), strings.TrimPrefix(ports.Monitoring[0], "http://")
			routes = strings.TrimPrefix(ports.Cluster[0], "tls://")
		}
	}
	if s.client == "" || s.monitor == "" || routes == "" {
		return false
	}
	s.name(portOf(s.client), "client")
	s.name(portOf(s.monitor), "monitor")
	s.name(portOf(routes), "route")
	return true
}

// logged returns the log, with all files that it has had.
func (s *session) logged() string {
	list, _ := filepath.Glob(s.path("gnatsd.log*"))
	slices.Sort(list)
	var b strings.Builder
	for _, path := range append(list[min(1, len(list)):], list[:min(1, len(list))]...) {
		text, _ := os.ReadFile(path)
		b.Write(text)
	}
	return b.String()
}

// says reports whether the log has a line.
func (s *session) says(pattern string) bool {
	return regexp.MustCompile(`(?m)` + pattern).MatchString(s.logged())
}

// enter connects a client. The fault may end a connection that is being made; then the log must say
// why.
func (s *session) enter(server int) *check.Client {
	for range 2 + s.fault.times {
		nc, addr, err := s.dial(server)
		if err == nil {
			var c *check.Client
			if c, err = s.log.Join(nc, server, check.Identity{User: "all", Password: "p"}); err == nil {
				s.members = append(s.members, c)
				return c
			}
		}
		if s.ended() {
			s.fatal("it has ended with status %d", s.cmd.ProcessState.ExitCode())
		}
		if len(s.failed()) == 0 {
			s.problem("a client cannot connect although nothing has failed: %v", err)
		}
		s.causes = append(s.causes, addr)
	}
	s.fatal("no client can connect")
	return nil
}

// dial opens a connection, to the broker over TLS every second time.
func (s *session) dial(server int) (nc net.Conn, addr string, err error) {
	to := []string{s.client, s.peer.client}[server]
	if nc, err = net.DialTimeout("tcp", to, patience); err != nil {
		return nil, "", err
	}
	addr = nc.LocalAddr().String()
	if server == other || len(s.members)%2 == 0 {
		return nc, addr, nil
	}
	nc.SetDeadline(time.Now().Add(patience))
	info, err := bufio.NewReaderSize(nc, 16).ReadString('\n')
	if err == nil {
		secure := tls.Client(nc, s.w.trusted)
		if err = secure.Handshake(); err == nil {
			nc.SetDeadline(time.Time{})
			return &afterInfo{Conn: secure, info: strings.NewReader(info)}, addr, nil
		}
	}
	nc.Close()
	return nil, addr, err
}

// afterInfo is a connection over TLS that begins with the INFO that came before TLS.
type afterInfo struct {
	net.Conn
	info *strings.Reader
}

// Read reads INFO, then the connection.
func (a *afterInfo) Read(p []byte) (int, error) {
	if a.info.Len() > 0 {
		return a.info.Read(p)
	}
	return a.Conn.Read(p)
}

// connected returns the clients that are.
func (s *session) connected() (list []*check.Client) {
	for _, m := range s.members {
		if m.Alive() {
			list = append(list, m)
		}
	}
	return list
}

// work has the clients publish and ask, and waits until all has arrived.
func (s *session) work() {
	s.settle()
	for i, m := range s.connected() {
		for range 3 {
			m.Publish("a.x", 100)
		}
		m.Publish("a.y", 3000)
		inbox := fmt.Sprintf("in.%d.%d", m.Number, s.settled)
		m.Limit(m.Subscribe(inbox, ""), 1)
		m.Request("req.x", inbox)
		if i == 0 {
			m.Unsubscribe(m.Subscribe("a.z", ""))
		}
	}
	s.settle() // then all requests have arrived
	s.settle() // then all answers have
	s.settle() // then what the broker gave back, because a member of a queue group was gone
	if n := len(regexp.MustCompile(lostRoute).FindAllString(s.logged(), -1)); n > s.lost {
		s.lost = n
		s.log.Add(check.Event{Kind: check.Parted, Server: broker, Peer: other, Text: "lost, as the log says"})
	}
	s.log.Add(check.Event{Kind: check.Quiet})
}

const lostRoute = `Route to server .* lost|Connection \d+ to server .* lost`

// settle waits until each client has received what each other one publishes now.
func (s *session) settle() {
	if !slices.ContainsFunc(s.connected(), func(m *check.Client) bool { return m.Server == broker }) {
		s.enter(broker) // else nothing would say when the broker has acted on what it was sent
	}
	s.settled++
	sids := map[*check.Client]string{}
	subject := func(m *check.Client) string { return fmt.Sprintf("settle.%d.%d", s.settled, m.Number) }
	for _, m := range s.connected() {
		sids[m] = m.Subscribe(subject(m), "")
		m.Ping()
	}
	published := time.Time{}
	if !eventually(func() bool {
		if s.ended() {
			s.fatal("it has ended with status %d", s.cmd.ProcessState.ExitCode())
		}
		got := map[string]bool{}
		for _, e := range s.log.Events() {
			if e.Kind == check.Received {
				got[fmt.Sprintf("%s %d", e.Subject, e.Message.Client)] = true
			}
		}
		complete, again := true, time.Since(published) > 100*time.Millisecond
		for _, to := range s.connected() {
			complete = complete && to.Answered()
			for _, from := range s.connected() {
				if sids[to] == "" || got[fmt.Sprintf("%s %d", subject(to), from.Number)] {
					continue
				}
				complete = false
				if again {
					from.Publish(subject(to), 0)
				}
			}
		}
		if again {
			published = time.Now()
		}
		return complete
	}) {
		s.fatal("the clients do not reach each other")
	}
	s.log.Add(check.Event{Kind: check.Settled, Servers: []int{broker, other}})
	for m, sid := range sids {
		m.Unsubscribe(sid)
	}
}

// reload changes the configuration. The fault may make it fail, once.
func (s *session) reload() {
	s.payload--
	s.writeConfiguration()
	for range 1 + s.fault.times {
		failures := strings.Count(s.logged(), "Failed to reload server configuration")
		s.cmd.Process.Signal(syscall.SIGHUP)
		failed := false
		if !eventually(func() bool {
			failed = strings.Count(s.logged(), "Failed to reload server configuration") > failures
			return failed || s.ended() || s.maxPayload() == s.payload
		}) {
			s.fatal("after SIGHUP the new configuration is not in force, and the log does not say why")
		}
		if !failed {
			return
		}
		if len(s.failed()) == 0 {
			s.problem("it has not reloaded although nothing has failed")
		}
		if s.maxPayload() == s.payload {
			s.problem("a reload that failed has changed a setting")
		}
	}
	s.fatal("it cannot reload")
}

// maxPayload returns the maximum that is in force, or 0 if the page cannot be read.
func (s *session) maxPayload() int {
	var page struct {
		Max int `json:"max_payload"`
	}
	text, _ := s.get("/varz")
	json.Unmarshal(text, &page)
	return page.Max
}

// get reads a page.
func (s *session) get(path string) ([]byte, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + s.monitor + path)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return text, err
}

// reopen renames the log file, and has it opened again.
func (s *session) reopen() {
	if !eventually(func() bool { return os.Rename(s.path("gnatsd.log"), s.path("gnatsd.log.old")) == nil }) { // it may be rotating it
		s.fatal("there is no log file")
	}
	for range 1 + s.fault.times {
		failures, successes := strings.Count(s.logged(), "File log not re-opened"), strings.Count(s.logged(), "File log re-opened")
		s.cmd.Process.Signal(syscall.SIGUSR1)
		failed := false
		if !eventually(func() bool {
			failed = strings.Count(s.logged(), "File log not re-opened") > failures
			_, err := os.Stat(s.path("gnatsd.log"))
			done := err == nil && (s.fault.place == "write log" || strings.Count(s.logged(), "File log re-opened") > successes)
			return failed || done || s.ended()
		}) {
			s.fatal("after SIGUSR1 there is no log file, and the log does not say why")
		}
		if !failed {
			return
		}
	}
	s.fatal("it cannot open the log file again")
}

// pages reads pages of the monitoring port. A request may fail because of the fault.
func (s *session) pages() {
	for _, path := range []string{"/", "/varz", "/connz?subs=1&auth=1", "/routez", "/subsz", "/metrics", "/healthz", "/statusz", "/stacksz", "/clusterz"} {
		s.page(path)
	}
}

func (s *session) page(path string) (text []byte) {
	var err error
	for range 2 + s.fault.times {
		if text, err = s.get(path); err == nil {
			return text
		}
		if len(s.failed()) == 0 {
			s.problem("%s: %v, although nothing has failed", path, err)
		}
	}
	s.fatal("%s: %v", path, err)
	return nil
}

// leave ends the connections of the clients, in several ways, and judges what they received.
func (s *session) leave() {
	for i, m := range s.members {
		m.Leave([]func(net.Conn){
			func(nc net.Conn) { nc.Close() },
			func(nc net.Conn) {
				if tcp, ok := nc.(*net.TCPConn); ok {
					tcp.SetLinger(0)
				}
				nc.Close()
			}}[i/2%2])
	}
	for _, m := range s.members {
		m.Wait()
	}
}

// rest waits until the broker holds no more than it needs without clients.
func (s *session) rest() {
	ok := eventually(func() bool {
		if s.ended() {
			s.fatal("it has ended with status %d", s.cmd.ProcessState.ExitCode())
		}
		s.descriptors = s.openFiles()
		for what, n := range s.descriptors {
			if s.w.descriptors != nil && n > max(s.w.descriptors[what], spare[what]) {
				return false
			}
		}
		text := s.page("/metrics")
		m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(text)
		if m == nil {
			s.fatal("no goroutines in /metrics")
		}
		s.goroutines, _ = strconv.Atoi(string(m[1]))
		return regexp.MustCompile(`(?m)^gnatsd_connections (\d+)`).FindSubmatch(text) == nil && (s.w.goroutines == 0 || s.goroutines <= s.w.goroutines+1) // that of parked clients
	})
	if !ok {
		stacks, _ := s.get("/stacksz")
		s.problem("without clients it has %d goroutines and these descriptors: %v, want %d and %v\n%s", s.goroutines, s.descriptors, s.w.goroutines, s.w.descriptors, stacks)
	}
}

// spare is how many descriptors of a kind a broker may have, however many it had in a session without
// a fault: standard output and error, and pairs of pipes that readers keep to yield with; two epoll
// instances, of which one is for parked clients, and what wakes the first one.
var spare = map[string]int{"pipe": 2 + 2*16, "anon_inode": 3}

// openFiles counts the descriptors of the program, by what they are.
func (s *session) openFiles() map[string]int {
	dir := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
	list, _ := os.ReadDir(dir)
	n := map[string]int{}
	for _, e := range list {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		what, _, _ := strings.Cut(to, ":[")
		n[strings.TrimPrefix(filepath.Base(what), "gnatsd.")]++
	}
	return n
}

// stop ends the broker in order. A client is connected, and is told.
func (s *session) stop() {
	s.enter(broker)
	signal := syscall.SIGTERM
	if s.duck {
		signal = syscall.SIGUSR2
	}
	s.log.Add(check.Event{Kind: check.Stopped, Server: broker})
	s.cmd.Process.Signal(signal)
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-s.exited:
	case <-late.C:
		s.fatal("%v does not end it", signal)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.problem("it has ended with status %d, want 0", code)
	}
}

// examineOutput looks for what must not be printed.
func (s *session) examineOutput() {
	for _, text := range []string{s.out.String(), s.logged()} {
		for _, bad := range []string{"panic", "fatal error", "goroutine ", "runtime error", "SIGSEGV", "invalid memory"} {
			if strings.Contains(text, bad) {
				s.problem("it says %q", bad)
			}
		}
	}
}

var wholeLine = regexp.MustCompile(`^\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[(INF|DBG|WRN|ERR|FTL)\] .`)

// examineFiles looks whether each file has its old content, its new content, or is not there.
func (s *session) examineFiles(stopped bool) {
	if text, err := os.ReadFile(s.path("gnatsd.conf")); err != nil || string(text) != s.configuration() {
		s.problem("the configuration file has changed: %v", err)
	}
	if text, err := os.ReadFile(s.path("gnatsd.pid")); err == nil && string(text) != oldPid && string(text) != strconv.Itoa(s.cmd.Process.Pid) {
		s.problem("the pid file holds %q", text)
	} else if err == nil && stopped && string(text) != oldPid && !s.says(`Error cleaning up pid file`) {
		s.problem("the pid file is left behind")
	}
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasSuffix(name, ".tmp"):
			if !strings.HasPrefix(s.fault.place, "unlink") {
				s.problem("%s is left behind", name)
			}
		case strings.HasSuffix(name, ".ports") && stopped && !s.says(`Error cleaning up ports file`):
			s.problem("the ports file is left behind")
		case strings.HasPrefix(name, "gnatsd.log"):
			s.examineLog(name)
		}
	}
}

// examineLog looks for lines that are not whole. A write that failed may leave one.
func (s *session) examineLog(name string) {
	text, _ := os.ReadFile(s.path(name))
	broken := 0
	for line := range strings.Lines(string(text)) {
		if !wholeLine.MatchString(line) || !strings.HasSuffix(line, "\n") {
			broken++
		}
	}
	if broken > 0 && !(broken <= 2 && s.fault.place == "write log" && len(s.failed()) > 0) {
		s.problem("%s has %d lines that are not whole", name, broken)
	}
}

// judge looks whether the log says why each connection was lost, and judges what was delivered.
func (s *session) judge() {
	log := s.logged()
	explained := func(addr string) (why string) {
		m := regexp.MustCompile(regexp.QuoteMeta(addr)+` - cid:\d+ - (.*)\n`).FindAllStringSubmatch(log, -1)
		for _, line := range m {
			if explains(line[1]) {
				why = line[1]
			}
		}
		return why
	}
	silent := strings.Contains(log, " log lines lost")
	for _, m := range s.members {
		if why := explained(m.Addr()); why != "" || silent {
			s.log.Add(check.Event{Kind: check.Explained, Client: m.Number, Text: cmp.Or(why, "lines of the log were lost")})
		}
	}
	for _, addr := range s.causes {
		if explained(addr) == "" && !silent && !strings.Contains(log, "Accept Error") {
			s.problem("the log does not say why the connection from %s could not be made", addr)
		}
	}
	s.log.Add(check.Event{Kind: check.Quiet})
	lost := slices.ContainsFunc(s.log.Events(), func(e check.Event) bool { return e.Kind == check.Dropped })
	for _, f := range check.Judge(s.log.Events()).Faults {
		if f.Oracle == check.Order && lost && ofQueue.MatchString(f.Text) {
			continue // a member was lost, and messages went to another one before its connection was closed
		}
		s.problem("%v", f)
	}
	if !silent && len(s.failed()) > 0 {
		s.examineCause(log)
	}
}

// ofQueue finds that a fault is about a subscription in a queue group.
var ofQueue = regexp.MustCompile(`SUB \S+ (q|workers) `)

// mended are errors after which a call is made again, or goes on, at once.
var mended = []unix.Errno{partly, unix.EINTR, unix.ECONNABORTED, unix.EADDRNOTAVAIL}

// consequences are the lines that the log must have after a call has failed at a place.
var consequences = []struct{ place, line string }{
	{`^accept client listener$`, `Temporary Client Accept Error`},
	{`^accept monitor listener$`, `Temporary Monitoring Accept Error`},
	{`^accept route listener$`, `Temporary Route Accept Error`},
	{`^(write|fsync|rename) ports$`, `Error writing ports file`},
	{`^rename log$`, `Log file not rotated`},
	{`^(read|write|writev) route$`, `Route to server .* lost|Connection \d+ to server .* lost|Error (reading|flushing)|TLS route handshake error|Error trying to connect`},
	{`^(read|write|writev) client$`, `Error (reading|flushing)|TLS handshake error`},
	{`^connect socket$`, `Error trying to connect to route`},
	{`^write log$`, `log lines lost|File log re-opened`}, // lines about the file itself are not lost
}

// examineCause looks whether the log says what came of the fault. The last lines cannot say that
// they were lost.
func (s *session) examineCause(log string) {
	if slices.Contains(mended, s.fault.errno) || !strings.Contains(log, "Server Exiting..") {
		return
	}
	for _, c := range consequences {
		if regexp.MustCompile(c.place).MatchString(s.fault.place) && !regexp.MustCompile(c.line).MatchString(log) {
			s.problem("the log has no %s", c.line)
		}
	}
}

// explains reports whether a line about a client says why it was disconnected.
func explains(line string) bool {
	return !slices.Contains([]string{"Client connection created", "Client connection closed"}, line) &&
		!strings.HasPrefix(line, "Starting TLS") && !strings.HasPrefix(line, "TLS handshake complete") && !strings.HasPrefix(line, "TLS version")
}
