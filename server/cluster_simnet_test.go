package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"gnatsd/server/internal/netio"
)

// simNet is a network in memory with hosts, names, delays, and cuts between hosts, in both directions
// or in one. While two hosts are cut off, nothing arrives; what was on its way arrives afterwards, as
// TCP would have it. It is meant for a synctest bubble.
type simNet struct {
	seed uint64

	mu        sync.Mutex
	rands     map[string]*rand.Rand   // by what is delayed, so that its order does not matter
	ports     map[string]int          // last one that a host dialed from
	made      map[[2]string]int       // connections between two hosts
	listeners map[string]*simListener // by ip:port
	names     map[string][]string
	cuts      map[[2]string]bool // from a host to another
	conns     map[*simConn]bool
	maxDelay  time.Duration
	capacity  int  // bytes that may be on their way in one direction
	direct    bool // connections take bytes as sockets do, not as TLS does
}

func newSimNet(seed uint64) *simNet {
	return &simNet{
		seed:      seed,
		rands:     make(map[string]*rand.Rand),
		ports:     make(map[string]int),
		made:      make(map[[2]string]int),
		listeners: make(map[string]*simListener),
		names:     make(map[string][]string),
		cuts:      make(map[[2]string]bool),
		conns:     make(map[*simConn]bool),
		maxDelay:  time.Millisecond,
		capacity:  1 << 20,
	}
}

func pairOf(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// isCut reports whether nothing arrives that host a sends to host b.
func (n *simNet) isCut(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[[2]string{a, b}]
}

// delay returns how long the next step of an actor takes.
func (n *simNet) delay(actor string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rands[actor]
	if r == nil {
		h, _ := seedOf(actor)
		r = rand.New(rand.NewPCG(n.seed, h))
		n.rands[actor] = r
	}
	return time.Duration(r.Int64N(int64(n.maxDelay)) + 1)
}

// connections returns how many two hosts have made between them.
func (n *simNet) connections(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.made[pairOf(a, b)]
}

func (n *simNet) cut(a, b string) {
	n.cutOneWay(a, b)
	n.cutOneWay(b, a)
}

// cutOneWay lets nothing arrive any more that host a sends to host b.
func (n *simNet) cutOneWay(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]string{a, b}] = true
}

// setDelay sets how long things take at most.
func (n *simNet) setDelay(most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.maxDelay = most
}

// heal ends all cuts.
func (n *simNet) heal() {
	n.mu.Lock()
	clear(n.cuts)
	var conns []*simConn
	for c := range n.conns {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, c := range conns {
		c.in.deliver()
	}
}

// crash breaks all connections of a host, and stops it listening.
func (n *simNet) crash(ip string) {
	for _, c := range n.of(ip) {
		c.crash()
	}
}

// loseHost lets a host vanish without a word: what is sent to it is taken and lost, and the other
// ends of its connections hear nothing more.
func (n *simNet) loseHost(ip string) {
	for _, c := range n.of(ip) { // not under mu, which pipes take under their own
		c.in.lose()
		c.out.lose()
	}
}

// of returns the connections of a host.
func (n *simNet) of(ip string) (conns []*simConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.local.IP.String() == ip {
			conns = append(conns, c)
		}
	}
	return conns
}

// simHost is the network as one host sees it.
type simHost struct {
	net *simNet
	ip  string
}

func (h *simHost) Listen(addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(port)
	l := &simListener{host: h, addr: &net.TCPAddr{IP: net.ParseIP(h.ip), Port: n}}
	l.cond = sync.NewCond(&l.mu)
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	key := l.addr.String()
	if h.net.listeners[key] != nil {
		return nil, fmt.Errorf("listen %s: address in use", key)
	}
	h.net.listeners[key] = l
	return l, nil
}

func (h *simHost) LookupHost(_ context.Context, host string) ([]string, error) {
	time.Sleep(h.net.delay(h.ip + " looks up " + host))
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if ips := h.net.names[host]; len(ips) > 0 {
		return append([]string(nil), ips...), nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

func (h *simHost) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if h.net.isCut(h.ip, ip) || h.net.isCut(ip, h.ip) {
		time.Sleep(timeout)
		return nil, fmt.Errorf("dial %s: i/o timeout", addr)
	}
	time.Sleep(h.net.delay(h.ip + " dials " + addr))
	h.net.mu.Lock()
	l := h.net.listeners[addr]
	h.net.ports[h.ip]++
	local := &net.TCPAddr{IP: net.ParseIP(h.ip), Port: 40000 + h.net.ports[h.ip]}
	h.net.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	}
	near, far := h.net.pipe(local, l.addr)
	if !l.put(h.net.end(far)) {
		near.Close()
		far.Close()
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	}
	return h.net.end(near), nil
}

// simListener is a listening port.
type simListener struct {
	host *simHost
	addr *net.TCPAddr

	mu     sync.Mutex
	cond   *sync.Cond
	queue  []net.Conn
	closed bool
}

func (l *simListener) put(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, c)
	l.cond.Signal()
	return true
}

