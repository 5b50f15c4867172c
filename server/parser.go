package server

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// This file is the parser: it finds the end of the operation at the start of a buffer, its verb and
// its arguments. It has no state, does no I/O and allocates nothing. The role of the connection
// acts on the operation (client.go, route.go).
//
// Publishers often repeat a control line. Consecutive operations with equal lines are returned as
// one operation with a count, for all verbs with a payload.

// verb names an operation of the protocol.
type verb uint8

const (
	verbNone verb = iota
	verbConnect
	verbErr
	verbHmsg
	verbHpub
	verbInfo
	verbLink
	verbMsg
	verbOK
	verbPing
	verbPong
	verbPub
	verbSub
	verbUnsub
	verbCount
)

// argForm is the form of the arguments of a verb.
type argForm uint8

const (
	argsIgnored argForm = iota // anything up to the line end, of any length
	argsText                   // one text, which may follow the verb without a blank
	argsSplit                  // arguments separated by blanks, after a blank
	argsError                  // one text, after a blank
)

// role is the kind of peer of a connection. In tables it is a bit set.
type role uint8

const (
	roleClient role = 1 << iota
	roleRoute
)

// verbRow describes one verb.
type verbRow struct {
	name    string // upper case
	from    role   // roles that may send it
	form    argForm
	min     int  // arguments
	max     int  // arguments
	payload bool // a payload follows
	headers bool // the payload may begin with headers, whose size precedes its own
}

