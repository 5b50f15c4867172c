package logger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SysLogger is a Logger that writes to syslog, or on Windows to the event log.
type SysLogger = Logger

const (
	facilityKernel = 0 // what the classic broker sends to a remote syslog
	facilityDaemon = 3 // and to the local one

	datagramText = 8 << 10          // longest text, in bytes, in a datagram: macOS refuses datagrams above 9216
	dialLimit    = 2 * time.Second  // for one attempt to connect
	sendLimit    = 10 * time.Second // for one record, then the connection is made anew
	redialPause  = time.Second      // between attempts to connect
)

// NewSysLogger returns a Logger that writes to the syslog of this machine, or on Windows to its event log.
func NewSysLogger(debug, trace bool) (*SysLogger, error) {
	return OpenSyslog(Options{Debug: debug, Trace: trace})
}

// NewRemoteSysLogger returns a Logger that writes to the syslog at a URL: udp://host:port, tcp://host:port or unix:///path. On
// Windows a name without scheme is a host with an event log.
func NewRemoteSysLogger(url string, debug, trace bool) (*SysLogger, error) {
	return DialSyslog(url, Options{Debug: debug, Trace: trace})
}

// GetSysLoggerTag returns the name of the program in syslog records: the base name of argv[0].
func GetSysLoggerTag() string { return filepath.Base(os.Args[0]) }

// OpenSyslog is NewSysLogger with options, of which Debug, Trace, MaxLine and QueueSize have an effect.
func OpenSyslog(o Options) (*SysLogger, error) { return openSystem("", o) }

// DialSyslog is NewRemoteSysLogger with options, of which Debug, Trace, MaxLine and QueueSize have an effect.
func DialSyslog(remote string, o Options) (*SysLogger, error) {
	if !strings.Contains(remote, "://") {
		return openSystem(remote, o)
	}
	place, err := remoteEndpoint(remote)
	if err != nil {
		return nil, err
	}
	return dialSyslog([]endpoint{place}, facilityKernel, o)
}

// CheckSyslog says why DialSyslog cannot even try to connect, nil if it can.
func CheckSyslog(remote string) error {
	if !strings.Contains(remote, "://") {
		return checkSystem(remote)
	}
	_, err := remoteEndpoint(remote)
	return err
}

// remoteEndpoint is the place that a URL names.
func remoteEndpoint(remote string) (endpoint, error) {
	u, err := url.Parse(remote)
	if err != nil {
		return endpoint{}, errors.New("error parsing remote syslog: not a valid URL") // the cause may hold a password
	}
	switch u.Scheme {
	case "udp", "tcp":
		return endpoint{u.Scheme, u.Host}, nil
	case "unix":
		return endpoint{u.Scheme, u.Path}, nil
	}
	return endpoint{}, badNetwork(u.Scheme)
}

// badNetwork is the classic broker's text, which begins with error.
func badNetwork(scheme string) error {
	return fmt.Errorf("error invalid network type: %q", scheme)
}

// endpoint is a place where syslog may listen, in the terms of net.Dial.
type endpoint struct{ network, addr string }

func (e endpoint) local() bool    { return strings.HasPrefix(e.network, "unix") }
func (e endpoint) datagram() bool { return e.network == "udp" || e.network == "unixgram" }

// dialSyslog connects to the first endpoint that answers.
func dialSyslog(places []endpoint, facility int, o Options) (*Logger, error) {
	s := &syslog{ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.connect(places); err != nil {
		s.cancel()
		return nil, fmt.Errorf("error connecting to syslog: \"%w\"", err)
	}
	if s.place.datagram() && (o.MaxLine <= 0 || o.MaxLine > datagramText) {
		o.MaxLine = datagramText
	}
	enc := syslogEncoder(facility, s.place, hostname(s.conn), GetSysLoggerTag(), os.Getpid())
	return &Logger{debug: o.Debug, trace: o.Trace, q: newQueue(s, enc, o)}, nil
}

func hostname(c net.Conn) string {
	if name, _ := os.Hostname(); name != "" {
		return name
	}
	return c.LocalAddr().String()
}

// syslogEncoder makes the records of BSD syslog as Go's log/syslog does: with the time of RFC 3339 and the host for another
// machine, with the short time and no host for this one. On a stream, where LF ends a record, a line break inside the text is
// written as #012, as syslog daemons do, so that nobody can forge a record.
func syslogEncoder(facility int, place endpoint, host, tag string, pid int) encoder {
	var pri [len(levelNames)]string
	for i, n := range levelNames {
		pri[i] = "<" + strconv.Itoa(facility<<3|n.severity) + ">"
	}
	layout, source := time.RFC3339, " "+host+" "
	if place.local() {
		layout, source = time.Stamp, " "
	}
	source += tag + "[" + strconv.Itoa(pid) + "]: "
	return func(dst []byte, t time.Time, lv level, text []byte) []byte {
		dst = append(dst, pri[lv]...)
		dst = t.AppendFormat(dst, layout)
		dst = append(dst, source...)
		for !place.datagram() {
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

// syslog sends records to a syslog daemon. If the daemon goes away it is dialled again, once a second, and meanwhile the lines wait in
// the queue. Go's log/syslog makes the same bytes, but knows no deadline: a daemon that stops reading would hold the goroutine,
// and Close, for ever; and it does not exist on Windows.
type syslog struct {
	// set once
	place  endpoint
	ctx    context.Context // ends a dial when the log is closed by force
	cancel context.CancelFunc
	ended  chan struct{} // closed when Close has begun

	// owned by the queue's goroutine
	conn    net.Conn    // nil while there is none
	release func() bool // forgets that the end of ctx closes conn
}

// connect dials the places in turn. The error is that of the first, the usual one.
func (s *syslog) connect(places []endpoint) error {
	var first error
	for _, s.place = range places {
		err := s.dial()
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

func (s *syslog) dial() error {
	d := net.Dialer{Timeout: dialLimit}
	c, err := d.DialContext(s.ctx, s.place.network, s.place.addr)
	if err != nil {
		return err
	}
	s.conn = c
	s.release = context.AfterFunc(s.ctx, func() { c.Close() })
	if !s.place.datagram() {
		// Tells at once when the daemon goes away, instead of one lost line later. Ends when the connection is closed, by hangUp
		// or by the end of ctx.
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
	return nil
}

func (s *syslog) hangUp() error {
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

// send sends one record, and dials until the daemon takes it or the log is closed.
func (s *syslog) send(p []byte) error {
	for first := true; ; first = false {
		err := s.attempt(p)
		if err == nil || errors.Is(err, syscall.EMSGSIZE) {
			return err
		}
		if first {
			continue // the connection may have been an old one
		}
		if !s.pause() {
			return err
		}
	}
}

func (s *syslog) attempt(p []byte) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	s.conn.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := s.conn.Write(p)
	if err != nil {
		s.hangUp() // the write told what is wrong
	}
	return err
}

// pause waits before the next attempt to connect. It reports whether there is to be one.
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
	err := s.hangUp()
	if errors.Is(err, net.ErrClosed) {
		return nil // the daemon had hung up before
	}
	return err
}
