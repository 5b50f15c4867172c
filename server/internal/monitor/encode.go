package monitor

import (
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"strings"
)

// This file encodes pages. A page with a long list is written one entry after the other, and so are
// the lists in its entries: a client decides how long they are, and what is in them. Nothing is as
// large as the page, and no step is long.

// encodeError says that a page could not be encoded.
type encodeError struct{ error }

// Form is how JSON is laid out.
type Form int

// The forms.
const (
	Indented Form = iota // by two spaces, without a line end: that of all pages
	Compact              // that of [json.Marshal]
)

// line returns what precedes an element or a key in that many lists and objects.
func (f Form) line(depth int) string {
	if f == Compact {
		return ""
	}
	return "\n" + strings.Repeat("  ", depth)
}

// opening returns how a list begins that has a key in an object. A string in JSON has neither a line
// end nor quotes that are not escaped, so this is found in no string.
func (f Form) opening(depth int, key string) []byte {
	if f == Compact {
		return []byte(`"` + key + `":[`)
	}
	return []byte(f.line(depth) + `"` + key + `": [`)
}

// marshal returns v in a form.
func marshal[T any](f Form, v T) (text []byte, err error) {
	if f == Compact {
		text, err = json.Marshal(v)
	} else {
		text, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		return nil, &encodeError{err}
	}
	return text, nil
}

// Encode writes v, a page that is always small. The error is that of w, or says that v cannot be encoded.
func Encode[T any](w io.Writer, f Form, v T) error {
	text, err := marshal(f, v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// Rest is the end of a list of an entry: all but the first of its elements.
type Rest struct {
	Key   string // of the list
	First any    // the element that the entry has
	Len   int
	At    func(i int) any
}

// EncodeList is [Encode] for a page with a list that may be long. It encodes one entry after
// the other and yields in between. page is the page with an empty list, key the name of the list there,
// and n and at its entries.
func EncodeList[P, E any](w io.Writer, f Form, page P, key string, n int, at func(i int) E) error {
	return EncodeNested(w, f, page, key, n, func(i int) (E, *Rest) { return at(i), nil })
}

// EncodeNested is [EncodeList] for entries that may have long lists themselves. at returns an entry with
// the first element of such a list, and the others; or the entry and nil.
func EncodeNested[P, E any](w io.Writer, f Form, page P, key string, n int, at func(i int) (E, *Rest)) error {
	frame, err := marshal(f, page)
	if err != nil {
		return err
	}
	list := listAt(f, frame, key)
	if n == 0 {
		list = len(frame)
	}
	out := &output{w: w}
	out.write(frame[:list])
	entries, elements := out.list(f, 2), out.list(f, 4)
	for i := 0; i < n && out.err == nil; i++ {
		e, rest := at(i)
		text := entries.encode(e)
		if entries.next(); rest == nil {
			out.write(text)
		} else {
			elements.insert(text, endOfFirst(f, text, rest.Key, elements.encode(rest.First)), rest)
		}
		out.y.Step()
	}
	if n > 0 {
		out.write([]byte(f.line(1)))
		out.write(frame[list:])
	}
	return out.err
}

// output is where a page is written. After an error nothing is.
type output struct {
	w   io.Writer
	y   Yielder
	err error
}

func (o *output) write(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
}

// list returns what writes the elements of lists at a depth.
func (o *output) list(f Form, depth int) *listEncoder {
	l := &listEncoder{out: o, line: []byte(f.line(depth))}
	l.encoder = json.NewEncoder(&l.text)
	if f == Indented {
		l.encoder.SetIndent(strings.Repeat("  ", depth), "  ")
	}
	return l
}

// listEncoder writes the elements of lists.
type listEncoder struct {
	out     *output
	line    []byte // before each
	encoder *json.Encoder
	text    bytes.Buffer
	some    bool // an element was written
}

// encode returns an element, until the next call. An error is one of the output.
func (l *listEncoder) encode(v any) []byte {
	l.text.Reset()
	if l.out.err != nil {
		return nil
	}
	if err := l.encoder.Encode(v); err != nil {
		l.out.err = &encodeError{err}
		return nil
	}
	return bytes.TrimSuffix(l.text.Bytes(), []byte("\n"))
}

// next writes what is between the last element and the next one.
func (l *listEncoder) next() {
	if l.some {
		l.out.write([]byte(","))
	}
	l.out.write(l.line)
	l.some = true
}

// insert writes the text of an entry with the rest of a list at an index.
func (l *listEncoder) insert(entry []byte, at int, rest *Rest) {
	l.some = true
	l.out.write(entry[:at])
	for i := 0; i < rest.Len && l.out.err == nil; i++ {
		text := l.encode(rest.At(i))
		l.next()
		l.out.write(text)
		l.out.y.Step()
	}
	l.out.write(entry[at:])
}

// endOfFirst returns where the first element ends of a list of an encoded entry.
func endOfFirst(f Form, entry []byte, key string, first []byte) int {
	if first == nil {
		return 0 // it cannot be encoded
	}
	opening := f.opening(3, key)
	begin := bytes.Index(entry, opening)
	if begin < 0 {
		panic("an entry has no list " + key)
	}
	return begin + len(opening) + len(f.line(4)) + len(first)
}

// EncodeLines is [EncodeList] with one line for each entry, which add appends as JSON.
func EncodeLines[P, E any](w io.Writer, page P, key string, list []E, add func(b []byte, e E) []byte) error {
	frame, err := marshal(Indented, page)
	if err != nil {
		return err
	}
	out := &output{w: w}
	at := listAt(Indented, frame, key)
	out.write(frame[:at])
	var b []byte
	for i, e := range list {
		if b = b[:0]; i > 0 {
			b = append(b, ',')
		}
		out.write(add(append(b, Indented.line(2)...), e))
	}
	if len(list) > 0 {
		out.write([]byte(Indented.line(1)))
	}
	out.write(frame[at:])
	return out.err
}

// listAt returns where the entries of the empty list of a page go.
func listAt(f Form, frame []byte, key string) int {
	opening := f.opening(1, key)
	at := bytes.Index(frame, append(opening, ']'))
	if at < 0 {
		panic("a page has no list " + key)
	}
	return at + len(opening)
}

// Yielder makes the work on a large page yield to other goroutines: without it messages would wait
// for a page for up to 10 ms at a time. The zero value is ready; it is used by one goroutine.
type Yielder struct{ steps int }

// yieldInterval is how many steps, of some microseconds each, are done between two yields.
const yieldInterval = 32

// Step says that a small piece of the work is done.
func (y *Yielder) Step() {
	if y.steps++; y.steps%yieldInterval == 0 {
		runtime.Gosched()
	}
}

// Compared says that two entries were compared: 64 of those are one step.
func (y *Yielder) Compared() {
	if y.steps++; y.steps%(64*yieldInterval) == 0 {
		runtime.Gosched()
	}
}
