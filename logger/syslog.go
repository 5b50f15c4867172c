package logger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SysLogger is a Logger that writes to syslog, or on Windows to the event log.
type SysLogger = Logger

const (
	facilityKernel = 0 // what the classic broker sends to a remote syslog
	facilityDaemon = 3 // and to the local one

	datagramText = 8 << 10          // longest text in a datagram, in bytes; macOS refuses more than 9216
	dialLimit    = 2 * time.Second  // for one attempt to connect
	sendLimit    = 10 * time.Second // for one record, then the connection is replaced
	redialPause  = time.Second      // between attempts to connect
)

// NewSysLogger is [OpenSyslog], but ends the process on an error, as that of gnatsd 1.x.
//
// Deprecated: use OpenSyslog.
func NewSysLogger(debug, trace bool) *SysLogger {
	l, err := OpenSyslog(Options{Debug: debug, Trace: trace})
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// NewRemoteSysLogger is [DialSyslog], but ends the process on an error, as that of gnatsd 1.x.
//
// Deprecated: use DialSyslog.
func NewRemoteSysLogger(url string, debug, trace bool) *SysLogger {
	l, err := DialSyslog(url, Options{Debug: debug, Trace: trace})
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// GetSysLoggerTag returns the name of the program in syslog records: the base name of argv[0].
func GetSysLoggerTag() string { return filepath.Base(os.Args[0]) }

// OpenSyslog returns a Logger that writes to the syslog of this machine, or on Windows to its event
// log. Of the options Debug, Trace, MaxLine and QueueSize have an effect.
func OpenSyslog(o Options) (*SysLogger, error) { return openSystem("", o) }

// DialSyslog returns a Logger that writes to the syslog at a URL: udp://host:port, tcp://host:port
// or unix:///path. On Windows a name without scheme is a host with an event log. Of the options
// Debug, Trace, MaxLine and QueueSize have an effect.
func DialSyslog(remote string, o Options) (*SysLogger, error) {
	if !strings.Contains(remote, "://") {
		return openSystem(remote, o)
	}
	e, err := remoteEndpoint(remote)
	if err != nil {
		return nil, err
	}
	return dialSyslog([]endpoint{e}, facilityKernel, o)
}

// CheckSyslog returns the error that DialSyslog would return without connecting, nil if there is
// none.
func CheckSyslog(remote string) error {
	if !strings.Contains(remote, "://") {
		return checkSystem(remote)
	}
	_, err := remoteEndpoint(remote)
	return err
}

// remoteEndpoint is the endpoint of a URL.
func remoteEndpoint(remote string) (endpoint, error) {
	u, err := url.Parse(remote)
	if err != nil || u.User == nil && strings.IndexByte(remote, '@') >= 0 {
		// Without err and the text, which may contain a password.
		return endpoint{}, errors.New("error parsing remote syslog: not a valid URL")
	}
	switch u.Scheme {
	case "udp", "tcp":
		if u.Port() == "" {
			return endpoint{}, fmt.Errorf("error parsing remote syslog: the port is missing, as in %s://host:%s", u.Scheme, syslogPort)
		}
		return endpoint{u.Scheme, u.Host}, nil
	case "syslog":
		if u.Port() == "" {
			return endpoint{"udp", net.JoinHostPort(u.Hostname(), syslogPort)}, nil
		}
		return endpoint{"udp", u.Host}, nil
	case "unix":
		return endpoint{u.Scheme, u.Path}, nil
	}
	return endpoint{}, badNetwork(u.Scheme)
}

// syslogPort is the registered port of syslog over UDP.
const syslogPort = "514"

// badNetwork is the error of the classic broker, whose text begins with "error".
func badNetwork(scheme string) error {
	if scheme == "" {
		return errors.New("error invalid network type: write udp://host:port, tcp://host:port or unix:///path")
	}
	return fmt.Errorf("error invalid network type: %q", scheme)
}

// endpoint is an address where syslog may listen, in the terms of net.Dial.
type endpoint struct{ network, addr string }

func (e endpoint) local() bool    { return strings.HasPrefix(e.network, "unix") }
func (e endpoint) datagram() bool { return e.network == "udp" || e.network == "unixgram" }

// dialSyslog connects to the first endpoint that answers.
func dialSyslog(endpoints []endpoint, facility int, o Options) (*Logger, error) {
	s := &syslog{ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.connect(endpoints); err != nil {
		s.cancel()
		return nil, fmt.Errorf("error connecting to syslog: \"%w\"", err)
	}
	if s.remote.datagram() && (o.MaxLine <= 0 || o.MaxLine > datagramText) {
		o.MaxLine = datagramText
	}
	enc := syslogEncoder(facility, s.remote, hostname(s.conn), GetSysLoggerTag(), os.Getpid())
	return &Logger{debug: o.Debug, trace: o.Trace, q: newQueue(s, enc, o)}, nil
}

// hostname is the name of this machine or, without one, its address.
func hostname(c net.Conn) string {
	if name, _ := os.Hostname(); name != "" {
		return name
	}
	return c.LocalAddr().String()
}

// syslogEncoder encodes the records of BSD syslog as Go's log/syslog does: with the time of RFC
// 3339 and the host for another machine, with the short time and no host for this one. On a stream,
// where LF ends a record, a line break inside the text is written as #012, as syslog daemons do, so
// that no text can forge a record.
func syslogEncoder(facility int, remote endpoint, host, tag string, pid int) encoder {
	var pri [len(levelNames)]string
	for i, n := range levelNames {
		pri[i] = "<" + strconv.Itoa(facility<<3|n.severity) + ">"
	}
	layout, source := time.RFC3339, " "+host+" "
	if remote.local() {
		layout, source = time.Stamp, " "
	}
	source += tag + "[" + strconv.Itoa(pid) + "]: "
	return func(dst []byte, t time.Time, lv level, text []byte) []byte {
		dst = append(dst, pri[lv]...)
		dst = t.AppendFormat(dst, layout)
		dst = append(dst, source...)
		for !remote.datagram() {
			i := bytes.IndexByte(text, '\n')
			if i < 0 {
				break
			}
			dst = append(dst, text[:i]...)
			dst = append(dst, "#012"...)
			text = text[i+1:]
		}
		dst = append(dst, text...)
		return append(dst, '\n')
	}
}

// syslog sends records to a syslog daemon. When the connection is lost it is dialed again, once a
// second, and meanwhile the lines wait in the queue. Go's log/syslog writes the same bytes, but has
// no deadlines: a daemon that stops reading would block the goroutine, and Close, forever; and it
// does not exist on Windows.
type syslog struct {
	// set once
	remote endpoint
	ctx    context.Context // ends a dial when the log is closed by force
	cancel context.CancelFunc
	ended  chan struct{} // closed when Close has begun

	// owned by the queue's goroutine
	conn    net.Conn    // nil while there is none
	release func() bool // detaches conn from ctx, whose end closes it
}

// connect dials the endpoints in order. The error is that of the first, the usual one.
func (s *syslog) connect(endpoints []endpoint) error {
	var first error
	for _, s.remote = range endpoints {
		err := s.dial()
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// dial connects to the endpoint.
func (s *syslog) dial() error {
	d := net.Dialer{Timeout: dialLimit}
	c, err := d.DialContext(s.ctx, s.remote.network, s.remote.addr)
	if err != nil {
		return err
	}
	s.conn = c
	s.release = context.AfterFunc(s.ctx, func() { c.Close() })
	if !s.remote.datagram() {
		// Notices at once when the daemon closes, instead of one lost line later. Ends when
		// the connection is closed, by disconnect or by the end of ctx.
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
	return nil
}

// disconnect closes the connection, if there is one.
func (s *syslog) disconnect() error {
	if s.conn == nil {
		return nil
	}
	s.release()
	err := s.conn.Close()
	s.conn = nil
	return err
}

func (s *syslog) write(buf []byte, recs []record) (int, error) {
	for i, r := range recs {
		if err := s.send(buf[r.from:r.to]); err != nil {
			return i, fmt.Errorf("syslog: %w", err)
		}
	}
	return len(recs), nil
}

// send sends one record, and dials again until the daemon takes it or the log is closed.
func (s *syslog) send(p []byte) error {
	for first := true; ; first = false {
		err := s.attempt(p)
		if err == nil || errors.Is(err, errDatagramTooLong) {
			return err
		}
		if first {
			continue // the connection may have been closed long ago
		}
		if !s.pause() {
			return err
		}
	}
}

// attempt sends one record once.
func (s *syslog) attempt(p []byte) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	s.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := s.conn.Write(p)
	if err != nil {
		s.disconnect() // the error of the write is returned
	}
	return err
}

// pause waits before the next attempt to connect, and reports whether to make one.
func (s *syslog) pause() bool {
	t := time.NewTimer(redialPause)
	defer t.Stop()
	select {
	case <-t.C:
		return s.ctx.Err() == nil
	case <-s.ended:
		return false
	}
}

func (s *syslog) end()   { close(s.ended) }
func (s *syslog) abort() { s.cancel() }

func (s *syslog) close() error {
	defer s.cancel()
	err := s.disconnect()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed by the daemon before
	}
	return err
}
