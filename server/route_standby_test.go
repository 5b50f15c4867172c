package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// standbyTest is a server in a bubble, which waits for what its peer decides about duplicates.
type standbyTest struct {
	t    *testing.T
	s    *Server
	host *simHost
	info string
}

// inStandby runs a test of such a server. change may change its options.
func inStandby(t *testing.T, change func(*Options), test func(st *standbyTest)) {
	synctest.Test(t, func(t *testing.T) {
		o := Defaults()
		o.Host, o.Cluster.Host, o.Cluster.Port, o.NoSigs = "10.0.0.1", "10.0.0.1", simRoutePort, true
		if change != nil {
			change(o)
		}
		n := newSimNet(1)
		o.identity = "z" // the server with the smaller id decides
		o.network = &simHost{n, "10.0.0.1"}
		s, err := NewServer(o)
		okay(t, err)
		go s.Start() // ends with Shutdown, which waits
		defer s.Shutdown()
		synctest.Wait()
		peer := &peerInfo{Info: Info{ID: "a", Version: VERSION, Host: "10.0.0.2", Port: 6222, Proto: 1}}
		test(&standbyTest{t, s, &simHost{n, "10.0.0.2"}, peer.line(true)})
	})
}

// dial makes a connection, sends text, and then answers PING. When the server closes it, ended is
// closed.
func (st *standbyTest) dial(text string) (nc net.Conn, ended chan struct{}) {
	st.t.Helper()
	nc, err := st.host.Dial(fmt.Sprintf("10.0.0.1:%d", simRoutePort), time.Second)
	okay(st.t, err)
	ended = make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		for in := bufio.NewReader(nc); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "PING\r\n" {
				io.WriteString(nc, "PONG\r\n")
			}
		}
	}()
	go io.WriteString(nc, text) // ends with the connection
	return nc, ended
}

// settle waits for what happens at once, and returns how many connections to other servers there
// are.
func (st *standbyTest) settle() int {
	time.Sleep(100 * time.Millisecond) // delays of the network
	synctest.Wait()
	return len(st.s.cluster.all())
}

// interestOf returns SUB lines of so many bytes at most, and how many there are.
func interestOf(bytes int) (text string, n int) {
	const line = "SUB foo.%030d RSID:1:%06d\r\n"
	n = bytes / len(fmt.Sprintf(line, 0, 0))
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i, i)
	}
	return b.String(), n
}

func TestTheEndOfAConnectionInStandbyIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, 10 << 10, standbyBytes - 1<<10} {
		t.Run(fmt.Sprintf("bytes=%d", bytes), func(t *testing.T) {
			inStandby(t, nil, func(st *standbyTest) {
				route, _ := st.dial(st.info)
				defer route.Close()
				if n := st.settle(); n != 1 || st.s.NumRoutes() != 1 {
					t.Fatalf("got %d connections, %d routes; want a route", n, st.s.NumRoutes())
				}
				more, _ := interestOf(bytes)
				second, _ := st.dial(st.info + more)
				if n := st.settle(); n != 2 {
					t.Fatalf("got %d connections, want 2", n)
				}
				second.Close()
				if n := st.settle(); n != 1 || st.s.NumRoutes() != 1 {
					t.Errorf("got %d connections, %d routes; want the route only", n, st.s.NumRoutes())
				}
			})
		})
	}
}

// TestStandbyHoldsNoBatch looks at what the reader is doing: neither a batch nor busy polling may
// wait for it.
func TestStandbyHoldsNoBatch(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, 2 * standbyBytes} {
		inStandby(t, nil, func(st *standbyTest) {
			route, _ := st.dial(st.info)
			defer route.Close()
			st.settle()
			more, _ := interestOf(bytes)
			second, _ := st.dial(st.info + more)
			defer second.Close()
			st.settle()
			stacks := make([]byte, 4<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			found := 0
			for stack := range strings.SplitSeq(string(stacks), "\n\n") {
				if !strings.Contains(stack, "(*route).standBy") || !strings.Contains(stack, "durable") {
					continue // of another test
				}
				found++
				if strings.Contains(stack, "(*conn).work") {
					t.Errorf("the reader has a batch:\n%s", stack)
				}
			}
			if found == 0 {
				t.Error("no reader is in standby")
			}
		})
	}
}

func TestFewConnectionsAreInStandby(t *testing.T) {
	t.Parallel()
	inStandby(t, nil, func(st *standbyTest) {
		route, kept := st.dial(st.info)
		defer route.Close()
		st.settle()
		const many = 50
		var closed int
		for range many {
			nc, ended := st.dial(st.info)
			defer nc.Close()
			st.settle()
			select {
			case <-ended:
				closed++
			default:
			}
		}
		time.Sleep(lingerTime)
		if n := st.settle(); n > 3 || closed < many-3 {
			t.Errorf("%d connections, %d of %d closed; want the route and two", n, closed, many)
		}
		select {
		case <-kept:
			t.Error("the route was closed")
		default:
		}
	})
}

// TestWhatCameInStandbyIsActedOn has a peer that sends its interest, more than is read in standby.
func TestWhatCameInStandbyIsActedOn(t *testing.T) {
	t.Parallel()
	inStandby(t, nil, func(st *standbyTest) {
		route, _ := st.dial(st.info)
		st.settle()
		text, n := interestOf(2 * standbyBytes)
		second, _ := st.dial(st.info + text)
		defer second.Close()
		st.settle()
		if got := st.s.NumSubscriptions(); got != 0 {
			t.Errorf("got %d subscriptions of a connection in standby, want 0", got)
		}
		route.Close()
		st.settle()
		if got := st.s.NumSubscriptions(); got != uint32(n) {
			t.Errorf("got %d subscriptions, want %d", got, n)
		}
	})
}

// TestAcceptedRoutesMustSayWhoTheyAre has connections that send anything but INFO: they get
// routeInfoTimeout, with and without a login.
func TestAcceptedRoutesMustSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	logins := map[string]func(*Options){
		"no login": nil,
		"a login":  func(o *Options) { o.Cluster.Username, o.Cluster.Password, o.Cluster.AuthTimeout = "u", "p", 2 },
	}
	const connect = `CONNECT {"user":"u","pass":"p"}` + "\r\n"
	for name, change := range logins {
		t.Run(name, func(t *testing.T) {
			inStandby(t, change, func(st *standbyTest) {
				honest, ended := st.dial(connect + st.info)
				defer honest.Close()
				for range 10 {
					for _, text := range []string{"", "CONN", connect, connect + "PING\r\nSUB foo\t1\r\n", connect + "INFO {", `CONNECT {"user":"u","pass":"p","name":"x"}` + "\r\n" + st.info} {
						nc, _ := st.dial(text)
						defer nc.Close()
					}
				}
				again, _ := st.dial(connect)
				defer again.Close()
				for range 5 { // which must not begin the time again
					time.Sleep(routeInfoTimeout / 5)
					io.WriteString(again, connect+"PING\r\n")
				}
				time.Sleep(time.Second)
				if n := st.settle(); n != 1 {
					t.Errorf("after %v there are %d connections, want the route only", routeInfoTimeout, n)
				}
				select {
				case <-ended:
					t.Error("the route was closed")
				default:
				}
			})
		})
	}
}
