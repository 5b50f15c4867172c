package storm

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrivalsTarget names the environment variable that makes this program the arriving clients: where
// they connect to, as JSON.
const arrivalsTarget = "GNATSD_STORM_ARRIVALS"

// target is where and how the arriving clients connect.
type target struct {
	Addr, CA       string
	Clients, Users int
}

// report is what became of the arriving clients.
type report struct {
	In       int
	Failures map[string]int
	TLS      [3]time.Duration // from the start to the end of the handshake: half of them, 99 of 100, all
	Done     [3]time.Duration // the same until PONG
}

func (r *report) String() string {
	return fmt.Sprintf("%d in; half, 99%% and all through TLS after %v, and logged in after %v", r.In, r.TLS, r.Done)
}

// arrivals has clients connect at once and waits until all have logged in, or failed; then they
// leave. They stand for other machines, so they take as little of this one as possible.
func arrivals(t *testing.T, b *broker, s size) *report {
	t.Helper()
	to, err := json.Marshal(target{b.addr, b.path("ca.pem"), s.arrivals, s.users})
	must(t, err)
	cmd := exec.Command(os.Args[0])
	if path, err := exec.LookPath("nice"); err == nil {
		cmd = exec.Command(path, "-n", "5", os.Args[0])
	}
	cmd.Env = append(os.Environ(), "GOGC=400", "GOMAXPROCS=1", arrivalsTarget+"="+string(to))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	must(t, err)
	r := new(report)
	must(t, json.Unmarshal(out, r))
	return r
}

// runArrivals is the program of the arriving clients. It returns the exit status.
func runArrivals(text string) int {
	var to target
	err := json.Unmarshal([]byte(text), &to)
	if err == nil {
		var r *report
		if r, err = to.storm(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "arrivals:", err)
		return 1
	}
	return 0
}

// attempt is one client's login.
type attempt struct {
	secure, done time.Duration
	err          error
}

// storm connects all clients at once. They stay until the last has logged in.
func (to *target) storm() (*report, error) {
	config, err := trusting(to.CA)
	if err != nil {
		return nil, err
	}
	attempts := make([]attempt, to.Clients)
	conns := make([]net.Conn, to.Clients)
	var wg sync.WaitGroup
	start := make(chan struct{})
	var began time.Time
	for i := range attempts {
		wg.Go(func() {
			<-start
			v := &attempts[i]
			conns[i], v.err = enter(to.Addr, i%to.Users, config, func() { v.secure = time.Since(began) })
			v.done = time.Since(began)
		})
	}
	began = time.Now()
	close(start)
	wg.Wait()
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
	return sumUp(attempts), nil
}

func sumUp(attempts []attempt) *report {
	r := &report{Failures: map[string]int{}}
	var secure, done []time.Duration
	for _, v := range attempts {
		if v.err != nil {
			r.Failures[v.err.Error()]++
			continue
		}
		r.In++
		secure, done = append(secure, v.secure), append(done, v.done)
	}
	if r.In > 0 {
		r.TLS, r.Done = parts(secure), parts(done)
	}
	return r
}

func parts(d []time.Duration) [3]time.Duration {
	slices.Sort(d)
	at := func(n int) time.Duration { return d[min(n, len(d)-1)].Round(time.Millisecond) }
	return [3]time.Duration{at(len(d) / 2), at(len(d) * 99 / 100), at(len(d))}
}

// trusting is the TLS configuration of a client that knows one authority.
func trusting(ca string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + ca)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.X25519}}, nil
}

// enter connects as a user, and returns once PONG has come. secured is called when TLS is done.
func enter(addr string, user int, config *tls.Config, secured func()) (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, plain("dial", err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || !strings.HasPrefix(line, "INFO ") {
		nc.Close()
		return nil, plain("INFO", err)
	}
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		nc.Close()
		return nil, plain("TLS", err)
	}
	secured()
	if err := logIn(c, user); err != nil {
		nc.Close()
		return nil, plain("login", err)
	}
	return c, nil
}

func logIn(c net.Conn, user int) error {
	hello := fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"user":"u%d","pass":"p%d","lang":"go","protocol":1}`+"\r\nPING\r\n", user, user)
	if _, err := io.WriteString(c, hello); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, err := c.Read(answer)
	if err == nil && !strings.HasPrefix(string(answer[:n]), "PONG\r\n") {
		err = fmt.Errorf("got %q", answer[:n])
	}
	return err
}

// plain is an error without the address of the one it happened to, so that equal ones can be
// counted.
func plain(doing string, err error) error {
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok {
			return fmt.Errorf("%s: %w", doing, err)
		}
		err = op.Err
	}
}
