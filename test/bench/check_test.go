package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// smallStream has n messages of 16 bytes on one subject.
func smallStream(n int) *stream {
	s := &stream{}
	for i := range n {
		s.add([]byte("foo"), "1", appendPayload(nil, i, 16))
	}
	s.endChunk()
	return s
}

// frameOf is message i of smallStream as it is delivered.
func frameOf(i int) string {
	return fmt.Sprintf("MSG foo 1 16\r\n%s\r\n", appendPayload(nil, i, 16))
}

// frames strings several of them together.
func frames(numbers ...int) string {
	var b strings.Builder
	for _, i := range numbers {
		b.WriteString(frameOf(i))
	}
	return b.String()
}

// refuseErrors is what a client does with control lines, without a connection.
func refuseErrors(line string) error {
	if strings.HasPrefix(line, "-ERR") {
		return errors.New(line)
	}
	return nil
}

// feedAll feeds in pieces of one size, or whole when it is 0, and returns what was accepted.
func feedAll(c checker, data string, piece int) (int, error) {
	if piece == 0 {
		piece = max(1, len(data))
	}
	total := 0
	for rest := []byte(data); len(rest) > 0; {
		n := min(piece, len(rest))
		frames, err := c.feed(bytes.Clone(rest[:n]))
		total += frames
		if err != nil {
			return total, err
		}
		rest = rest[n:]
	}
	return total, nil
}

func TestLapChecker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, input string
		want        string // part of the error; none if empty
	}{
		{"every frame in order is accepted", frames(0, 1, 2), ""},
		{"a lap begins again after the last message", frames(0, 1, 2, 0, 1), ""},
		{"a PING between two frames is passed on", frameOf(0) + "PING\r\n" + frameOf(1), ""},
		{"a PONG before the first frame is passed on", "PONG\r\n" + frameOf(0), ""},
		{"an INFO between two frames is passed on", frameOf(0) + "INFO {} \r\n" + frameOf(1), ""},
		{"an error of the broker ends it", frameOf(0) + "-ERR 'Slow Consumer'\r\n", "-ERR 'Slow Consumer'"},
		{"a lost message is noticed", frames(0, 2), "message 1: got the payload of message 2"},
		{"a repeated message is noticed", frames(0, 0), "message 1: got the payload of message 0"},
		{"an exchanged pair is noticed", frames(1), "message 0: got the payload of message 1"},
		{"the count goes on over laps", frames(0, 1, 2, 1), "message 3: got"},
		{"another subject is noticed", strings.Replace(frameOf(0), "foo", "fop", 1), "got header"},
		{"another sid is noticed", strings.Replace(frameOf(0), " 1 ", " 2 ", 1), "got header"},
		{"another size is noticed", strings.Replace(frameOf(0), " 16", " 17", 1), "got header"},
		{"a doubled space is noticed", strings.Replace(frameOf(0), " 16", "  16", 1), "got header"},
		{"a line end without CR is noticed", strings.Replace(frameOf(0), "16\r\n", "16\n", 1), "got header"},
		{"a payload changed in its middle is noticed", "MSG foo 1 16\r\n00000000xxxxxxxx\r\n", "got payload"},
		{"a payload that goes on is noticed", frameOf(0)[:len(frameOf(0))-2] + "xx", "after the payload"},
		{"a PING within a frame is no PING", frameOf(0)[:20] + "PING\r\n", "message 0"},
	} {
		for _, piece := range []int{0, 1, 7} {
			t.Run(fmt.Sprintf("%s/pieces=%d", tc.name, piece), func(t *testing.T) {
				t.Parallel()
				c := &lapChecker{stream: smallStream(3), control: control{handle: refuseErrors}}
				n, err := feedAll(c, tc.input, piece)
				checkFed(t, n, err, tc.input, tc.want, piece)
			})
		}
	}
}

// checkFed compares the outcome of feeding with the error that was due; pieces of one byte see less
// of what is wrong.
func checkFed(t *testing.T, n int, err error, input, want string, piece int) {
	t.Helper()
	if want == "" {
		if accepted := strings.Count(input, "MSG") * len(frameOf(0)); err != nil || n != accepted {
			t.Fatalf("accepted %d bytes (%v), want %d", n, err, accepted)
		}
		return
	}
	if err == nil {
		t.Fatalf("accepted, want an error with %q", want)
	}
	if piece == 0 && !strings.Contains(err.Error(), want) {
		t.Fatalf("error %q, want %q in it", err, want)
	}
}

func TestNoStreamMeansNoMessage(t *testing.T) {
	t.Parallel()
	c := &lapChecker{control: control{handle: refuseErrors}}
	if _, err := feedAll(c, "PONG\r\nPING\r\n", 1); err != nil {
		t.Errorf("control lines: %v, want none", err)
	}
	if _, err := feedAll(c, frameOf(0), 0); err == nil {
		t.Error("a message was accepted, want an error")
	}
}

func TestALineWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	c := &lapChecker{control: control{handle: refuseErrors}}
	if _, err := feedAll(c, "INFO "+strings.Repeat("x", lineLimit), 1000); err == nil {
		t.Error("accepted, want an error")
	}
}

func TestMemberChecker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, input string
		want        string // part of the error; none if empty
	}{
		{"some of the frames in order are accepted", frames(1, 3, 8), ""},
		{"a lap begins again", frames(7, 2), ""},
		{"a PING between two frames is passed on", frameOf(0) + "PING\r\n" + frameOf(1), ""},
		{"a repeated message is noticed", frames(2, 2), "repeated or out of order"},
		{"an exchanged pair is noticed", frames(5, 4), "repeated or out of order"},
		{"a number beyond the lap is noticed", frames(10), "message 0"},
		{"a number that is none is noticed", "MSG foo 1 16\r\nabcdefgh12345678\r\n", "message 0"},
		{"a changed payload is noticed", "MSG foo 1 16\r\n00000001xxxxxxxx\r\n", "got payload"},
		{"another subject is noticed", strings.Replace(frameOf(0), "foo", "fop", 1), "got header"},
		{"an error of the broker ends it", "-ERR 'Slow Consumer'\r\n", "-ERR 'Slow Consumer'"},
	} {
		for _, piece := range []int{0, 1, 7, 40} {
			t.Run(fmt.Sprintf("%s/pieces=%d", tc.name, piece), func(t *testing.T) {
				t.Parallel()
				c := newMemberChecker(smallStream(10), refuseErrors)
				n, err := feedAll(c, tc.input, piece)
				checkFed(t, n, err, tc.input, tc.want, piece)
			})
		}
	}
}

// barFrame is message i of another stream of 16 bytes.
func barFrame(i int) string { return strings.Replace(frameOf(i), "foo", "bar", 1) }

func TestMixedChecker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, input string
		want        string // part of the error; none if empty
	}{
		{"one after the other is accepted", frames(0, 1, 2) + barFrame(0) + barFrame(1), ""},
		{"in turn is accepted", frameOf(0) + barFrame(0) + frameOf(1) + barFrame(1), ""},
		{"each begins again after its last message", frames(0, 1, 2, 0) + barFrame(0) + frameOf(1), ""},
		{"a PING between two frames is passed on", frameOf(0) + "PING\r\n" + barFrame(0), ""},
		{"a lost message is noticed", frameOf(0) + barFrame(0) + barFrame(2), "message 1: got the payload of message 2"},
		{"a repeated message is noticed", barFrame(0) + frameOf(0) + frameOf(0), "message 1: got the payload of message 0"},
		{"another subject is noticed", strings.Replace(frameOf(0), "foo", "baz", 1), "got header"},
		{"a changed payload is noticed", "MSG bar 1 16\r\n00000000xxxxxxxx\r\n", "got payload"},
		{"an error of the broker ends it", frameOf(0) + "-ERR 'Slow Consumer'\r\n", "-ERR 'Slow Consumer'"},
	} {
		for _, piece := range []int{0, 1, 7, 40} {
			t.Run(fmt.Sprintf("%s/pieces=%d", tc.name, piece), func(t *testing.T) {
				t.Parallel()
				streams := []*stream{smallStream(3), newLap([]string{"bar"}, "1", 16, 3)}
				c := newMixedChecker(streams, control{handle: refuseErrors})
				n, err := feedAll(c, tc.input, piece)
				checkFed(t, n, err, tc.input, tc.want, piece)
			})
		}
	}
}

func TestHowAStreamIsCutDoesNotMatter(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	s := manySubjects(5000, 16)
	var input []byte
	controls := 0
	for range 2 {
		for pos := 0; pos < len(s.frames); {
			n := frameLength(s.frames[pos:])
			if random.IntN(50) == 0 {
				input = append(input, "PING\r\n"...)
				controls++
			}
			input = append(input, s.frames[pos:pos+n]...)
			pos += n
		}
	}
	seen := 0
	c := &lapChecker{stream: s, control: control{handle: func(string) error { seen++; return nil }}}
	accepted := 0
	for len(input) > 0 {
		n := min(len(input), 1+random.IntN(3000))
		frames, err := c.feed(input[:n])
		if err != nil {
			t.Fatal(err)
		}
		accepted += frames
		input = input[n:]
	}
	if accepted != 2*len(s.frames) || c.laps != 2 || seen != controls {
		t.Errorf("accepted %d bytes, %d laps, %d control lines, want %d, 2, %d",
			accepted, c.laps, seen, 2*len(s.frames), controls)
	}
}
