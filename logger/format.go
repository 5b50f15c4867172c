package logger

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// An encoder appends one line, logged at t, to dst. The text has no final LF; the line ends in
// exactly one.
type encoder func(dst []byte, t time.Time, lv level, text []byte) []byte

const (
	textStamp = "2006/01/02 15:04:05.000000 "
	jsonStamp = "2006-01-02T15:04:05.000000Z07:00"
)

// textEncoder encodes the classic line: [pid] date time [label] text. The text stays as it is, with
// its line breaks.
func textEncoder(o Options, pid int) encoder {
	prefix := ""
	if o.PID {
		prefix = "[" + strconv.Itoa(pid) + "] "
	}
	var labels [len(levelNames)]string
	for i, n := range levelNames {
		labels[i] = "[" + n.label + "] "
		if o.Colors {
			labels[i] = "[\x1b[" + n.colour + "m" + n.label + "\x1b[0m] "
		}
	}
	return func(dst []byte, t time.Time, lv level, text []byte) []byte {
		dst = append(dst, prefix...)
		if o.Time {
			dst = zoned(t, o).AppendFormat(dst, textStamp)
		}
		dst = append(dst, labels[lv]...)
		dst = append(dst, text...)
		return append(dst, '\n')
	}
}

// jsonEncoder encodes one JSON object a line: time, level, pid, then addr and cid or rid if the
// text starts with those of a connection, and msg. Bytes that are not UTF-8 become U+FFFD.
func jsonEncoder(o Options, pid int) encoder {
	return func(dst []byte, t time.Time, lv level, text []byte) []byte {
		dst = append(dst, '{')
		if o.Time {
			dst = append(dst, `"time":"`...)
			dst = zoned(t, o).AppendFormat(dst, jsonStamp)
			dst = append(dst, `",`...)
		}
		dst = append(dst, `"level":"`...)
		dst = append(dst, levelNames[lv].json...)
		dst = append(dst, '"')
		if o.PID {
			dst = append(dst, `,"pid":`...)
			dst = strconv.AppendInt(dst, int64(pid), 10)
		}
		if id, rest, ok := cutConn(text); ok {
			dst = append(dst, `,"addr":`...)
			dst = appendJSON(dst, id.addr)
			dst = append(dst, ',', '"')
			dst = append(dst, id.kind...)
			dst = append(dst, '"', ':')
			dst = append(dst, id.number...)
			text = rest
		}
		dst = append(dst, `,"msg":`...)
		dst = appendJSON(dst, text)
		return append(dst, '}', '\n')
	}
}

// zoned is a time in the zone that the options want.
func zoned(t time.Time, o Options) time.Time {
	if o.UTC {
		return t.UTC()
	}
	return t
}

// connID is the prefix of a text about one connection: "addr - kind:number - ".
type connID struct{ addr, kind, number []byte }

// cutConn removes the connection from the start of a text, and reports whether there was one.
func cutConn(text []byte) (id connID, rest []byte, ok bool) {
	addr, after, found := bytes.Cut(text, []byte(" - "))
	if !found || len(addr) == 0 || bytes.ContainsAny(addr, " \n") {
		return connID{}, text, false
	}
	name, rest, found := bytes.Cut(after, []byte(" - "))
	if !found {
		return connID{}, text, false
	}
	kind, number, _ := bytes.Cut(name, []byte(":"))
	if k := string(kind); k != "cid" && k != "rid" || !isNumber(number) {
		return connID{}, text, false
	}
	return connID{addr: addr, kind: kind, number: number}, rest, true
}

// isNumber reports whether b is a JSON number of digits only.
func isNumber(b []byte) bool {
	if len(b) == 0 || len(b) > 20 || b[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// appendJSON appends s as a JSON string.
func appendJSON(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

// cutText shortens a text to at most limit bytes, plus a note with the number of bytes cut. A limit
// of 0 is none.
func cutText(text []byte, limit int) []byte {
	if limit <= 0 || len(text) <= limit {
		return text
	}
	removed := len(text) - limit
	text = append(text[:limit], "... ["...)
	text = strconv.AppendInt(text, int64(removed), 10)
	return append(text, " bytes cut]"...)
}
