package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gnatsd/test/wire"
)

// Identity is how a client logs in.
type Identity struct {
	User, Password string
	Account        string // that the user belongs to, for the log; not sent
	Rules          *Rules // that the user has, for the log; not sent
	NoEcho         bool
	Headers        bool // messages are published with headers
}

// Client is a connection to a broker that records what it does and receives. It numbers what it
// publishes, and answers requests. Its methods may be used by any goroutine.
type Client struct {
	Number int
	Server int // that it is connected to

	log  *Log
	conn *wire.Conn
	who  Identity
	done chan struct{} // closed when nothing more is read

	// writing is held by the goroutine that writes: one at a time, in the order of the log. It is no
	// mutex because those that wait for one keep the clock of a synctest bubble from advancing.
	writing chan struct{}

	mu      sync.Mutex // guards what follows
	gate    *sync.Cond
	stalled bool // nothing is read
	left    bool
	n       int // publications
	sids    int // subscriptions
	pinged  int
	ponged  int
	errs    []string // -ERR that came
}

// Join logs in over a connection on which nothing has been read, and then reads until the
// connection ends. The error is that of the connection or what the broker says instead of PONG;
// the connection is closed then, and nothing recorded.
func (l *Log) Join(nc net.Conn, server int, who Identity) (*Client, error) {
	c := &Client{Server: server, log: l, conn: wire.New(nc), who: who, done: make(chan struct{}), writing: make(chan struct{}, 1)}
	c.gate = sync.NewCond(&c.mu)
	if err := c.login(); err != nil {
		nc.Close()
		return nil, err
	}
	c.Number = l.number()
	l.Add(Event{Kind: Joined, Client: c.Number, Server: server, Account: who.Account, Rules: who.Rules, NoEcho: who.NoEcho})
	go c.read() // ends with the connection
	return c, nil
}

func (c *Client) login() error {
	if _, err := c.conn.Line(); err != nil { // INFO
		return fmt.Errorf("wait for INFO: %w", err)
	}
	options, err := json.Marshal(map[string]any{"verbose": false, "pedantic": false, "user": c.who.User, "pass": c.who.Password,
		"echo": !c.who.NoEcho, "headers": c.who.Headers, "protocol": 1})
	if err != nil {
		return err
	}
	if err := c.conn.Send("CONNECT " + string(options) + "\r\nPING\r\n"); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	for {
		switch line, err := c.conn.Line(); {
		case err != nil:
			return fmt.Errorf("wait for PONG: %w", err)
		case line == "PONG\r\n":
			c.conn.SetReadDeadline(time.Time{})
			return nil
		case strings.HasPrefix(line, "-ERR"):
			return fmt.Errorf("log in: %s", strings.TrimSpace(line))
		}
	}
}

// Addr returns the address of the client, as the log of the server names it.
func (c *Client) Addr() string { return c.conn.LocalAddr().String() }

// Who returns how the client has logged in.
func (c *Client) Who() Identity { return c.who }

// read records what arrives until the connection ends.
func (c *Client) read() {
	defer close(c.done)
	for {
		c.awaitResume()
		m, line, err := c.conn.Arrival()
		switch {
		case err != nil:
			c.end()
			return
		case m != nil:
			c.receive(m)
		case line == "PING\r\n":
			c.send("PONG\r\n")
		case line == "PONG\r\n":
			c.pong()
		case strings.HasPrefix(line, "-ERR"):
			c.refused(strings.TrimSpace(line))
		case !strings.HasPrefix(line, "INFO {") && line != "+OK\r\n":
			c.log.Add(Event{Kind: Garbled, Client: c.Number, Text: wire.Excerpt(line)})
		}
	}
}

// end records the end of the connection, unless the client has ended it.
func (c *Client) end() {
	c.conn.Close()
	if c.leave() {
		c.log.Add(Event{Kind: Dropped, Client: c.Number, Text: strings.Join(c.Errors(), ", ")})
	}
}

// awaitResume waits while the client is stalled.
func (c *Client) awaitResume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.stalled {
		c.gate.Wait()
	}
}

func (c *Client) pong() {
	c.log.Add(Event{Kind: Ponged, Client: c.Number})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ponged++
	c.gate.Broadcast()
}

func (c *Client) refused(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, line)
}

// Errors returns the -ERR lines that came.
func (c *Client) Errors() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs[:len(c.errs):len(c.errs)]
}

// receive records a message, and answers it if it is a request.
func (c *Client) receive(m *wire.Message) {
	id, answers, err := parsePayload(m.Payload)
	if err != nil {
		c.log.Add(Event{Kind: Garbled, Client: c.Number, Text: err.Error()})
		return
	}
	c.log.Add(Event{Kind: Received, Client: c.Number, Sid: m.Sid, Message: id, Subject: m.Subject, Reply: m.Reply})
	if m.Reply != "" && (answers == ID{}) {
		c.publish(m.Reply, "", 0, id)
	}
}

