package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gnatsd/test/wire"
)

// Replay has the conversation with the broker that dial reaches. The error says which line went
// wrong, and how.
func (tr *Transcript) Replay(dial func() (net.Conn, error), cut Cutter) error {
	r := &conversation{dial: dial, cut: cut, peers: map[string]*peer{}}
	defer r.close()
	for i := 0; i < len(tr.steps); {
		n, err := r.do(tr.steps[i:])
		if err != nil {
			return fmt.Errorf("%s: %s: %w", tr.steps[i].place, tr.steps[i].conn, err)
		}
		i += n
	}
	return r.finish()
}

// conversation is the state of one replay.
type conversation struct {
	dial  func() (net.Conn, error)
	cut   Cutter
	peers map[string]*peer
	order []*peer // as opened
}

// do carries out the first step, or the run of unordered expectations at the front, and says how
// many that were.
func (r *conversation) do(steps []step) (int, error) {
	s := steps[0]
	p, err := r.peer(s)
	if err != nil {
		return 0, err
	}
	if p.gone {
		return 0, errors.New("the connection is closed already")
	}
	switch s.verb {
	case send:
		p.send(r.cut(s.data, s.cuts))
		return 1, nil
	case expect:
		return 1, p.Expect(string(s.data))
	case expectInfo:
		return 1, p.expectInfo(s)
	case expectAny:
		n := 1
		for n < len(steps) && steps[n].verb == expectAny && steps[n].conn == s.conn {
			n++
		}
		return n, p.expectAny(steps[:n])
	case isOpen:
		return 1, p.fence()
	case isClosed:
		return 1, p.end(p.Ended)
	case isDropped:
		return 1, p.end(p.Dropped)
	default:
		p.close()
		return 1, nil
	}
}

// peer returns the named connection. It opens it, and takes in its INFO line unless that is what
// the step expects.
func (r *conversation) peer(s step) (*peer, error) {
	if p := r.peers[s.conn]; p != nil {
		return p, nil
	}
	c, err := r.dial()
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: wire.New(c), name: s.conn, unread: newUnread(c)}
	r.peers[s.conn] = p
	r.order = append(r.order, p)
	if s.verb == expectInfo {
		return p, nil
	}
	line, err := p.Line()
	if err == nil && !(strings.HasPrefix(line, "INFO {") && strings.HasSuffix(line, "} \r\n")) {
		err = fmt.Errorf("got %q, want an INFO line first", line)
	}
	return p, err
}

// finish sees that every connection still up is alive and that nothing more arrives. The first
// round pushes out what the last steps may have caused on other connections, the second finds it.
func (r *conversation) finish() error {
	for range 2 {
		for _, p := range r.order {
			if p.gone {
				continue
			}
			if err := p.fence(); err != nil {
				return fmt.Errorf("at the end: %s: %w", p.name, err)
			}
		}
	}
	return nil
}

func (r *conversation) close() {
	for _, p := range r.order {
		p.close()
	}
}

// peer is a client's side of one connection.
type peer struct {
	*wire.Conn
	name   string
	unread *unread
	gone   bool
}

func (p *peer) close() {
	p.gone = true
	p.Close()
	p.unread.close()
}

// send writes the pieces one by one. A failed write is not an error: if the broker closed on
// purpose, the transcript says so, and if not, the next expectation fails with what the broker
// said.
func (p *peer) send(pieces [][]byte) {
	for i, piece := range pieces {
		if p.Send(string(piece)) != nil {
			return
		}
		p.unread.wrote(len(piece))
		if i < len(pieces)-1 {
			p.unread.wait()
		}
	}
}

// expectAny reads the data of all steps, in any order.
func (p *peer) expectAny(steps []step) error {
	p.SetReadDeadline(time.Now().Add(wire.Patience))
	missing := make([][]byte, len(steps))
	for i, s := range steps {
		missing[i] = s.data
	}
	var got []byte
	for len(missing) > 0 {
		b, err := p.In.ReadByte()
		if err != nil {
			return fmt.Errorf("got %s, then %w; want one of %s", wire.Excerpt(string(got)), err, excerpts(missing))
		}
		got = append(got, b)
		prefix := false
		for i, want := range missing {
			if bytes.Equal(got, want) {
				missing = append(missing[:i], missing[i+1:]...)
				got, prefix = nil, true
				break
			}
			prefix = prefix || bytes.HasPrefix(want, got)
		}
		if !prefix {
			return fmt.Errorf("got %s, want one of %s", wire.Excerpt(p.WithRest(got)), excerpts(missing))
		}
	}
	return nil
}

// expectInfo reads a line and matches it with the pattern.
func (p *peer) expectInfo(s step) error {
	line, err := p.Line()
	if err != nil {
		return err
	}
	if !s.info.MatchString(line) {
		return fmt.Errorf("got %q, want a match of %s", line, s.info)
	}
	return nil
}

// fence sends a PING and wants the PONG, which comes after everything the broker had for this
// connection before.
func (p *peer) fence() error {
	p.send([][]byte{[]byte("PING\r\n")})
	if err := p.Expect("PONG\r\n"); err != nil {
		return fmt.Errorf("after a PING: %w", err)
	}
	return nil
}

// end waits for the end of the stream with wait, and notes it.
func (p *peer) end(wait func() error) error {
	err := wait()
	if err == nil {
		p.close()
	}
	return err
}

func excerpts(all [][]byte) string {
	var out []string
	for _, b := range all {
		out = append(out, wire.Excerpt(string(b)))
	}
	return fmt.Sprint(out)
}
