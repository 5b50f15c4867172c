package main

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// Sizes of what a publisher writes: at least lapBytes before it repeats, in writes of about
// chunkBytes.
const (
	lapBytes   = 256 << 10
	lapAtLeast = 16 // messages
	chunkBytes = 128 << 10
)

// stream is what one publisher sends, over and over, and what its subscribers must therefore
// receive: one lap of it, as bytes. It is built before anything is measured and never written
// afterwards.
type stream struct {
	publish  []byte  // complete PUB operations
	frames   []byte  // the MSG frames they become, in the same order
	messages int     // operations in a lap
	chunks   []chunk // where a lap may be split, ascending; the last is its end
}

// chunk is a place between two messages, counted from the start of a lap.
type chunk struct {
	publish, frames, messages int
}

// add appends one message and its frame as the subscription sid receives it.
func (s *stream) add(subject []byte, sid string, payload []byte) {
	s.publish = appendFrame(append(append(s.publish, "PUB "...), subject...), payload)
	s.frames = append(append(s.frames, "MSG "...), subject...)
	s.frames = appendFrame(append(append(s.frames, ' '), sid...), payload)
	s.messages++
	if len(s.publish)-s.chunkStart().publish >= chunkBytes {
		s.endChunk()
	}
}

// chunkStart is where the chunk being built begins.
func (s *stream) chunkStart() chunk {
	if len(s.chunks) == 0 {
		return chunk{}
	}
	return s.chunks[len(s.chunks)-1]
}

// endChunk ends a chunk here, if it has anything in it.
func (s *stream) endChunk() {
	if s.messages > s.chunkStart().messages {
		s.chunks = append(s.chunks, chunk{publish: len(s.publish), frames: len(s.frames), messages: s.messages})
	}
}

// appendFrame completes an operation: the size, the payload and both line ends.
func appendFrame(dst, payload []byte) []byte {
	dst = strconv.AppendInt(append(dst, ' '), int64(len(payload)), 10)
	dst = append(append(dst, "\r\n"...), payload...)
	return append(dst, "\r\n"...)
}

// indexDigits is how many digits at the start of a payload (of at least that size) say which
// message of the lap it is.
const indexDigits = 8

// appendPayload makes the payload of message i of a lap: its number, then bytes of every value that
// depend on it.
func appendPayload(dst []byte, i, size int) []byte {
	start := len(dst)
	if size >= indexDigits {
		dst = fmt.Appendf(dst, "%0*d", indexDigits, i)
	}
	for j := len(dst) - start; j < size; j++ {
		dst = append(dst, byte(i*7+j*13))
	}
	return dst
}

// payloadIndex is the number appendPayload put into a payload, or false if there is none.
func payloadIndex(payload []byte) (int, bool) {
	if len(payload) < indexDigits {
		return 0, false
	}
	n := 0
	for _, c := range payload[:indexDigits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// subjectStream is a stream of messages on one subject, received by sid 1.
func subjectStream(subject string, size int) *stream {
	s := &stream{}
	var payload []byte
	for i := 0; len(s.publish) < lapBytes || i < lapAtLeast; i++ {
		payload = appendPayload(payload[:0], i, size)
		s.add([]byte(subject), "1", payload)
	}
	s.endChunk()
	return s
}

// wildcard is a family of subjects and the one subscription (of wildcards) that each of them
// matches.
type wildcard struct {
	pattern, sid, region, kind string
}

// wildcards are disjoint: every subject manySubjects makes is matched by exactly one, so that the
// order of frames is known even on a connection that holds them all.
func wildcards() []wildcard {
	return []wildcard{
		{"orders.eu.>", "1", "eu", "new"},
		{"orders.us.*.*", "2", "us", "sent"},
		{"orders.*.*.paid", "3", "ap", "paid"},
		{"orders.sa.*.late", "4", "sa", "late"},
	}
}

// manySubjects is a stream of n messages, each on a subject of its own under wildcards.
func manySubjects(n, size int) *stream {
	s := &stream{}
	families := wildcards()
	var subject, payload []byte
	for i := range n {
		f := families[i%len(families)]
		subject = append(append(append(subject[:0], "orders."...), f.region...), '.')
		subject = strconv.AppendInt(subject, int64(i), 10)
		subject = append(append(subject, '.'), f.kind...)
		payload = appendPayload(payload[:0], i, size)
		s.add(subject, f.sid, payload)
	}
	s.endChunk()
	s.publish, s.frames = slices.Clip(s.publish), slices.Clip(s.frames)
	return s
}

// frameAt finds the frame that pos lies in: where it starts and ends, and which of the lap it is.
func (s *stream) frameAt(pos int) (start, end, index int) {
	i := sort.Search(len(s.chunks), func(i int) bool { return s.chunks[i].frames > pos })
	if i > 0 {
		start, index = s.chunks[i-1].frames, s.chunks[i-1].messages
	}
	for {
		end = start + frameLength(s.frames[start:])
		if pos < end {
			return start, end, index
		}
		start = end
		index++
	}
}

// frameLength is the length of the MSG frame b starts with; b is our own and well formed.
func frameLength(b []byte) int {
	line := bytes.IndexByte(b, '\n') + 1
	header := b[:line-2]
	size, err := strconv.Atoi(string(header[bytes.LastIndexByte(header, ' ')+1:]))
	if err != nil {
		panic("frame without a size: " + err.Error())
	}
	return line + size + 2
}
