package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// fakeEnv makes this test binary behave as a broker, instead of running tests; its value is what
// the broker does wrong.
const fakeEnv = "GNATSD_BENCH_FAKE"

// What a fake does wrong: to every message that is the faultyMessage-th of a connection's
// publications, or to the events about clients that leave.
const (
	faithful  = "nothing"
	drops     = "drop"
	repeats   = "repeat"
	corrupts  = "corrupt"
	closes    = "close"
	complains = "complain"
	favours   = "favour" // always the same member of a queue group

	forgets        = "forget an event"
	announcesTwice = "announce twice"

	faultyMessage = 1000
)

// fake is the most obvious broker there is: one lock, a list of subscriptions, a write per message.
type fake struct {
	fault string
	port  int
	tls   *tls.Config // of its clients; nil without TLS

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

// fakeFlags are the command line of a fake.
type fakeFlags struct {
	host, port, cluster, routes, cert, key string
	secure                                 bool
}

// parseFake reads the command line of a fake; what has no effect on it is accepted.
func parseFake(args []string) (f fakeFlags, err error) {
	fs := flag.NewFlagSet("fake", flag.ContinueOnError)
	fs.StringVar(&f.host, "a", "", "host")
	fs.StringVar(&f.port, "p", "", "port")
	fs.StringVar(&f.cluster, "cluster", "", "URL to listen on for another fake")
	fs.StringVar(&f.routes, "routes", "", "URL of another fake")
	fs.BoolVar(&f.secure, "tls", false, "TLS")
	fs.StringVar(&f.cert, "tlscert", "", "file of the certificate")
	fs.StringVar(&f.key, "tlskey", "", "file of its key")
	fs.String("c", "", "configuration file")
	return f, fs.Parse(args)
}

// serveFake runs a fake as a process of its own would, until it is killed.
func serveFake(fault string, args []string) error {
	flags, err := parseFake(args)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(flags.host, flags.port))
	if err != nil {
		return err
	}
	f := &fake{fault: fault, port: l.Addr().(*net.TCPAddr).Port}
	if flags.secure {
		pair, err := tls.LoadX509KeyPair(flags.cert, flags.key)
		if err != nil {
			return err
		}
		f.tls = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	if err := f.cluster(flags); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "the fake is listening")
	return f.accept(l)
}

// accept serves connections until there are no more.
func (f *fake) accept(l net.Listener) error {
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
func (f *fake) cluster(flags fakeFlags) error {
	if flags.cluster != "" {
		l, err := net.Listen("tcp", strings.TrimPrefix(flags.cluster, "nats://"))
		if err != nil {
			return err
		}
		go f.accept(l) // ends with the process
	}
	if flags.routes == "" {
		return nil
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(flags.routes, "nats://"))
	if err != nil {
		return err
	}
	f.seed = conn
	go f.follow(conn) // ends with the connection
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
	fmt.Fprintf(conn, "INFO {\"version\":\"fake\",\"port\":%d} \r\n", f.port)
	if f.tls != nil {
		conn = tls.Server(conn, f.tls)
	}
	defer f.forget(conn)
	in := bufio.NewReader(conn)
	for published := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "CONNECT":
			name := clientName.FindString(line)
			f.announce(conn, "CONNECT", name, 1)
			defer f.announce(conn, "DISCONNECT", name, f.departures())
		case "PING":
			f.write(conn, "PONG\r\n")
		case "SUB":
			f.subscribe(conn, words[1:])
		case "UNSUB":
			f.unsubscribe(conn, words[1])
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

// clientName finds the name of a client that is to be told apart from others.
var clientName = regexp.MustCompile(`"visit-[0-9]+"`)

// announce publishes an event about such a client.
func (f *fake) announce(conn net.Conn, kind, name string, times int) {
	for range times {
		if name != "" {
			f.publish(conn, []string{"PUB", "$SYS.ACCOUNT.APP." + kind, strconv.Itoa(len(name))}, name, false)
		}
	}
}

// departures is how often it says that a client has left.
func (f *fake) departures() int {
	switch f.fault {
	case forgets:
		return 0
	case announcesTwice:
		return 2
	}
	return 1
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

// unsubscribe ends a subscription.
func (f *fake) unsubscribe(conn net.Conn, sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = slices.DeleteFunc(f.subs, func(s fakeSub) bool { return s.conn == conn && s.sid == sid })
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
