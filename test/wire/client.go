package wire

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// Client is an end of a connection that belongs to a test and ends it when something goes wrong.
// Another server uses it as well as a client. Only the goroutine of the test may use its own
// methods, any other those of Conn, and Say.
type Client struct {
	*Conn
	Info string // first INFO of the broker, if it has been read

	t     testing.TB
	known map[string]bool // of a route: SUB lines heard and not withdrawn
}

// Of returns the end nc of a connection, which is closed when the test ends. Nothing has been read.
func Of(t testing.TB, nc net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	return &Client{Conn: New(nc), t: t}
}

// Open connects to an address, host:port, and reads nothing.
func Open(t testing.TB, addr string) *Client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return Of(t, nc)
}

// Dial connects to an address, host:port, and reads INFO.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	c := Open(t, addr)
	c.ReadInfo()
	return c
}

// ReadInfo reads the first line, which must be INFO.
func (c *Client) ReadInfo() {
	c.t.Helper()
	c.Info = c.Hear("INFO {")
}

// CID returns the number that INFO gives the connection.
func (c *Client) CID() uint64 {
	c.t.Helper()
	var info struct {
		ClientID uint64 `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(c.Info, "INFO ")), &info); err != nil {
		c.t.Fatalf("%v in %q", err, c.Info)
	}
	return info.ClientID
}

// Say sends texts. CR LF is added to one that does not end in LF. A failed write is not an error:
// what is wanted next fails with what the broker said before it closed the connection.
func (c *Client) Say(texts ...string) { _ = c.Send(lines(texts)) }

// lines joins texts, of which each ends a line.
func lines(texts []string) string {
	var all strings.Builder
	for _, text := range texts {
		all.WriteString(text)
		if !strings.HasSuffix(text, "\n") {
			all.WriteString("\r\n")
		}
	}
	return all.String()
}

// Hear returns the next line, which must begin with prefix.
func (c *Client) Hear(prefix string) string {
	c.t.Helper()
	line, err := c.Line()
	if err != nil {
		c.t.Fatalf("%v; want %q", err, prefix)
	}
	if !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("got %q, want %q", line, prefix)
	}
	return line
}

// HearAfter returns the next line that begins with prefix, and leaves out those before.
func (c *Client) HearAfter(prefix string) string {
	c.t.Helper()
	for {
		if line := c.Hear(""); strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// Want reads exactly these texts. CR LF is added as Say does.
func (c *Client) Want(texts ...string) {
	c.t.Helper()
	if err := c.Expect(lines(texts)); err != nil {
		c.t.Fatal(err)
	}
}

// WantInAnyOrder reads these lines, whichever comes first.
func (c *Client) WantInAnyOrder(want ...string) {
	c.t.Helper()
	left := map[string]int{}
	for _, line := range want {
		left[line]++
	}
	for range want {
		if line := c.Hear(""); left[line] > 0 {
			left[line]--
		} else {
			c.t.Fatalf("got %q, want one of %q", line, want)
		}
	}
}

// Sync sends a PING and wants its PONG next: nothing has come before, and the broker has handed on
// all that was said.
func (c *Client) Sync() {
	c.t.Helper()
	c.Say("PING")
	c.Hear("PONG\r\n")
}

// Do sends texts as Say does, and waits until the broker has acted on them. What it answers is
// dropped.
func (c *Client) Do(texts ...string) {
	c.t.Helper()
	c.Say(texts...)
	c.Say("PING")
	c.HearAfter("PONG\r\n")
}

// Drain returns the messages that come before the PONG of a PING.
func (c *Client) Drain() []*Message {
	c.t.Helper()
	got, err := c.Fence()
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// End wants these texts, each a line, and then the end of the connection.
func (c *Client) End(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if line, want := c.Hear(""), lines([]string{text}); line != want {
			c.t.Fatalf("got %q, want %q", line, want)
		}
	}
	if line, err := c.Line(); err == nil || !IsEnd(err) {
		c.t.Fatalf("got %q, %v, want the end", line, err)
	}
	c.Close()
}
