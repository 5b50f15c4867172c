package main

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"
)

// Sizes of what a publisher writes: about lapBytes before it repeats, in writes of about
// chunkBytes.
const (
	lapBytes   = 256 << 10
	lapAtLeast = 16 // messages
	chunkBytes = 128 << 10
)

// Bounds of laps where each of many subscribers has frames of its own: what all of them have
// together, so that comparing with them stays cheap, and what each has at least.
const (
	ownFramesBytes = 4 << 20
	ownLapBytes    = 16 << 10
)

// stream is what one publisher sends, over and over, and what its subscribers must therefore
// receive: one lap of it, as bytes. It is built before anything is measured and never written
// afterwards.
type stream struct {
	publish  []byte  // complete PUB operations
	frames   []byte  // the MSG frames they become, in the same order
	messages int     // operations in a lap
	chunks   []chunk // where publish may be split, ascending; the last is its end
}

// chunk is a place between two messages, counted from the start of publish.
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

// lapMessages is how many messages of a size make a lap of so many bytes.
func lapMessages(size, bytes int) int {
	const line = 16 // of a PUB, about
	return max(lapAtLeast, bytes/(size+line))
}

// newLap is a stream of n messages on subjects in turn, received by one sid.
func newLap(subjects []string, sid string, size, n int) *stream {
	s := &stream{}
	var payload []byte
	for i := range n {
		payload = appendPayload(payload[:0], i, size)
		s.add([]byte(subjects[i%len(subjects)]), sid, payload)
	}
	s.endChunk()
	return s
}

// subjectStream is a stream of messages on one subject, received by sid 1.
func subjectStream(subject string, size int) *stream {
	return newLap([]string{subject}, "1", size, lapMessages(size, lapBytes))
}

// repeat makes the publisher of a lap shorter than a chunk write it several times at once.
func (s *stream) repeat() {
	if len(s.publish) >= chunkBytes {
		return
	}
	lap := chunk{publish: len(s.publish), frames: len(s.frames), messages: s.messages}
	once := s.publish
	s.publish, s.chunks = nil, nil
	end := chunk{}
	for len(s.publish) < lapBytes {
		s.publish = append(s.publish, once...)
		end.publish, end.frames, end.messages = end.publish+lap.publish, end.frames+lap.frames, end.messages+lap.messages
		if end.publish-s.chunkStart().publish >= chunkBytes {
			s.chunks = append(s.chunks, end)
		}
	}
	if s.chunkStart() != end {
		s.chunks = append(s.chunks, end)
	}
}

// source is one publisher with its subscribers.
type source struct {
	stream      *stream
	subscribers []subscriber // none: publishing alone is measured
}

// subscriber is how a connection subscribes, and what it must therefore receive.
type subscriber struct {
	setup string // SUB operations
	owed  *stream
}

// sid is the number of subscription i, as long as every other.
func sid(i int) string { return strconv.Itoa(10_000 + i) }

// ownSids has n subscribers of one subject, each under a sid of its own, as programs have that
// subscribed to different things before. The setup is a format that takes the sid.
func ownSids(subject, setup string, n, size, lap int) source {
	out := source{subscribers: make([]subscriber, n)}
	for i := range n {
		owed := newLap([]string{subject}, sid(i), size, lapMessages(size, lap))
		if i == 0 {
			first := *owed
			out.stream = &first
		}
		owed.publish = nil
		out.subscribers[i] = subscriber{fmt.Sprintf(setup, sid(i)), owed}
	}
	return out
}

// ownLap is how many bytes a lap has where each of n subscribers has frames of its own.
func ownLap(n int) int { return min(max(ownFramesBytes/n, ownLapBytes), lapBytes) }

// sameSid has n subscribers of one subject, all under the same sid, as n copies of a program have.
func sameSid(subject, setup string, n, size, lap int) source {
	out := source{stream: newLap([]string{subject}, "1", size, lapMessages(size, lap))}
	for range n {
		out.subscribers = append(out.subscribers, subscriber{fmt.Sprintf(setup, "1"), out.stream})
	}
	return out
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
