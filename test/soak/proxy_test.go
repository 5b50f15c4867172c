package soak

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between the other servers and the port for routes of one server. It can cut its
// connections, refuse others, and hold back what it hands on.
type proxy struct {
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	more   sync.Cond
	target string // address; "" until the server has started
	cut    bool
	held   bool
	ended  bool
	conns  map[net.Conn]bool
}

// startProxy opens the port of a proxy, which ends with the test.
func startProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, conns: map[net.Conn]bool{}}
	p.more.L = &p.mu
	p.done.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.change(func() { p.ended = true })
		p.done.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// change changes the state, and closes the connections if there are to be none.
func (p *proxy) change(do func()) {
	p.mu.Lock()
	do()
	var end []net.Conn
	if p.cut || p.ended {
		for c := range p.conns {
			end = append(end, c)
		}
	}
	p.more.Broadcast()
	p.mu.Unlock()
	for _, c := range end {
		c.(*net.TCPConn).SetLinger(0) // both ends notice at once
		c.Close()
	}
}

// accept hands on connections until the listener is closed.
func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(near) }) // ends with the connection
	}
}

func (p *proxy) serve(near net.Conn) {
	defer near.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	if !p.add(near, far) {
		return
	}
	defer p.remove(near, far)
	var both sync.WaitGroup
	both.Go(func() { p.copy(near, far) })
	both.Go(func() { p.copy(far, near) })
	both.Wait()
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.ended {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

func (p *proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// copy hands on bytes in one direction until one end closes.
func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.awaitRelease()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) awaitRelease() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !p.cut && !p.ended {
		p.more.Wait()
	}
}

func TestProxyCutsAndHolds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	p := startProxy(t)
	p.change(func() { p.target, p.held = l.Addr().String(), true })
	near, err := net.Dial("tcp", p.addr())
	must(t, err)
	defer near.Close()
	_, err = io.WriteString(near, "x")
	must(t, err)
	far, err := l.Accept()
	must(t, err)
	defer far.Close()
	p.change(func() { p.held = false })
	one := make([]byte, 1)
	_, err = io.ReadFull(far, one)
	must(t, err)
	p.change(func() { p.cut = true })
	if _, err := near.Read(one); err == nil {
		t.Error("a connection that is cut goes on")
	}
}
