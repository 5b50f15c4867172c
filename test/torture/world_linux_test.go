//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// builtProgram names the environment variable that holds the path of the binary, if there is one.
const builtProgram = "GNATSD_TEST_PROGRAM"

// TestMain is also what starts a broker under a filter.
func TestMain(m *testing.M) {
	if os.Getenv(filtered) != "" {
		runFiltered(os.Args[1:])
	}
	os.Exit(m.Run())
}

// peerName is the name of the server that the broker has a route to. It is looked up.
const peerName = "peer.torture.test"

// world is what all sessions share.
type world struct {
	dir         string
	program     string
	authority   *certs.Authority
	pair        certs.Pair
	trusted     *tls.Config
	files       map[string]string // what a broker reads in place of files of the system
	nameServer  *net.UDPAddr
	goroutines  int            // of a broker without clients
	descriptors map[string]int // of such a broker, by what they are
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	if w.program = os.Getenv(builtProgram); w.program == "" {
		w.program = filepath.Join(w.dir, "gnatsd")
		w.build(t)
	}
	var err error
	w.authority, err = certs.NewAuthority("torture")
	must(t, err)
	w.pair, err = w.authority.Issue(certs.Request{Subject: pkix.Name{CommonName: "torture"}, Hosts: append(certs.Local(), peerName)})
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.authority.PEM())
	w.trusted = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	w.files = map[string]string{}
	for path, text := range map[string]string{
		"/etc/hosts":         "127.0.0.1 localhost\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
		"/etc/resolv.conf":   "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
	} {
		w.files[path] = filepath.Join(w.dir, filepath.Base(path))
		must(t, os.WriteFile(w.files[path], []byte(text), 0o644))
	}
	w.nameServer = startNameServer(t)
	if _, e := w.runCommand(filepath.Join(w.dir, "probe.out"), []string{"--version"}, fault{}); e.status != 0 {
		missing(t, "a kernel (5.19) and leave to filter the system calls of a program: "+e.stderr)
	}
	return w
}

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build builds the program.
func (w *world) build(t *testing.T) {
	t.Helper()
	build := exec.Command("go", "build", "-o", w.program, "gnatsd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image has it
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// writeCertificates writes them to a directory.
func (w *world) writeCertificates(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), w.authority.PEM(), 0o644); err != nil {
		return err
	}
	return w.pair.Write(dir, "server")
}

// startNameServer answers every question for an address with that of this machine, until the end of
// the test.
func startNameServer(t *testing.T) *net.UDPAddr {
	t.Helper()
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	go func() { // ends with the test
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFromUDP(b)
			if err != nil {
				return
			}
			if answer := resolve(b[:n]); answer != nil {
				pc.WriteToUDP(answer, from)
			}
		}
	}()
	return pc.LocalAddr().(*net.UDPAddr)
}

// resolve answers a question to a name server (RFC 1035): 127.0.0.1 for a name, nothing for other
// types.
func resolve(question []byte) []byte {
	const header = 12
	end := header
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5 // the end of the name, type and class
	if end > len(question) {
		return nil
	}
	answer := bytes.Clone(question[:end])
	answer[2], answer[3] = 0x81, 0x80 // an answer, without error
	copy(answer[4:header], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(question[end-4:]) == 1 { // A
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return answer
}

// peer is a broker without faults, which those of many sessions have routes to, one after the other.
type peer struct {
	client, route string // addresses
	cmd           *exec.Cmd
	out           output
}

// startPeer starts one. It ends with the test.
func (w *world) startPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{}
	dir := t.TempDir()
	must(t, w.writeCertificates(dir))
	file := filepath.Join(dir, "peer.conf")
	must(t, os.WriteFile(file, []byte(`server_name: peer
listen: "127.0.0.1:-1"
`+cluster("")+users), 0o600))
	p.cmd = exec.Command(w.program, "-c", file)
	p.cmd.Dir = dir
	p.cmd.Stderr = &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	for _, l := range []struct {
		pattern string
		addr    *string
	}{{`client connections on (\S+)`, &p.client}, {`route connections on (\S+)`, &p.route}} {
		if !eventually(func() bool {
			m := regexp.MustCompile(l.pattern).FindStringSubmatch(p.out.String())
			if m != nil {
				*l.addr = m[1]
			}
			return m != nil
		}) {
			t.Fatalf("the peer does not listen:\n%s", p.out.String())
		}
	}
	return p
}

// cluster is a part of a configuration. Certificates are beside it.
func cluster(routes string) string {
	return fmt.Sprintf(`cluster { name: torture, listen: "127.0.0.1:-1", pool_size: 2, compression: s2_fast, routes: [%s],
  tls { cert_file: "server-cert.pem", key_file: "server-key.pem", ca_file: "ca.pem", timeout: 10 } }
`, routes)
}

const users = `authorization { timeout: 10, users: [ { user: all, password: p } ] }
`

// output collects what a program prints.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write appends.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String returns what has been printed.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// eventually waits until ok: what a process has done to its files is no event outside.
func eventually(ok func() bool) bool {
	again := time.NewTicker(3 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-late:
			return false
		case <-again.C:
		}
	}
	return true
}

// portOf returns the port of an address.
func portOf(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(text)
	return n
}
