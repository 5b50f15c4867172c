package server

import "bytes"

// This file frames one operation: it finds where an operation in a buffer
// ends, what its verb is and where its arguments stand. It keeps no state,
// does no I/O and allocates nothing; what an operation means is decided by the
// role of the connection (client.go, route.go).
//
// A publisher mostly repeats its control line. Operations with equal lines that follow each other
// are one operation with a count, for all verbs that carry a payload.

// verb names an operation of the protocol.
type verb uint8

const (
	verbNone verb = iota
	verbConnect
	verbErr
	verbHmsg
	verbHpub
	verbInfo
	verbMsg
	verbOK
	verbPing
	verbPong
	verbPub
	verbSub
	verbUnsub
	verbCount
)

// argForm is how the rest of a verb's line is read.
type argForm uint8

const (
	argsJunk  argForm = iota // ignored up to the line end, however long
	argsText                 // one text, blank before it optional
	argsWords                // words, a blank before them required
	argsError                // one text, blank before it required
)

// role is the kind of peer a connection has. It is a bit set in tables.
type role uint8

const (
	roleClient role = 1 << iota
	roleRoute
)

// verbRow describes one verb: how it is written, who may send it, how its
// arguments are split and whether a payload follows, with headers in front of it
// or without.
type verbRow struct {
	name    string // upper case
	from    role
	form    argForm
	min     int // words
	max     int // words
	payload bool
	headers bool
}

var verbRows = [verbCount]verbRow{
	verbConnect: {name: "CONNECT", from: roleClient | roleRoute, form: argsText},
	verbErr:     {name: "-ERR", from: roleClient | roleRoute, form: argsError},
	verbHmsg:    {name: "HMSG", from: roleRoute, form: argsWords, min: 4, max: 5, payload: true, headers: true},
	verbHpub:    {name: "HPUB", from: roleClient, form: argsWords, min: 3, max: 4, payload: true, headers: true},
	verbInfo:    {name: "INFO", from: roleClient | roleRoute, form: argsText},
	verbMsg:     {name: "MSG", from: roleRoute, form: argsWords, min: 3, max: 4, payload: true},
	verbOK:      {name: "+OK", from: roleClient | roleRoute, form: argsJunk},
	verbPing:    {name: "PING", from: roleClient | roleRoute, form: argsJunk},
	verbPong:    {name: "PONG", from: roleClient | roleRoute, form: argsJunk},
	verbPub:     {name: "PUB", from: roleClient, form: argsWords, min: 2, max: 3, payload: true},
	verbSub:     {name: "SUB", from: roleClient | roleRoute, form: argsWords, min: 2, max: 3},
	verbUnsub:   {name: "UNSUB", from: roleClient | roleRoute, form: argsWords, min: 1, max: 2},
}

// verbByLetters finds a verb by its first two letters, which are unique.
var verbByLetters = indexVerbs()

func letterIndex(a, b byte) int { return int(a&31)<<5 | int(b&31) }

func indexVerbs() (index [1024]verb) {
	for v := verbNone + 1; v < verbCount; v++ {
		name := verbRows[v].name
		index[letterIndex(name[0], name[1])] = v
	}
	return index
}

// frameError says why bytes are not an operation. Each closes the connection.
type frameError uint8

const (
	frameOK        frameError = iota
	frameUnknown              // no such verb for this role, or a payload without its line end
	frameArgs                 // the verb is known, its arguments are wrong
	frameSize                 // the size of a payload or of its headers is not a number
	frameHeader               // headers that are none, or larger than the whole payload
	frameLineLimit            // arguments longer than the limit
	framePayload              // payload larger than the limit
)

// maxSizeDigits bounds the text of a payload size: nine digits hold every size
// that fits 32 bits, and cannot overflow an int.
const maxSizeDigits = 9

// maxWords is the largest number of words any verb takes, plus one to notice
// one too many.
const maxWords = 6

// frameLimits are what the framing of one connection depends on.
type frameLimits struct {
	role    role
	line    int  // bytes of arguments
	payload int  // bytes; negative = unlimited
	single  bool // operations are framed one by one: each is answered or traced
}

// maxCount bounds how many equal operations are framed as one.
const maxCount = 512

// op is one framed operation. Its slices point into the buffer it was framed
// from and are valid until that buffer is used again.
type op struct {
	verb    verb
	args    []byte           // argument text without its line end
	word    [maxWords][]byte // args split at blanks
	words   int
	size    int    // of the payload, headers included
	header  int    // bytes of headers in front of the payload; 0 = none
	payload []byte // headers and payload with its CRLF, so len(payload) == size+2

	line  []byte // the whole control line, if a payload follows it
	count int    // operations with this line, one after the other; 1 without a payload
}