// Subscribe sends SUB, in a queue group unless queue is "", and returns the sid.
func (c *Client) Subscribe(pattern, queue string) (sid string) {
	c.mu.Lock()
	c.sids++
	sid = strconv.Itoa(c.sids)
	c.mu.Unlock()
	group := ""
	if queue != "" {
		group = queue + " "
	}
	c.do(Event{Kind: Subscribed, Sid: sid, Pattern: pattern, Queue: queue}, fmt.Sprintf("SUB %s %s%s\r\n", pattern, group, sid))
	return sid
}

// Limit sends UNSUB with a maximum.
func (c *Client) Limit(sid string, most int) {
	c.do(Event{Kind: Limited, Sid: sid, Max: most}, fmt.Sprintf("UNSUB %s %d\r\n", sid, most))
}

// Unsubscribe sends UNSUB.
func (c *Client) Unsubscribe(sid string) {
	c.do(Event{Kind: Unsubscribed, Sid: sid}, fmt.Sprintf("UNSUB %s\r\n", sid))
}

// Publish sends a message with a payload of some size, or a little more.
func (c *Client) Publish(subject string, size int) { c.publish(subject, "", size, ID{}) }

// Request sends a message with a reply subject. Subscribers of this package answer it.
func (c *Client) Request(subject, reply string) { c.publish(subject, reply, 0, ID{}) }

func (c *Client) publish(subject, reply string, size int, answers ID) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.n++
	payload := makePayload(ID{c.Number, c.n}, answers, size)
	verb, header := "PUB", ""
	if c.who.Headers {
		verb, header = "HPUB", "NATS/1.0\r\nA: b\r\n\r\n"
	}
	line := verb + " " + subject
	if reply != "" {
		line += " " + reply
	}
	if header != "" {
		line += " " + strconv.Itoa(len(header))
	}
	c.log.Add(Event{Kind: Published, Client: c.Number, N: c.n, Subject: subject, Reply: reply, Answers: answers})
	c.put(fmt.Sprintf("%s %d\r\n%s%s\r\n", line, len(header)+len(payload), header, payload))
}

// do records an event and sends its text.
func (c *Client) do(e Event, text string) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	e.Client = c.Number
	c.log.Add(e)
	c.put(text)
}

// Send sends text that is not recorded: garbage, or a part of an operation.
func (c *Client) Send(text string) { c.send(text) }

func (c *Client) send(text string) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.put(text)
}

// put writes. The reader notices that the broker has ended the connection; a broker that reads
// nothing is left, because a part of the text may be written.
func (c *Client) put(text string) {
	if err := c.conn.Send(text); errors.Is(err, os.ErrDeadlineExceeded) {
		c.Leave(func(nc net.Conn) { nc.Close() })
	}
}

// Ping sends PING, and waits for nothing.
func (c *Client) Ping() {
	c.mu.Lock()
	c.pinged++
	c.mu.Unlock()
	c.do(Event{Kind: Pinged}, "PING\r\n")
}

// Answered reports whether every PING has its PONG.
func (c *Client) Answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ponged >= c.pinged
}

// Alive reports whether the connection has not ended.
func (c *Client) Alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.left
}

// Stall stops reading, after what is being read, until Resume.
func (c *Client) Stall() { c.setStalled(true) }

// Resume reads on.
func (c *Client) Resume() { c.setStalled(false) }

func (c *Client) setStalled(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = on
	c.gate.Broadcast()
}

// Leave records that the client ends its connection, which the caller does by what it gets: a
// close, a reset, a half-close. It reports false if the connection has ended already.
func (c *Client) Leave(end func(net.Conn)) bool {
	first := c.leave()
	if first {
		c.log.Add(Event{Kind: Left, Client: c.Number})
	}
	c.Resume()
	end(c.conn.Conn)
	return first
}

// leave reports whether the connection had not ended.
func (c *Client) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.left
	c.left = true
	return first
}

// Wait waits until nothing more is read.
func (c *Client) Wait() { <-c.done }

// makePayload returns a payload that names its publication, of size bytes at least.
func makePayload(id, answers ID, size int) []byte {
	head := fmt.Sprintf("%d %d %d %d ", id.Client, id.N, answers.Client, answers.N)
	return append([]byte(head), bytes.Repeat([]byte{filling(id)}, max(0, size-len(head)))...)
}

// filling is the byte that fills a payload.
func filling(id ID) byte { return byte('a' + (7*id.Client+id.N)%26) }

// parsePayload is the reverse of makePayload, and checks every byte.
func parsePayload(payload []byte) (id, answers ID, err error) {
	if _, err := fmt.Sscanf(string(payload[:min(len(payload), 100)]), "%d %d %d %d ", &id.Client, &id.N, &answers.Client, &answers.N); err != nil {
		return id, answers, fmt.Errorf("a payload that is none of a client of the check: %s", wire.Excerpt(string(payload)))
	}
	if !bytes.Equal(payload, makePayload(id, answers, len(payload))) {
		return id, answers, fmt.Errorf("a payload that is not that of message %d/%d: %s", id.Client, id.N, wire.Excerpt(string(payload)))
	}
	return id, answers, nil
}
