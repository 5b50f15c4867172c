package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// fakeEnv makes this test binary behave as a broker, instead of running tests; its value is what
// the broker does wrong.
const fakeEnv = "GNATSD_BENCH_FAKE"

// What a fake does wrong, to every message that is the faultyMessage-th of a connection's
// publications.
const (
	faithful  = "nothing"
	drops     = "drop"
	repeats   = "repeat"
	corrupts  = "corrupt"
	closes    = "close"
	complains = "complain"
	favours   = "favour" // always the same member of a queue group

	faultyMessage = 1000
)

// fake is the most obvious broker there is: one lock, a list of subscriptions, a write per message.
type fake struct {
	fault string
	port  int

	mu   sync.Mutex
	subs []fakeSub // guarded by mu
	turn int       // of queue members; guarded by mu
	seed net.Conn  // what --routes names: another fake, of which this is a client; nil without
}

// fakeSub is a subscription of a fake.
type fakeSub struct {
	conn                net.Conn
	subject, queue, sid string
}

// serveFake runs a fake as a process of its own would: `-a HOST -p PORT [--cluster URL] [--routes
// URL]`, until it is killed.
func serveFake(fault string, args []string) error {
	port, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(args[1], args[3]))
	if err != nil {
		return err
	}
	f := &fake{fault: fault, port: port}
	if err := f.cluster(args[4:]); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "the fake is listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go f.serve(conn) // ends with the connection or the process
	}
}

// cluster opens a port for another fake, or connects to one: its route is a client that subscribes
// to what its own clients do.
func (f *fake) cluster(args []string) error {
	for len(args) > 1 {
		addr := strings.TrimPrefix(args[1], "nats://")
		switch args[0] {
		case "--cluster":
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			go func() { // ends with the process
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go f.serve(conn) // ends with the connection
				}
			}()
		case "--routes":
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			f.seed = conn
			go f.follow(conn) // ends with the connection
		}
		args = args[2:]
	}
	return nil
}

// follow hands on the messages of the other fake. They are for one subscription each, which the sid
// numbers.
func (f *fake) follow(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if words[0] != "MSG" {
			continue
		}
		payload, err := readPayload(in, words[len(words)-1])
		if err != nil {
			return
		}
		f.mu.Lock()
		if i, err := strconv.Atoi(words[2]); err == nil && i < len(f.subs) {
			deliverFake(f.subs[i], append(words[:2:2], words[3:]...), payload, 1)
		}
		f.mu.Unlock()
	}
}

// serve reads operations until the connection ends.
func (f *fake) serve(conn net.Conn) {
	defer f.forget(conn)
	fmt.Fprintf(conn, "INFO {\"version\":\"fake\",\"port\":%d} \r\n", f.port)
	in := bufio.NewReader(conn)
	for published := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "PING":
			f.write(conn, "PONG\r\n")
		case "SUB":
			f.subscribe(conn, words[1:])
		case "PUB":
			payload, err := readPayload(in, words[len(words)-1])
			if err != nil {
				return
			}
			published++
			f.publish(conn, words, payload, published == faultyMessage)
		}
	}
}

// readPayload reads the bytes after a PUB line, without their line end.
func readPayload(in io.Reader, size string) (string, error) {
	n, err := strconv.Atoi(size)
	if err != nil {
		return "", err
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(in, b)
	return string(b[:n]), err
}

// forget drops what a connection has subscribed to.
func (f *fake) forget(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	conn.Close()
	var rest []fakeSub
	for _, s := range f.subs {
		if s.conn != conn {
			rest = append(rest, s)
		}
	}
	f.subs = rest
}

// write keeps the order of what is written to a connection.
func (f *fake) write(conn net.Conn, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = io.WriteString(conn, text) // its reader notices when it is gone
}

// subscribe takes the arguments of a SUB.
func (f *fake) subscribe(conn net.Conn, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := fakeSub{conn: conn, subject: args[0], sid: args[len(args)-1]}
	if len(args) == 3 {
		s.queue = args[1]
	}
	if f.seed != nil {
		_, _ = fmt.Fprintf(f.seed, "SUB %s %s %d\r\n", s.subject, s.queue, len(f.subs)) // see write
	}
	f.subs = append(f.subs, s)
}

// publish delivers a message; words are the PUB line. The broker fails at a faulty one.
func (f *fake) publish(from net.Conn, words []string, payload string, faulty bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	times := 1
	switch {
	case !faulty:
	case f.fault == drops:
		times = 0
	case f.fault == repeats:
		times = 2
	case f.fault == corrupts:
		payload = payload[:len(payload)-1] + "!"
	case f.fault == complains:
		_, _ = io.WriteString(from, "-ERR 'Unhappy'\r\n") // see write
	case f.fault == closes:
		from.Close()
	}
	var members []fakeSub
	for _, s := range f.subs {
		switch {
		case !obviousMatch(s.subject, words[1]):
		case s.queue != "":
			members = append(members, s)
		default:
			deliverFake(s, words, payload, times)
		}
	}
	if len(members) > 0 {
		if f.fault != favours {
			f.turn++
		}
		deliverFake(members[f.turn%len(members)], words, payload, times)
	}
}

// deliverFake writes a message to a subscriber.
func deliverFake(s fakeSub, words []string, payload string, times int) {
	header := append([]string{"MSG", words[1], s.sid}, words[2:]...)
	for range times {
		_, _ = fmt.Fprintf(s.conn, "%s\r\n%s\r\n", strings.Join(header, " "), payload) // see write
	}
}
