package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// connectLine is what every connection of the driver introduces itself with, as client libraries
// do.
const connectLine = `CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}` + "\r\n"

// readBytes is how much one read of a subscriber takes at most.
const readBytes = 64 << 10

// client is one connection to a broker. What it reads after the handshake is read and checked by a
// goroutine of its own, from start until close.
type client struct {
	name string // for error messages
	conn net.Conn
	rest []byte // read during the handshake, and not part of it

	ponged bool          // a PONG was just read; owned by the reader
	pongs  chan struct{} // one for each PONG
	done   chan struct{} // closed when the reader has ended
	err    error         // why it ended; valid after done
}

// dial connects, introduces itself, sends setup (complete operations, or nothing) and returns when
// the broker has answered a PING sent after it. Nothing the client does may last beyond the
// deadline.
func (p *process) dial(name string, deadline time.Time, setup []byte) (*client, error) {
	return p.dialBy(&net.Dialer{}, name, deadline, setup)
}

// dialBy is dial for sockets with options of their own.
func (p *process) dialBy(d *net.Dialer, name string, deadline time.Time, setup []byte) (*client, error) {
	return p.dialAs(connectLine, d, name, deadline, setup)
}

// dialAs is dialBy for clients that introduce themselves with a CONNECT of their own.
func (p *process) dialAs(hello string, d *net.Dialer, name string, deadline time.Time, setup []byte) (*client, error) {
	d.Deadline = deadline
	conn, err := d.Dial("tcp", p.addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &client{name: name, conn: conn, pongs: make(chan struct{}, 1)}
	if err := c.handshake(p.tls, deadline, append([]byte(hello), setup...)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: handshake: %w", name, err)
	}
	return c, nil
}

// handshake is everything up to the first PONG; operations begin with a CONNECT. With TLS, its
// handshake follows the INFO.
func (c *client) handshake(secure *tls.Config, deadline time.Time, operations []byte) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	in := bufio.NewReader(c.conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "INFO ") {
		return fmt.Errorf("greeted with %s, not with INFO", excerpt([]byte(line)))
	}
	if secure != nil {
		c.conn = tls.Client(c.conn, secure)
		in.Reset(c.conn)
	}
	if _, err := c.conn.Write(append(operations, "PING\r\n"...)); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "PONG" {
			break
		}
		if err := c.answer(line); err != nil {
			return err
		}
	}
	c.rest, err = in.Peek(in.Buffered())
	return err
}

// answer acts on a control line other than a PONG that is waited for.
func (c *client) answer(line string) error {
	switch {
	case line == "PING":
		_, err := io.WriteString(c.conn, "PONG\r\n")
		return err
	case strings.HasPrefix(line, "INFO "):
		return nil
	default:
		return fmt.Errorf("the broker says %s", excerpt([]byte(line)))
	}
}

// control acts on any control line read after the handshake. A PONG is kept until the frames before
// it are accounted for.
func (c *client) control(line string) error {
	if line != "PONG" {
		return c.answer(line)
	}
	if c.ponged {
		return errors.New("a PONG that was not asked for")
	}
	c.ponged = true
	return nil
}

// releasePong lets the fence that waits for it go.
func (c *client) releasePong() error {
	c.ponged = false
	select {
	case c.pongs <- struct{}{}:
		return nil
	default:
		return errors.New("a PONG that was not asked for")
	}
}

// start reads and checks from here on. The progress function, which may be nil, is called with
// checked frame bytes, the failed function of the error that ends it; both are called from the
// reader.
func (c *client) start(check checker, progress func(n int), failed func(error)) {
	c.done = make(chan struct{})
	go func() { // ends with the connection; close waits for it
		defer close(c.done)
		c.err = fmt.Errorf("%s: %w", c.name, c.read(check, progress))
		failed(c.err)
	}()
}

// read feeds the checker until the connection ends or something is wrong.
func (c *client) read(check checker, progress func(n int)) error {
	buf := make([]byte, readBytes)
	n := copy(buf, c.rest)
	for {
		frames, err := check.feed(buf[:n])
		if err != nil {
			return err
		}
		if frames > 0 && progress != nil {
			progress(frames)
		}
		if c.ponged {
			if err := c.releasePong(); err != nil {
				return err
			}
		}
		n, err = c.conn.Read(buf)
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the broker closed the connection")
		case err != nil:
			return err
		}
	}
}

// fence returns when everything the client has sent has been taken in by the broker: when it
// answers a PING.
func (c *client) fence() error {
	if _, err := io.WriteString(c.conn, "PING\r\n"); err != nil {
		return c.reason(err)
	}
	select {
	case <-c.pongs:
		return nil
	case <-c.done:
		return c.err
	}
}

// reason is why a write failed: the reader knows more, and ends too once the connection is broken
// or its time is up.
func (c *client) reason(err error) error {
	<-c.done
	return fmt.Errorf("%w (%w)", c.err, err)
}

// close ends the connection, and the reader if there is one.
func (c *client) close() {
	c.conn.Close()
	if c.done != nil {
		<-c.done
	}
}
