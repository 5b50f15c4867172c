package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// checker is given everything one connection reads, in pieces of any length, and says whether that
// is what the broker owes it.
type checker interface {
	// feed checks the next bytes and returns how many of them were accepted as parts of MSG
	// frames. The first error is final.
	feed(data []byte) (frames int, err error)
}

// control collects lines that are not messages (PING, PONG, INFO, -ERR) and passes them on, without
// their line end. A line may arrive in pieces.
type control struct {
	handle func(line string) error
	held   []byte
}

// lineLimit bounds what is taken for a control line; INFO is the longest.
const lineLimit = 64 << 10

// take eats up to the end of the line, and returns what is left of data.
func (c *control) take(data []byte) ([]byte, error) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		c.held = append(c.held, data...)
		if len(c.held) > lineLimit {
			return nil, fmt.Errorf("a line without end: %s", excerpt(c.held))
		}
		return nil, nil
	}
	line := string(bytes.TrimSuffix(append(c.held, data[:end]...), []byte("\r")))
	c.held = c.held[:0]
	return data[end+1:], c.handle(line)
}

// begun reports whether a line has arrived in part.
func (c *control) begun() bool { return len(c.held) > 0 }

// startsControl reports whether a line that begins with b, where a frame might begin, is no frame.
func startsControl(b byte) bool {
	return b == 'P' || b == 'I' || b == '-' || b == '+'
}

// lapChecker expects the frames of one stream, every one of them, in order, again and again. Whole
// reads are compared with what is due, which costs a fraction of what parsing would; only where
// they differ is anything taken apart.
type lapChecker struct {
	stream  *stream // nil: no frame at all is expected
	pos     int     // in stream.frames: what comes next
	laps    int
	control control
}

// feed checks the next bytes; see checker.
func (c *lapChecker) feed(data []byte) (frames int, err error) {
	for len(data) > 0 {
		if c.control.begun() {
			if data, err = c.control.take(data); err != nil {
				return frames, err
			}
			continue
		}
		n := c.match(data)
		frames += n
		if data = data[n:]; len(data) == 0 {
			break
		}
		if !c.betweenFrames() || !startsControl(data[0]) {
			return frames, c.explain(data)
		}
		if data, err = c.control.take(data); err != nil {
			return frames, err
		}
	}
	return frames, nil
}

// match advances over all bytes that are as they should be, and returns their number.
func (c *lapChecker) match(data []byte) int {
	if c.stream == nil {
		return 0
	}
	total := 0
	for len(data) > 0 {
		due := c.stream.frames[c.pos:]
		n := min(len(data), len(due))
		if !bytes.Equal(data[:n], due[:n]) {
			n = commonPrefix(data[:n], due[:n])
			c.pos += n
			return total + n
		}
		total += n
		data = data[n:]
		if c.pos += n; c.pos == len(c.stream.frames) {
			c.pos = 0
			c.laps++
		}
	}
	return total
}

