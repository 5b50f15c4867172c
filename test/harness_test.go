package test

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
	"gnatsd/test/certs"
	"gnatsd/test/wire"
)

// This file holds what the tests of several files share.

// patience bounds every wait for the broker.
const patience = wire.Patience

// buildDir names the environment variable that holds the directory of the binary.
const buildDir = "GNATSD_TEST_BUILD"

// TestMain makes a directory for what the tests build, and removes it. Most tests wait for a
// program or a clock, so more of them run at a time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := strconv.Itoa(3 * runtime.GOMAXPROCS(0))
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			parallel = f.Value.String()
		}
	})
	flag.Set("test.parallel", parallel)
	dir, err := os.MkdirTemp("", "gnatsd-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv(buildDir, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// eventually waits for something without an event, such as a file.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	late := time.After(patience)
	for pause := 100 * time.Microsecond; !happened(); pause = min(2*pause, 5*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-late:
			t.Fatalf("no %s in %v", strings.TrimPrefix(what, "a "), patience)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for an event that a callback sends.
func await[T any](t *testing.T, events <-chan T, what string) T {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// debianPackage says which package of Debian has a program that a test needs.
func debianPackage(program, pkg string) string {
	return fmt.Sprintf("the program %s (Debian: apt-get install %s)", program, pkg)
}

// goClient connects the real Go client, with the patience of a busy machine.
func goClient(url string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(url, append([]nats.Option{nats.Timeout(patience)}, opts...)...)
}

// natsConnect connects the real Go client and closes it when the test ends. Errors the client
// reports fail the test unless opts set a handler of their own.
func natsConnect(t *testing.T, s *server.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	report := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("client: %v", err) })
	nc, err := goClient(s.ClientURL(), append([]nats.Option{report}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// flush fences: when it returns the broker has dealt with all that the client sent.
func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	must(t, nc.FlushTimeout(patience))
}

// next returns the next message of a synchronous subscription.
func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := sub.NextMsg(patience)
	must(t, err)
	return m
}

func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	must(t, err)
	flush(t, nc)
	return sub
}

// certFiles makes the certificates of certs.WriteAll in a directory of the test.
func certFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, certs.WriteAll(dir))
	return dir
}

// tlsOptions are those of a broker with the server certificate of dir.
func tlsOptions(dir string) *server.Options {
	o := quietOptions()
	o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
	o.TLSCaCert = filepath.Join(dir, "ca.pem")
	o.TLSTimeout = patience.Seconds()
	return o
}

// clientTLS is what a client needs: the authority, and a certificate of its own if it has a name in
// dir.
func clientTLS(t *testing.T, dir, name string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	c.RootCAs.AppendCertsFromPEM(pem)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem"))
		must(t, err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}
