package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// broker runs a server without a cluster until the test ends.
func broker(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	o := Defaults()
	o.Host, o.Port, o.NoSigs = "127.0.0.1", RandomPort, true
	if change != nil {
		change(o)
	}
	s, err := New(o)
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

// wire is a client that speaks bytes. Its methods return errors, so that any
// goroutine may use it.
type wire struct {
	nc net.Conn
	r  *bufio.Reader
}

func newWire(nc net.Conn) *wire { return &wire{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)} }

// dialWire connects and reads INFO; CONNECT is sent, without an answer.
func dialWire(t testing.TB, s *Server) *wire {
	t.Helper()
	w := openWire(t, s)
	okay(t, w.send(`CONNECT {"verbose":false,"pedantic":false}`+"\r\n"))
	return w
}

// openWire connects and reads INFO.
func openWire(t testing.TB, s *Server) *wire {
	t.Helper()
	var nc net.Conn
	var err error
	if n, ok := s.options().network.(*pipeNet); ok {
		nc, err = n.Dial("", 0)
	} else {
		nc, err = net.Dial("tcp", s.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	w := newWire(nc)
	w.nc.SetDeadline(time.Now().Add(2 * patience))
	if line, err := w.line(); err != nil || !strings.HasPrefix(line, "INFO ") {
		t.Fatalf("got %q, %v, want INFO", line, err)
	}
	return w
}

func okay(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *wire) send(text string) error {
	_, err := io.WriteString(w.nc, text)
	return err
}

func (w *wire) line() (string, error) { return w.r.ReadString('\n') }

// delivery is one MSG.
type delivery struct {
	subject, sid, reply string
	payload             []byte
}

// next returns the next message, or nil for a PONG. It answers nothing.
func (w *wire) next() (*delivery, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if line == "PONG\r\n" {
		return nil, nil
	}
	f := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
	if f[0] != "MSG" || len(f) < 4 || len(f) > 5 {
		return nil, fmt.Errorf("got %q, want MSG or PONG", line)
	}
	size, err := strconv.Atoi(f[len(f)-1])
	if err != nil {
		return nil, fmt.Errorf("size in %q: %w", line, err)
	}
	d := &delivery{subject: f[1], sid: f[2], payload: make([]byte, size+2)}
	if len(f) == 5 {
		d.reply = f[3]
	}
	if _, err := io.ReadFull(w.r, d.payload); err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(d.payload, []byte("\r\n")) {
		return nil, fmt.Errorf("payload after %q has no line end", line)
	}
	d.payload = d.payload[:size]
	return d, nil
}

// fence waits until the server has handed on all that was sent. Messages that
// arrive before the PONG are returned.
func (w *wire) fence() ([]*delivery, error) {
	if err := w.send("PING\r\n"); err != nil {
		return nil, err
	}
	return w.untilPong()
}

func (w *wire) untilPong() (got []*delivery, err error) {
	for {
		d, err := w.next()
		if d == nil || err != nil {
			return got, err
		}
		got = append(got, d)
	}
}

func mustFence(t testing.TB, w *wire) []*delivery {
	t.Helper()
	got, err := w.fence()
	okay(t, err)
	return got
}

// lineLog is a logger that hands lines to whoever waits for them.
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