// commonPrefix is how many bytes a and b share at their start; they are equally long.
func commonPrefix(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// betweenFrames reports whether the next byte due is the first of a frame.
func (c *lapChecker) betweenFrames() bool {
	if c.stream == nil {
		return true
	}
	start, _, _ := c.stream.frameAt(c.pos)
	return start == c.pos
}

// explain says what is wrong with data, whose first byte is not the one that is due.
func (c *lapChecker) explain(data []byte) error {
	if c.stream == nil {
		return fmt.Errorf("no message was expected, got %s", excerpt(data))
	}
	start, end, index := c.stream.frameAt(c.pos)
	want := c.stream.frames[start:end]
	got := append(bytes.Clone(want[:c.pos-start]), data...)
	where := fmt.Sprintf("message %d", c.laps*c.stream.messages+index)
	return fmt.Errorf("%s: %w", where, diagnose(got, want))
}

// diagnose compares a frame with the one that was due, and says in which part they first differ.
func diagnose(got, want []byte) error {
	wantHeader, wantPayload, _ := bytes.Cut(want, []byte("\r\n"))
	gotHeader, gotPayload, complete := bytes.Cut(got, []byte("\r\n"))
	if !complete || !bytes.Equal(gotHeader, wantHeader) {
		return fmt.Errorf("got header %s, want %s", excerpt(gotHeader), excerpt(wantHeader))
	}
	wantPayload = wantPayload[:len(wantPayload)-2]
	if len(gotPayload) >= len(wantPayload) && bytes.Equal(gotPayload[:len(wantPayload)], wantPayload) {
		return fmt.Errorf("got %s after the payload, want a line end", excerpt(gotPayload[len(wantPayload):]))
	}
	got8, gotOK := payloadIndex(gotPayload)
	want8, wantOK := payloadIndex(wantPayload)
	if gotOK && wantOK && got8 != want8 {
		return fmt.Errorf("got the payload of message %d of the lap, want that of %d: lost, repeated or out of order",
			got8, want8)
	}
	return fmt.Errorf("got payload %s, want %s", excerpt(gotPayload), excerpt(wantPayload))
}

// mixedChecker expects the frames of several streams, the frames of each in their order, again and
// again, and mixed in any way.
type mixedChecker struct {
	streams []*lapChecker // each between two frames
	held    []byte        // the part of a frame that has arrived
	control control
}

// newMixedChecker wants streams without a message in common.
func newMixedChecker(streams []*stream, control control) *mixedChecker {
	c := &mixedChecker{control: control}
	for _, s := range streams {
		c.streams = append(c.streams, &lapChecker{stream: s})
	}
	return c
}

// feed checks the next bytes; see checker. Bytes of a frame count when the frame is complete.
func (c *mixedChecker) feed(data []byte) (frames int, err error) {
	if len(c.held) > 0 {
		data = append(c.held, data...)
		c.held = nil
	}
	for len(data) > 0 {
		if c.control.begun() || startsControl(data[0]) {
			if data, err = c.control.take(data); err != nil {
				return frames, err
			}
			continue
		}
		n, err := c.frame(data)
		if err != nil {
			return frames, err
		}
		if n == 0 {
			c.held = bytes.Clone(data)
			break
		}
		frames += n
		data = data[n:]
	}
	return frames, nil
}

// frame takes the frame that data begins with, and returns its length; 0 if it is not complete.
func (c *mixedChecker) frame(data []byte) (int, error) {
	nearest, matching := c.streams[0], -1
	for _, s := range c.streams {
		due := s.stream.frames[s.pos:]
		due = due[:frameLength(due)]
		n := min(len(data), len(due))
		common := commonPrefix(data[:n], due[:n])
		if common == len(due) {
			return s.match(data[:n]), nil
		}
		if common == len(data) {
			return 0, nil
		}
		if common > matching {
			nearest, matching = s, common
		}
	}
	return 0, nearest.explain(data)
}

// memberChecker expects some of the frames of a stream, in order: what one member of a queue group
// receives. All frames of the stream are equally long. Which of them came is counted, so that the
// counts of all members together can be compared with what was published.
type memberChecker struct {
	stream  *stream
	size    int      // of every frame
	digits  int      // where in a frame the number of the message is
	counts  []uint32 // how often each frame of the lap came
	last    int      // the frame before this one
	total   int64    // frames
	held    []byte   // the part of a frame that has arrived
	control control
}

// newMemberChecker wants payloads of at least indexDigits bytes.
func newMemberChecker(s *stream, handle func(string) error) *memberChecker {
	size := frameLength(s.frames)
	if size*s.messages != len(s.frames) {
		panic("the frames of a queue group's stream differ in length")
	}
	return &memberChecker{
		stream: s, size: size, digits: bytes.IndexByte(s.frames, '\n') + 1,
		counts: make([]uint32, s.messages), control: control{handle: handle},
	}
}

// feed checks the next bytes; see checker. Bytes of a frame count when the frame is complete.
func (c *memberChecker) feed(data []byte) (frames int, err error) {
	for len(data) > 0 {
		switch {
		case c.control.begun() || len(c.held) == 0 && startsControl(data[0]):
			if data, err = c.control.take(data); err != nil {
				return frames, err
			}
			continue
		case len(c.held) == 0 && len(data) >= c.size:
			err = c.frame(data[:c.size])
			data = data[c.size:]
		default:
			n := min(c.size-len(c.held), len(data))
			c.held = append(c.held, data[:n]...)
			data = data[n:]
			if len(c.held) < c.size {
				return frames, nil
			}
			err = c.frame(c.held)
			c.held = c.held[:0]
		}
		if err != nil {
			return frames, err
		}
		frames += c.size
	}
	return frames, nil
}

// frame checks one complete frame. The numbers of a member's messages rise, except where a new lap
// begins: stepping back by less than half a lap is taken for disorder, for a member that misses so
// many in a row does not occur.
func (c *memberChecker) frame(got []byte) error {
	index, ok := payloadIndex(got[c.digits:])
	if !ok || index >= c.stream.messages {
		return fmt.Errorf("message %d: %w", c.total, diagnose(got, c.stream.frames[:c.size]))
	}
	want := c.stream.frames[index*c.size : (index+1)*c.size]
	if !bytes.Equal(got, want) {
		return fmt.Errorf("message %d: %w", c.total, diagnose(got, want))
	}
	step := (index - c.last + c.stream.messages) % c.stream.messages
	if c.total > 0 && (step == 0 || step > c.stream.messages/2) {
		return fmt.Errorf("message %d: number %d of the lap after number %d: repeated or out of order",
			c.total, index, c.last)
	}
	c.last = index
	c.counts[index]++
	c.total++
	return nil
}

// excerptSize is how much of an offending text an error shows.
const excerptSize = 80

// excerpt quotes the start of b for an error message.
func excerpt(b []byte) string {
	if len(b) > excerptSize {
		return strconv.Quote(string(b[:excerptSize])) + "…"
	}
	return strconv.Quote(string(b))
}