// stride is how many bytes one of several equal operations takes.
func (o *op) stride() int { return len(o.line) + len(o.payload) }

// tail returns the end of the line from the reply on, or from its sizes if there is none, if that
// is just as it would be written again: nil if not.
func (o *op) tail(reply []byte) []byte {
	first := o.words - 1
	if o.header > 0 {
		first--
	}
	if len(reply) > 0 {
		first--
	}
	at := cap(o.line) - cap(o.word[first])
	for i := first; i < o.words; i++ {
		w := o.word[i]
		if from := cap(o.line) - cap(w); i > first && (o.line[from-1] != ' ' || from-1 != cap(o.line)-cap(o.word[i-1])+len(o.word[i-1])) {
			return nil
		}
		if i >= o.words-1 || o.header > 0 && i == o.words-2 {
			if w[0] == '0' && len(w) > 1 {
				return nil
			}
		}
	}
	last := o.word[o.words-1]
	if end := cap(o.line) - cap(last) + len(last); string(o.line[end:]) != "\r\n" {
		return nil
	}
	return o.line[at:]
}

// next frames the operation at the start of buf. It returns how many bytes the
// operation takes; 0 means it is cut short, and want is then the number of
// bytes that buf must hold at least before it is worth trying again (len(buf)+1
// if unknown). keep, if not 0, says that only the first keep bytes of an
// incomplete operation matter and the others may be dropped.
func (l *frameLimits) next(buf []byte, o *op) (n, want, keep int, err frameError) {
	o.count = 1
	v, err := l.verbOf(buf)
	if err != frameOK || v == verbNone {
		return 0, len(buf) + 1, 0, err
	}
	row := &verbRows[v]
	o.verb = v
	o.words = 0
	at := len(row.name)
	eol := bytes.IndexByte(buf[at:], '\n')
	if row.form == argsJunk {
		if eol < 0 {
			return 0, at + 1, at, frameOK
		}
		o.args = nil
		return at + eol + 1, 0, 0, frameOK
	}
	end := len(buf)
	if eol >= 0 {
		end = at + eol
	}
	if eol == 0 && row.form != argsText {
		return 0, 0, 0, frameUnknown // the blank after the keyword is missing
	}
	start, err := l.argStart(row, buf[at:end])
	if err != frameOK {
		return 0, 0, 0, err
	}
	args := buf[at+start : end]
	if k := len(args); k > 0 && args[k-1] == '\r' {
		args = args[:k-1]
	}
	o.args = args
	if len(args) > l.line {
		return 0, 0, 0, frameLineLimit
	}
	if eol < 0 {
		return 0, len(buf) + 1, 0, frameOK
	}
	end++ // past the LF
	if row.form != argsWords {
		return end, 0, 0, frameOK
	}
	if err := o.split(row); err != frameOK {
		return 0, 0, 0, err
	}
	if !row.payload {
		return end, 0, 0, frameOK
	}
	return l.framePayload(buf, end, o)
}

// verbOf recognizes the verb at the start of buf. Without an error, verbNone
// means that buf is too short to tell. A verb that this role may not send is
// unknown to it.
func (l *frameLimits) verbOf(buf []byte) (verb, frameError) {
	if len(buf) < 2 {
		if len(buf) == 1 && !opensVerb(buf[0]) {
			return verbNone, frameUnknown
		}
		return verbNone, frameOK
	}
	v := verbByLetters[letterIndex(buf[0], buf[1])]
	row := &verbRows[v]
	if row.from&l.role == 0 {
		return verbNone, frameUnknown
	}
	k := min(len(row.name), len(buf))
	for i := range k {
		if upper(buf[i]) != row.name[i] {
			return verbNone, frameUnknown
		}
	}
	if k < len(row.name) {
		return verbNone, frameOK
	}
	return v, frameOK
}