var verbRows = [verbCount]verbRow{
	verbConnect: {name: "CONNECT", from: roleClient | roleRoute, form: argsText},
	verbErr:     {name: "-ERR", from: roleClient | roleRoute, form: argsError},
	verbHmsg:    {name: "HMSG", from: roleRoute, form: argsSplit, min: 4, max: 5, payload: true, headers: true},
	verbHpub:    {name: "HPUB", from: roleClient, form: argsSplit, min: 3, max: 4, payload: true, headers: true},
	verbInfo:    {name: "INFO", from: roleClient | roleRoute, form: argsText},
	verbLink:    {name: "LINK", from: roleRoute, form: argsSplit, min: 1, max: 3},
	verbMsg:     {name: "MSG", from: roleRoute, form: argsSplit, min: 3, max: 4, payload: true},
	verbOK:      {name: "+OK", from: roleClient | roleRoute, form: argsIgnored},
	verbPing:    {name: "PING", from: roleClient | roleRoute, form: argsIgnored},
	verbPong:    {name: "PONG", from: roleClient | roleRoute, form: argsIgnored},
	verbPub:     {name: "PUB", from: roleClient, form: argsSplit, min: 2, max: 3, payload: true},
	verbSub:     {name: "SUB", from: roleClient | roleRoute, form: argsSplit, min: 2, max: 3},
	verbUnsub:   {name: "UNSUB", from: roleClient | roleRoute, form: argsSplit, min: 1, max: 2},
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

// frameError is why bytes are not an operation. Each closes the connection.
type frameError uint8

const (
	frameOK        frameError = iota
	frameUnknown              // no such verb for this role, or a payload without its line end
	frameArgs                 // the verb is known, its arguments are wrong
	frameSize                 // the size of a payload or of its headers is not a number
	frameHeader               // headers that are larger than the payload
	frameLineLimit            // arguments longer than the limit
	framePayload              // payload larger than the limit
)

// maxSizeDigits bounds the digits of a payload size: with nine the size cannot overflow 32 bits.
const maxSizeDigits = 9

// maxArgs is the largest number of arguments of any verb, and one more to detect too many.
const maxArgs = 6

// frameLimits are what the framing of a connection depends on.
type frameLimits struct {
	role    role
	line    int  // bytes of arguments
	payload int  // bytes; negative = unlimited
	single  bool // no counts: each operation is answered or traced
}

// usualVerbs are what most operations begin with, by role: they are recognized at once.
var usualVerbs = [...]struct {
	verb verb
	text uint32
}{
	roleClient: {verbPub, binary.NativeEndian.Uint32([]byte("PUB "))},
	roleRoute:  {verbMsg, binary.NativeEndian.Uint32([]byte("MSG "))},
}

// maxCount bounds the count of an operation.
const maxCount = 512

// op is an operation. Its slices point into the buffer that it was parsed from, and are valid until
// the buffer is used again.
type op struct {
	verb     verb
	args     []byte          // text of the arguments, without the line end
	arg      [maxArgs][]byte // args split at blanks
	argCount int
	size     int    // bytes of the payload, headers included
	header   int    // bytes of headers at the beginning of the payload; 0 = none
	payload  []byte // with headers and CRLF: len(payload) == size+2

	line  []byte // the whole control line, if a payload follows it
	count int    // number of consecutive operations with this line; 1 without a payload
}

// reply returns the reply subject of a message, which precedes the sizes; nil if there is none.
func (o *op) reply() []byte {
	switch row := &verbRows[o.verb]; {
	case o.argCount < row.max:
		return nil
	case row.headers:
		return o.arg[row.max-3]
	default:
		return o.arg[row.max-2]
	}
}

// subArgs returns the arguments of SUB; queue is nil if there is none.
func (o *op) subArgs() (subject, queue, sid []byte) {
	if o.argCount == 3 {
		queue = o.arg[1]
	}
	return o.arg[0], queue, o.arg[o.argCount-1]
}

// length returns the bytes that one of several equal operations takes.
func (o *op) length() int { return len(o.line) + len(o.payload) }

// next parses the operation at the start of buf. It returns how many bytes the operation takes. 0
// means that it is incomplete: want is then the number of bytes that buf must have before the next
// try (len(buf)+1 if unknown). If keep is not 0, only the first keep bytes of an incomplete
// operation matter, and the caller may drop the others.
func (l *frameLimits) next(buf []byte, o *op) (n, want, keep int, err frameError) {
	o.count = 1
	v, err := l.verbOf(buf)
	if err != frameOK || v == verbNone {
		return 0, len(buf) + 1, 0, err
	}
	row := &verbRows[v]
	o.verb = v
	o.argCount = 0
	at := len(row.name)
	eol := bytes.IndexByte(buf[at:], '\n')
	if row.form == argsIgnored {
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
		return 0, 0, 0, frameUnknown // no blank after the verb
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
	if row.form != argsSplit {
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

// verbOf returns the verb at the start of buf, verbNone if buf is too short for it. A verb that the
// role may not send is an error, like an unknown one.
func (l *frameLimits) verbOf(buf []byte) (verb, frameError) {
	if u := &usualVerbs[l.role]; len(buf) >= 4 && binary.NativeEndian.Uint32(buf) == u.text {
		return u.verb, frameOK
	}
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

// argStart returns where the arguments begin in rest, which follows the verb.
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

// split splits the arguments at blanks. Control bytes are errors: a client may take any white space
// for a blank. Only a stray CR separates arguments, except where a payload follows.
func (o *op) split(row *verbRow) frameError {
	args := o.args
	n := 0
	for at := 0; at < len(args); {
		switch b := args[at]; {
		case b > ' ' && b != del:
			if n == maxArgs {
				return frameArgs
			}
			k := argLen(args[at:])
			o.arg[n] = args[at : at+k]
			n++
			at += k
		case isBlank(b) || b == '\r' && !row.payload:
			at++
		default:
			return frameArgs
		}
	}
	o.argCount = n
	if n < row.min || n > row.max {
		return frameArgs
	}
	return frameOK
}

// del is the control byte that is not below the blank.
const del = 0x7f

// argLen returns how many bytes at the start of b are neither blanks nor control bytes. It looks at
// eight bytes at a time.
func argLen(b []byte) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		// The lowest of the high bits that remain is that of the first such byte.
		w := binary.LittleEndian.Uint64(b[i:])
		dels := w ^ del*each
		if found := ((w-(' '+1)*each)&^w | (dels-each)&^dels) & high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] > ' ' && b[i] != del {
		i++
	}
	return i
}

// framePayload completes an operation whose line ends at at, and whose last argument is the size of
// the payload that follows.
func (l *frameLimits) framePayload(buf []byte, at int, o *op) (n, want, keep int, err frameError) {
	size, err := payloadSize(o.arg[o.argCount-1])
	if err != frameOK {
		return 0, 0, 0, err
	}
	if l.payload >= 0 && size > l.payload {
		return 0, 0, 0, framePayload
	}
	o.size, o.header = size, 0
	if verbRows[o.verb].headers {
		if o.header, err = headerSize(o.arg[o.argCount-2], size); err != frameOK {
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

// repeat adds to the count of the operation at the start of buf, which is complete, those that
// follow it with an equal line. It returns the bytes that all of them take.
func (o *op) repeat(buf []byte) int {
	n, k := o.length(), len(o.line)
	// Eight bytes, which the shortest line has, are compared at each end as a number: that is all of
	// most lines.
	front, back := binary.NativeEndian.Uint64(buf), binary.NativeEndian.Uint64(buf[k-8:])
	end := n
	for o.count < maxCount && len(buf)-end >= n {
		next := buf[end : end+n]
		if binary.NativeEndian.Uint64(next) != front || binary.NativeEndian.Uint64(next[k-8:]) != back ||
			k > 16 && string(next[8:k-8]) != string(o.line[8:k-8]) || next[n-2] != '\r' || next[n-1] != '\n' {
			break
		}
		o.count++
		end += n
	}
	return end
}

// takePayload takes the payload that begins at at, and the CRLF behind it.
func (o *op) takePayload(buf []byte, at int) (n, want int, err frameError) {
	end := at + o.size
	if len(buf) >= end+2 {
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return 0, 0, frameUnknown
		}
		o.payload = buf[at : end+2]
		return end + 2, 0, frameOK
	}
	if len(buf) > end && buf[end] != '\r' {
		return 0, 0, frameUnknown
	}
	return 0, end + 2, frameOK
}

// payloadSize parses a decimal size. A number with more than maxSizeDigits is too large, even with
// leading zeros.
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

// headerSize parses the size of the headers of a payload of size bytes, headers included. The
// headers themselves are the clients' business: the broker does not look at them. A message with a
// size of 0 has none, and is delivered by MSG, as by nats-server.
func headerSize(text []byte, size int) (int, frameError) {
	n, err := payloadSize(text)
	switch {
	case err == frameSize:
		return 0, frameSize
	case err != frameOK || n > size:
		return 0, frameHeader
	}
	return n, frameOK
}
