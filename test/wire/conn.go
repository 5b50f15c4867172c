// Package wire speaks the protocol of NATS to a broker under test, byte by byte: as a client that
// says what a test wants it to say, right or wrong, and as a server of an older version on a route.
// It knows the wire format and nothing of the broker.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patience bounds every wait for the other end. It is long, because only a failure uses it up.
const Patience = 2 * time.Minute

// Conn is one end of a connection. Its methods return errors, so any goroutine may use it; those
// that read belong to one at a time, as do those that write.
type Conn struct {
	net.Conn
	In *bufio.Reader // what has arrived

	passOver func(line string) bool // says which lines Line leaves out; nil for none
}

// New returns the end nc of a connection, on which nothing has been read.
func New(nc net.Conn) *Conn { return &Conn{Conn: nc, In: bufio.NewReaderSize(nc, 64<<10)} }

// Send writes text as it is.
func (c *Conn) Send(text string) error {
	c.SetWriteDeadline(time.Now().Add(Patience))
	_, err := io.WriteString(c.Conn, text)
	return err
}

// Line returns the next line with its end.
func (c *Conn) Line() (string, error) {
	c.SetReadDeadline(time.Now().Add(Patience))
	for {
		line, err := c.In.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("got %s, then %w", Excerpt(line), err)
		}
		if c.passOver == nil || !c.passOver(line) {
			return line, nil
		}
	}
}

// Expect reads exactly want, and stops at the first byte that differs.
func (c *Conn) Expect(want string) error {
	c.SetReadDeadline(time.Now().Add(Patience))
	got := make([]byte, 0, len(want))
	for len(got) < len(want) {
		b, err := c.In.ReadByte()
		if err != nil {
			return fmt.Errorf("got %s, then %w; want %s", Excerpt(string(got)), err, Excerpt(want))
		}
		got = append(got, b)
		if b != want[len(got)-1] {
			return fmt.Errorf("got %s, want %s", Excerpt(c.WithRest(got)), Excerpt(want))
		}
	}
	return nil
}

// Message is one MSG or HMSG.
type Message struct {
	Subject, Sid, Reply string
	Headers             []byte // with the version line and the empty one; nil for MSG
	Payload             []byte
}

// Next returns the next message, or nil for a PONG. Anything else is an error. It answers nothing.
func (c *Conn) Next() (*Message, error) {
	line, err := c.Line()
	if err != nil || line == "PONG\r\n" {
		return nil, err
	}
	return readMessage(line, c.In)
}

// Arrival waits as long as it takes for what comes next: a message or, with its end, a line that is
// none.
func (c *Conn) Arrival() (m *Message, line string, err error) {
	if line, err = c.In.ReadString('\n'); err != nil {
		return nil, line, err
	}
	if !strings.HasPrefix(line, "MSG ") && !strings.HasPrefix(line, "HMSG ") {
		return nil, line, nil
	}
	m, err = readMessage(line, c.In)
	return m, line, err
}

// Messages returns the messages that text consists of, and with an error those before it.
func Messages(text []byte) (all []*Message, err error) {
	for in := bufio.NewReader(bytes.NewReader(text)); ; {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" {
			return all, nil
		}
		m, err := readMessage(line, in)
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// readMessage reads what follows the control line of a message.
func readMessage(line string, in *bufio.Reader) (*Message, error) {
	m, headers, size, err := parseMessage(line)
	if err != nil {
		return nil, err
	}
	body := make([]byte, size+2)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(body, []byte("\r\n")) {
		return nil, fmt.Errorf("the payload after %q has no line end", line)
	}
	if headers > 0 {
		m.Headers = body[:headers]
	}
	m.Payload = body[headers:size]
	return m, nil
}

// parseMessage reads the control line of a message, the size of its headers and of all that
// follows.
func parseMessage(line string) (m *Message, headers, size int, err error) {
	f := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
	sizes := map[string]int{"MSG": 1, "HMSG": 2}[f[0]]
	if names := len(f) - sizes; sizes == 0 || names < 3 || names > 4 {
		return nil, 0, 0, fmt.Errorf("got %q, want a message or PONG", line)
	}
	m = &Message{Subject: f[1], Sid: f[2]}
	if len(f)-sizes == 4 {
		m.Reply = f[3]
	}
	size, err = strconv.Atoi(f[len(f)-1])
	if sizes == 2 && err == nil {
		headers, err = strconv.Atoi(f[len(f)-2])
	}
	if err != nil || headers > size {
		return nil, 0, 0, fmt.Errorf("sizes in %q", line)
	}
	return m, headers, size, nil
}

// Fence sends a PING and returns the messages that come before its PONG. When it returns, the
// broker has handed on all that was sent before.
func (c *Conn) Fence() ([]*Message, error) {
	if err := c.Send("PING\r\n"); err != nil {
		return nil, err
	}
	return c.UntilPong()
}

// UntilPong returns the messages that come before the next PONG.
func (c *Conn) UntilPong() (got []*Message, err error) {
	for {
		m, err := c.Next()
		if m == nil || err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

// Ended wants the end of the stream at once.
func (c *Conn) Ended() error {
	c.SetReadDeadline(time.Now().Add(Patience))
	b, err := c.In.ReadByte()
	if err == nil {
		return fmt.Errorf("got %s, want the connection closed", Excerpt(c.WithRest([]byte{b})))
	}
	if !IsEnd(err) {
		return fmt.Errorf("got %w, want the connection closed", err)
	}
	c.Close()
	return nil
}

// Dropped wants the end of the stream, whatever comes before.
func (c *Conn) Dropped() error {
	_, err := c.Rest()
	return err
}

// Rest returns what comes until the other end closes.
func (c *Conn) Rest() (string, error) {
	c.SetReadDeadline(time.Now().Add(Patience))
	rest, err := io.ReadAll(c.In)
	if err != nil && !IsEnd(err) {
		return string(rest), fmt.Errorf("got %s, then %w; want the connection closed", Excerpt(string(rest)), err)
	}
	c.Close()
	return string(rest), nil
}

// WithRest adds to got what else has arrived, to show it.
func (c *Conn) WithRest(got []byte) string {
	rest, _ := c.In.Peek(c.In.Buffered())
	return string(got) + string(rest)
}

// IsEnd reports whether a read ended because the other end closed. A reset is how a close looks to
// a client whose last bytes the broker did not care to read.
func IsEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// Excerpt quotes text for a message, without the middle if it is long.
func Excerpt(text string) string {
	const most = 200
	if text == "" {
		return "nothing"
	}
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return fmt.Sprintf("%q … %q (%d bytes)", text[:most/2], text[len(text)-most/2:], len(text))
}