func (l *simListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

func (l *simListener) Close() error {
	l.host.net.mu.Lock()
	if l.host.net.listeners[l.addr.String()] == l {
		delete(l.host.net.listeners, l.addr.String())
	}
	l.host.net.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.queue {
		c.Close()
	}
	l.queue = nil
	l.cond.Broadcast()
	return nil
}

func (l *simListener) Addr() net.Addr { return l.addr }

// simConn is one end of a connection.
type simConn struct {
	net           *simNet
	local, remote *net.TCPAddr
	in            *simPipe // what the other end writes
	out           *simPipe
}

func (n *simNet) pipe(a, b *net.TCPAddr) (*simConn, *simConn) {
	ab, ba := newSimPipe(n, a, b), newSimPipe(n, b, a)
	near := &simConn{n, a, b, ba, ab}
	far := &simConn{n, b, a, ab, ba}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[near], n.conns[far] = true, true
	n.made[pairOf(a.IP.String(), b.IP.String())]++
	return near, far
}

// end returns a connection as a server gets it.
func (n *simNet) end(c *simConn) net.Conn {
	if n.direct {
		return directConn{c}
	}
	return c
}

func (c *simConn) Read(b []byte) (int, error)         { return c.in.read(b) }
func (c *simConn) Write(b []byte) (int, error)        { return c.out.write(b) }
func (c *simConn) LocalAddr() net.Addr                { return c.local }
func (c *simConn) RemoteAddr() net.Addr               { return c.remote }
func (c *simConn) SetReadDeadline(t time.Time) error  { c.in.rd.set(t); return nil }
func (c *simConn) SetWriteDeadline(t time.Time) error { c.out.wd.set(t); return nil }

func (c *simConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *simConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	c.in.fail(net.ErrClosed)
	c.out.close()
	return nil
}

// directConn is an end that takes bytes as a socket does: what there is room for, without waiting.
type directConn struct{ *simConn }

// TryWrite takes what there is room for. It returns netio.ErrWouldBlock if that is not all of b.
func (c directConn) TryWrite(b []byte) (int, error) { return c.out.tryWrite(b) }

// CloseWrite ends what this end writes.
func (c *simConn) CloseWrite() error {
	c.out.close()
	return nil
}

// crash ends the connection as the end of its process does.
func (c *simConn) crash() {
	c.in.fail(io.ErrUnexpectedEOF)
	c.Close()
}

// reset ends the connection, and what is on its way to the other end is lost.
func (c *simConn) reset() {
	c.out.fail(syscall.ECONNRESET)
	c.crash()
}

// breakHere ends the connection at this end, and the other end does not notice, as when a router
// between them has forgotten the connection.
func (c *simConn) breakHere() {
	c.in.lose()
	c.out.lose()
	c.in.fail(syscall.ECONNRESET)
}

// simPipe is one direction of a connection.
type simPipe struct {
	net  *simNet
	a, b string // hosts, from and to
	name string
	rd   simDeadline
	wd   simDeadline

	mu     sync.Mutex
	cond   *sync.Cond
	flight []byte // sent, not arrived
	buf    []byte // arrived
	fin    bool   // nothing more will be sent
	eof    bool   // and that has arrived
	err    error  // of the reader
	lost   bool   // nothing arrives any more
	timer  bool
}

func newSimPipe(n *simNet, a, b *net.TCPAddr) *simPipe {
	p := &simPipe{net: n, a: a.IP.String(), b: b.IP.String(), name: a.String() + " to " + b.String()}
	p.cond = sync.NewCond(&p.mu)
	p.rd.pipe, p.wd.pipe = p, p
	return p
}

func (p *simPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return 0, p.err
		case p.rd.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.cond.Broadcast()
			return n, nil
		case p.eof:
			return 0, io.EOF
		}
		p.cond.Wait()
	}
}

// write waits until all of b has been taken.
func (p *simPipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		k, err := p.takeLocked(b[n:])
		if n += k; err != nil || n == len(b) {
			return n, err
		}
		p.cond.Wait()
	}
}

// tryWrite takes what there is room for.
func (p *simPipe) tryWrite(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, err = p.takeLocked(b); err == nil && n < len(b) {
		err = netio.ErrWouldBlock
	}
	return n, err
}

func (p *simPipe) takeLocked(b []byte) (n int, err error) {
	switch {
	case p.fin:
		return 0, net.ErrClosed
	case p.err != nil && !p.lost && !errors.Is(p.err, os.ErrDeadlineExceeded):
		return 0, errors.New("connection reset by peer")
	case p.wd.passed:
		return 0, os.ErrDeadlineExceeded
	}
	if n = min(p.net.capacity-len(p.flight)-len(p.buf), len(b)); n > 0 {
		p.flight = append(p.flight, b[:n]...)
		p.launchLocked()
	}
	return n, nil
}

// launchLocked lets what is on its way arrive after a delay.
func (p *simPipe) launchLocked() {
	if !p.timer {
		p.timer = true
		time.AfterFunc(p.net.delay(p.name), p.deliver)
	}
}

// deliver lets what is on its way arrive, unless the hosts are cut off.
func (p *simPipe) deliver() {
	cut := p.net.isCut(p.a, p.b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = false
	if cut || p.lost {
		return
	}
	p.buf = append(p.buf, p.flight...)
	p.flight = p.flight[:0]
	p.eof = p.fin
	p.cond.Broadcast()
}

func (p *simPipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fin = true
	p.launchLocked()
	p.cond.Broadcast()
}

// lose lets nothing arrive any more.
func (p *simPipe) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
}

// fail ends reading at once.
func (p *simPipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

// simDeadline is the deadline of one direction, guarded by the mutex of its pipe.
type simDeadline struct {
	pipe   *simPipe
	timer  *time.Timer
	passed bool
	round  int
}

func (d *simDeadline) set(t time.Time) {
	d.pipe.mu.Lock()
	defer d.pipe.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	d.passed = !t.IsZero() && !t.After(time.Now())
	if !t.IsZero() && !d.passed {
		round := d.round
		d.timer = time.AfterFunc(time.Until(t), func() {
			d.pipe.mu.Lock()
			defer d.pipe.mu.Unlock()
			if d.round == round {
				d.passed = true
				d.pipe.cond.Broadcast()
			}
		})
	}
	d.pipe.cond.Broadcast()
}
