package monitor

import (
	"bytes"
	"encoding/json"
	"runtime"
)

// encodeError says that a page could not be encoded.
type encodeError struct{ error }

// Encode returns v as JSON in the form of all pages: indented by two spaces, no
// line end.
func Encode[T any](v T) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, &encodeError{err}
	}
	return text, nil
}

// sizeSample is how many entries of a long list are encoded before the length of the others is
// estimated.
const sizeSample = 64

// EncodeList is [Encode] for a page with a list that may be long. It encodes one entry after the
// other and yields in between. page is the page with an empty list, and key the name of the list
// there.
func EncodeList[P, E any](page P, key string, list []E) ([]byte, error) {
	return EncodeNested(page, key, list, func(e E) (E, *Rest) { return e, nil })
}

// Rest is the end of a list of an entry: all but the first of its elements.
type Rest struct {
	Key string // of the list
	Len int
	At  func(i int) any
}

// EncodeNested is [EncodeList] for entries that may have long lists themselves. nested returns an entry
// with the first element of such a list, and the others; or the entry and nil.
func EncodeNested[P, E any](page P, key string, list []E, nested func(E) (E, *Rest)) ([]byte, error) {
	frame, err := Encode(page)
	if err != nil || len(list) == 0 {
		return frame, err
	}
	at := listAt(frame, key)
	var b bytes.Buffer
	b.Write(frame[:at])
	var y Yielder
	entries, elements := indented(&b, "    "), indented(&b, "        ")
	for i, e := range list {
		if i == sizeSample {
			b.Grow(b.Len() / sizeSample * (len(list) - i) * 9 / 8)
		}
		first, rest := nested(e)
		begin := b.Len()
		if err := entries(first); err != nil {
			return nil, err
		}
		if y.Step(); rest == nil {
			continue
		}
		end := begin + endOf(b.Bytes()[begin:], rest.Key)
		behind := bytes.Clone(b.Bytes()[end:])
		b.Truncate(end)
		b.WriteByte(',')
		for i := range rest.Len {
			if err := elements(rest.At(i)); err != nil {
				return nil, err
			}
			y.Step()
		}
		b.Truncate(b.Len() - 1)
		b.Write(behind)
	}
	b.Truncate(b.Len() - 1)
	b.WriteString("\n  ")
	b.Write(frame[at:])
	return b.Bytes(), nil
}

// indented returns what appends an element of a list to b, and a comma.
func indented(b *bytes.Buffer, indent string) func(e any) error {
	encoder := json.NewEncoder(b)
	encoder.SetIndent(indent, "  ")
	return func(e any) error {
		b.WriteString("\n" + indent)
		if err := encoder.Encode(e); err != nil {
			return &encodeError{err}
		}
		b.Bytes()[b.Len()-1] = ',' // in place of the line end
		return nil
	}
}

// endOf returns where the last element ends of a list of an encoded entry.
func endOf(entry []byte, key string) int {
	begin := bytes.Index(entry, []byte("\n      \""+key+"\": [\n")) // a string in JSON has no line end
	if begin < 0 {
		panic("an entry has no list " + key)
	}
	return begin + bytes.Index(entry[begin:], []byte("\n      ]"))
}

// EncodeLines is [EncodeList] with one line for each entry, which add appends as JSON.
func EncodeLines[P, E any](page P, key string, list []E, add func(b []byte, e E) []byte) ([]byte, error) {
	frame, err := Encode(page)
	if err != nil || len(list) == 0 {
		return frame, err
	}
	at := listAt(frame, key)
	b := append([]byte(nil), frame[:at]...)
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = add(append(b, "\n    "...), e)
	}
	b = append(b, "\n  "...)
	return append(b, frame[at:]...), nil
}

// listAt returns where the entries of the empty list of a page go.
func listAt(frame []byte, key string) int {
	empty := []byte("\n  \"" + key + "\": []") // a string in JSON has no line end
	at := bytes.Index(frame, empty) + len(empty) - 1
	if at < len(empty) {
		panic("a page has no list " + key)
	}
	return at
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