func opensVerb(b byte) bool {
	for v := verbNone + 1; v < verbCount; v++ {
		if verbRows[v].name[0] == upper(b) {
			return true
		}
	}
	return false
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// argStart returns where the arguments begin in what follows a keyword.
func (l *frameLimits) argStart(row *verbRow, rest []byte) (int, frameError) {
	i := 0
	for i < len(rest) && isBlank(rest[i]) {
		i++
	}
	if i > l.line {
		return 0, frameLineLimit
	}
	if i == 0 && len(rest) > 0 && row.form != argsText {
		return 0, frameUnknown
	}
	return i, frameOK
}

// split cuts the arguments at blanks. A stray CR separates too, except where a
// payload follows: there it would become part of a subject that is handed on,
// so it is refused.
func (o *op) split(row *verbRow) frameError {
	args := o.args
	n, from := 0, -1
	for i, b := range args {
		if b > ' ' {
			if from < 0 {
				from = i
			}
			continue
		}
		switch b {
		case ' ', '\t':
		case '\r':
			if row.payload {
				return frameArgs
			}
		default: // other control bytes are part of a word
			if from < 0 {
				from = i
			}
			continue
		}
		if from >= 0 {
			if n == maxWords {
				return frameArgs
			}
			o.word[n] = args[from:i]
			n++
			from = -1
		}
	}
	if from >= 0 {
		if n == maxWords {
			return frameArgs
		}
		o.word[n] = args[from:]
		n++
	}
	o.words = n
	if n < row.min || n > row.max {
		return frameArgs
	}
	return frameOK
}

// framePayload completes an operation whose line ends at at and whose last
// word is the size of the payload that follows.
func (l *frameLimits) framePayload(buf []byte, at int, o *op) (n, want, keep int, err frameError) {
	size, err := payloadSize(o.word[o.words-1])
	if err != frameOK {
		return 0, 0, 0, err
	}
	if l.payload >= 0 && size > l.payload {
		return 0, 0, 0, framePayload
	}
	o.size, o.header = size, 0
	if verbRows[o.verb].headers {
		if o.header, err = headerSize(o.word[o.words-2], size); err != frameOK {
			return 0, 0, 0, err
		}
	}
	o.line = buf[:at]
	n, want, err = o.takePayload(buf, at)
	if n > 0 && !l.single {
		n = o.repeat(buf)
	}
	return n, want, 0, err
}

// repeat counts the operations in buf that follow the one at its start, which is complete, and
// repeat its line. It returns how many bytes all take together.
func (o *op) repeat(buf []byte) int {
	n, k := o.stride(), len(o.line)
	end := n
	for o.count < maxCount && len(buf)-end >= n {
		next := buf[end : end+n]
		if string(next[:k]) != string(o.line) || next[n-2] != '\r' || next[n-1] != '\n' {
			break
		}
		if o.header > 0 && !isHeader(next[k:k+o.header]) {
			break
		}
		o.count++
		end += n
	}
	return end
}

// takePayload takes the payload that begins at at, and its line end.
func (o *op) takePayload(buf []byte, at int) (n, want int, err frameError) {
	end := at + o.size
	if len(buf) >= end+2 {
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return 0, 0, frameUnknown
		}
		o.payload = buf[at : end+2]
		if o.header > 0 && !isHeader(o.payload[:o.header]) {
			return 0, 0, frameHeader
		}
		return end + 2, 0, frameOK
	}
	if len(buf) > end && buf[end] != '\r' {
		return 0, 0, frameUnknown
	}
	return 0, end + 2, frameOK
}

// payloadSize reads a decimal size. More digits than any limit allows are a
// payload that is too large, whatever their value.
func payloadSize(text []byte) (int, frameError) {
	n := 0
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, frameSize
		}
	}
	if len(text) > maxSizeDigits {
		return 0, framePayload
	}
	for _, b := range text {
		n = n*10 + int(b-'0')
	}
	return n, frameOK
}

// How a block of headers begins and ends. In between it is the business of the
// clients: a status, and lines of a name and a value.
const (
	headerStart = "NATS/1.0"
	headerEnd   = "\r\n\r\n"
)

// headerSize reads the size of the headers in front of a payload; size is that
// of both together.
func headerSize(text []byte, size int) (int, frameError) {
	n, err := payloadSize(text)
	switch {
	case err == frameSize:
		return 0, frameSize
	case err != frameOK || n > size || n < len(headerStart)+len(headerEnd):
		return 0, frameHeader
	}
	return n, frameOK
}

// isHeader reports whether b, which is long enough, is a block of headers: behind
// its version comes a status or the end of the line.
func isHeader(b []byte) bool {
	next := b[len(headerStart)]
	return string(b[:len(headerStart)]) == headerStart && (next == ' ' || next == '\r') &&
		string(b[len(b)-len(headerEnd):]) == headerEnd
}
