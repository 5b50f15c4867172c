package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// broker runs a server without a cluster until the test ends.
func broker(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	o := defaults()
	if change != nil {
		change(o)
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start() // ends with Shutdown, which waits
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return s
}

// defaults returns the default options for a test on loopback, with time for logins, and for peers that
// answer or read late: on a machine that has much else to do all of it takes longer than the defaults
// allow.
func defaults() *Options {
	o := Defaults()
	o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
	o.AuthTimeout, o.Cluster.AuthTimeout, o.TLSTimeout, o.Cluster.TLSTimeout = loginTime, loginTime, loginTime, loginTime
	o.WriteDeadline, o.idleTick = patience, patience
	return o
}

// loginTime is how long a login may take in tests of something else, in seconds.
const loginTime = 60

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// pipeNet is a network in memory: its connections are plain, never direct.
type pipeNet struct {
	conns chan net.Conn
	once  sync.Once
	shut  chan struct{}
}

func newPipeNet() *pipeNet {
	return &pipeNet{conns: make(chan net.Conn), shut: make(chan struct{})}
}

func (n *pipeNet) Listen(string) (net.Listener, error) { return n, nil }

func (n *pipeNet) Dial(string, time.Duration) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.shut:
		return nil, net.ErrClosed
	}
}

func (n *pipeNet) LookupHost(context.Context, string) ([]string, error) {
	return nil, errors.New("no names here")
}

func (n *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.shut:
		return nil, net.ErrClosed
	}
}

func (n *pipeNet) Close() error { n.once.Do(func() { close(n.shut) }); return nil }

func (n *pipeNet) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// openClient connects a client and reads INFO.
func openClient(t testing.TB, s *Server) *wire.Client {
	t.Helper()
	var nc net.Conn
	var err error
	if n, ok := s.options().network.(*pipeNet); ok {
		nc, err = n.Dial("", 0)
	} else {
		nc, err = net.Dial("tcp", s.Addr().String())
	}
	okay(t, err)
	c := wire.Of(t, nc)
	c.ReadInfo()
	return c
}

// dialClient connects a client that asks for nothing but what it subscribes to.
func dialClient(t testing.TB, s *Server) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Say(`CONNECT {"verbose":false,"pedantic":false}`)
	return c
}

func okay(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lineLog is a logger that hands lines to a test that waits for them.
type lineLog struct{ lines chan string }

func newLineLog() *lineLog { return &lineLog{make(chan string, 1024)} }

func (l *lineLog) add(format string, v ...any) {
	select {
	case l.lines <- fmt.Sprintf(format, v...):
	default:
	}
}
func (l *lineLog) Noticef(format string, v ...any) { l.add(format, v...) }
func (l *lineLog) Warnf(format string, v ...any)   { l.add(format, v...) }
func (l *lineLog) Errorf(format string, v ...any)  { l.add(format, v...) }
func (l *lineLog) Fatalf(format string, v ...any)  { l.add(format, v...) }
func (l *lineLog) Debugf(string, ...any)           {}
func (l *lineLog) Tracef(string, ...any)           {}

// soFar returns the lines that wait.
func (l *lineLog) soFar() (all []string) {
	for {
		select {
		case line := <-l.lines:
			all = append(all, line)
		default:
			return all
		}
	}
}

// linesWith returns those of the lines that wait which hold text.
func (l *lineLog) linesWith(text string) []string {
	return slices.DeleteFunc(l.soFar(), func(line string) bool { return !strings.Contains(line, text) })
}

// wait returns the first line that holds text.
func (l *lineLog) wait(t testing.TB, text string) string {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line := <-l.lines:
			if strings.Contains(line, text) {
				return line
			}
		case <-late:
			t.Fatalf("no line of the log holds %q", text)
		}
	}
}
