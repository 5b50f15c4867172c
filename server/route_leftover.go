package server

import (
	"bytes"
	"slices"

	"gnatsd/server/internal/netio"
)

// This file sends on other members of a pool what a lost one had pending. What its socket had taken
// is lost, and the message of which it had taken a part. Interest that it carried is not needed: the
// next carrier is sent all. Messages before a mark of a publisher that has moved to another member
// are dropped: what it has published since may have arrived, and order matters more.

// movedLine is the mark of a publisher that moves to another member.
const movedLine = "LINK moved\r\n"

// frameCutter finds the frames in what this server was about to send on a route.
type frameCutter struct {
	line []byte // of the frame under way, as far as it is known
	rest int    // bytes of the payload under way
}

// step consumes a part of b: up to the end of the line, or of the payload, under way. It returns how
// many bytes it has, and the line if it is complete.
func (f *frameCutter) step(b []byte) (n int, line []byte) {
	if f.rest > 0 {
		n = min(f.rest, len(b))
		f.rest -= n
		return n, nil
	}
	eol := bytes.IndexByte(b, '\n')
	if eol < 0 {
		f.line = append(f.line, b...)
		return len(b), nil
	}
	line = append(f.line, b[:eol+1]...)
	if isMessage(line) {
		f.rest = lastNumber(line) + len("\r\n")
	}
	f.line = line[:0]
	return eol + 1, line
}

// isMessage reports whether a payload follows a line.
func isMessage(line []byte) bool {
	return bytes.HasPrefix(line, []byte("MSG ")) || bytes.HasPrefix(line, []byte("HMSG "))
}

// lastNumber returns the number at the end of a line that this server has written.
func lastNumber(line []byte) (n int) {
	line = bytes.TrimRight(line, "\r\n")
	for _, c := range line[bytes.LastIndexByte(line, ' ')+1:] {
		n = n*10 + int(c-'0')
	}
	return n
}

// unsentFrames calls each with the line of every frame of which nothing has been sent, and add with
// its parts: the line, and those of the payload.
func unsentFrames(l *netio.Leftover, each func(line []byte), add func(part []byte)) {
	var f frameCutter
	at, begin := 0, 0 // bytes before the next part, and before its frame
	for _, s := range l.Segments {
		for b := s.Bytes; len(b) > 0; {
			inLine := f.rest == 0
			n, line := f.step(b)
			at += n
			switch {
			case line != nil && begin >= l.Sent:
				each(line)
				add(line)
			case !inLine && begin >= l.Sent:
				add(b[:n])
			}
			if len(f.line) == 0 && f.rest == 0 {
				begin = at
			}
			b = b[n:]
		}
	}
}

// handOver sends what the connection, which is lost, has pending on other members of its pool.
func (r *route) handOver() {
	r.out.Refuse()
	l, waits := r.out.Leave(0)
	defer l.Release()
	if waits {
		r.out.Continue(nil)
	}
	switch r.reason() {
	case closeSlowPending, closeSlowDeadline, closeSlowTotal, closeSlowMemory:
		return // another one would not take it either
	}
	after, n := 0, 0 // frames up to the last one that may not be sent
	unsentFrames(&l, func(line []byte) {
		if n++; string(line) == movedLine {
			after = n
		}
	}, func([]byte) {})
	h := handOver{r: r}
	keep, n := false, 0
	unsentFrames(&l, func(line []byte) {
		h.flush(leftoverPiece)
		n++
		keep = isMessage(line) && n > after || bytes.HasPrefix(line, []byte("LINK wait ")) || bytes.HasPrefix(line, []byte("LINK gone "))
	}, func(part []byte) {
		if keep {
			h.text = append(h.text, part...)
		}
	})
	h.flush(0)
	h.end()
}

// leftoverPiece is about how many bytes are pushed at a time.
const leftoverPiece = 256 << 10

// handOver is the state of a hand-over.
type handOver struct {
	r    *route
	to   *route // nil before the first piece
	text []byte
}

// flush pushes what is collected if it is more than n bytes.
func (h *handOver) flush(n int) {
	if len(h.text) <= n {
		return
	}
	for !h.push(h.text) {
	}
	h.text = h.text[:0]
}

// push pushes text to a member. It reports false if another one must be tried.
func (h *handOver) push(text []byte) bool {
	members := *h.r.pool.members.Load()
	if h.to == nil || !slices.Contains(members, h.to) {
		if len(members) == 0 {
			return true // it is lost
		}
		h.to = members[h.r.number%len(members)]
		if !h.to.push([]byte(goneLine(h.r.number))) {
			h.r.srv.cluster.dropMember(h.to)
			return false
		}
	}
	if !h.to.push(text) {
		h.r.srv.cluster.dropMember(h.to)
		return false
	}
	return true
}

// end lets publishers follow what was handed over.
func (h *handOver) end() {
	if h.to == nil {
		return
	}
	if n := h.to.pushMark([]byte(movedLine)); n > 0 {
		h.r.handedTo = appendWait(nil, h.to.number, n)
	} else {
		h.r.handedTo = h.to.appendMoved(nil, false)
	}
}

// lateMessages are messages of a publisher that a lost member has refused before what it had pending
// was handed over.
type lateMessages struct {
	messages *netio.Delivery
	turn     uint32
}

// deferLate keeps messages that a member has refused until what it had pending is handed over. It
// reports false if that has been done.
func (k *cluster) deferLate(r *route, m lateMessages) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.lateEnded {
		return false
	}
	r.late = append(r.late, m)
	return true
}

// takeLate returns what deferLate has kept. If that is nothing, no more is kept.
func (k *cluster) takeLate(r *route) []lateMessages {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := r.late
	r.late, r.lateEnded = nil, len(list) == 0
	return list
}

// handOverLate sends what deferLate has kept.
func (r *route) handOverLate() {
	k := r.srv.cluster
	for list := k.takeLate(r); len(list) > 0; list = k.takeLate(r) {
		for _, m := range list {
			r.pool.pushElsewhere(m.messages, r, m.turn)
		}
	}
}
