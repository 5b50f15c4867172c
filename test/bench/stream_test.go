package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// obviousMatch is the rule of wildcards, token by token.
func obviousMatch(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

func TestEverySubjectMatchesExactlyItsOwnWildcard(t *testing.T) {
	t.Parallel()
	const n = 100
	s := manySubjects(n, 16)
	if s.messages != n {
		t.Fatalf("%d messages, want %d", s.messages, n)
	}
	rest := s.frames
	seen := map[string]bool{}
	for len(rest) > 0 {
		size := frameLength(rest)
		words := strings.Fields(string(rest[:bytes.IndexByte(rest, '\r')]))
		subject, sid := words[1], words[2]
		seen[subject] = true
		for _, w := range wildcards() {
			if got, want := obviousMatch(w.pattern, subject), w.sid == sid; got != want {
				t.Errorf("%s matches %s: %v, want %v", w.pattern, subject, got, want)
			}
		}
		rest = rest[size:]
	}
	if len(seen) != n {
		t.Errorf("%d distinct subjects, want %d", len(seen), n)
	}
}

func TestChunksCutBetweenMessages(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 7, 16, 128, 8192, 65536} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			t.Parallel()
			s := subjectStream("foo", size)
			var from chunk
			for _, to := range s.chunks {
				pub := bytes.Count(s.publish[from.publish:to.publish], []byte("PUB foo "))
				msg := bytes.Count(s.frames[from.frames:to.frames], []byte("MSG foo 1 "))
				if want := to.messages - from.messages; pub != want || msg != want || want == 0 {
					t.Errorf("chunk up to %+v: %d PUB and %d MSG, want %d", to, pub, msg, want)
				}
				from = to
			}
			if want := (chunk{len(s.publish), len(s.frames), s.messages}); from != want {
				t.Errorf("last chunk ends at %+v, want %+v", from, want)
			}
		})
	}
}

func TestEverySubscriberIsOwedTheMessagesUnderItsSid(t *testing.T) {
	t.Parallel()
	src := ownSids("foo", "SUB foo %s\r\n", 3, 128, ownLapBytes)
	src.stream.repeat()
	laps := src.stream.chunks[len(src.stream.chunks)-1].messages / src.stream.messages
	for i, sub := range src.subscribers {
		if want := fmt.Sprintf("SUB foo %s\r\n", sid(i)); sub.setup != want {
			t.Errorf("subscriber %d: setup %q, want %q", i, sub.setup, want)
		}
		owed := strings.Repeat(string(sub.owed.frames), laps)
		want := strings.ReplaceAll(string(src.stream.publish), "PUB foo", "MSG foo "+sid(i))
		if owed != want {
			t.Errorf("subscriber %d: what it is owed is not what is published", i)
		}
	}
}

func TestAShortLapIsPublishedInLongWrites(t *testing.T) {
	t.Parallel()
	for _, n := range []int{20, 100, 500} {
		s := newLap([]string{"foo", "bar"}, "1", 128, n)
		lap := len(s.publish)
		s.repeat()
		var from chunk
		for _, to := range s.chunks {
			laps := (to.publish - from.publish) / lap
			if to != (chunk{from.publish + laps*lap, from.frames + laps*len(s.frames), from.messages + laps*n}) {
				t.Errorf("%d messages: chunk from %+v to %+v, want whole laps", n, from, to)
			}
			from = to
		}
		if from.publish != len(s.publish) || from.publish < lapBytes {
			t.Errorf("%d messages: chunks end at %d of %d bytes, want the end, and at least %d", n, from.publish, len(s.publish), lapBytes)
		}
	}
}

func TestFrameAtFindsEveryFrame(t *testing.T) {
	t.Parallel()
	s := manySubjects(5000, 16)
	pos := 0
	for i := range s.messages {
		end := pos + frameLength(s.frames[pos:])
		for _, at := range []int{pos, (pos + end) / 2, end - 1} {
			if start, stop, index := s.frameAt(at); start != pos || stop != end || index != i {
				t.Fatalf("frameAt(%d) = %d, %d, %d, want %d, %d, %d", at, start, stop, index, pos, end, i)
			}
		}
		pos = end
	}
}

func TestPayloadsHaveTheirSizeAndNumber(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 7, 8, 16, 1000} {
		payload := appendPayload(nil, 42, size)
		if len(payload) != size {
			t.Errorf("size %d: %d bytes", size, len(payload))
		}
		if index, ok := payloadIndex(payload); ok != (size >= indexDigits) || ok && index != 42 {
			t.Errorf("size %d: index %d, %v", size, index, ok)
		}
	}
}
