package system

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/klauspost/compress/s2"
)

// This file encodes answers. Clients decide how large a page is, and max_payload what can be sent of it:
// of an answer that is larger only the size is kept.

// Streamed is a page that is encoded in pieces.
type Streamed interface {
	// WriteJSON writes what [json.Marshal] would return.
	WriteJSON(w io.Writer) error
}

// encoded is an answer as it is sent.
type encoded struct {
	header []byte // nil if it has none
	bytes  []byte // nil if they are more than max
	size   int
	max    int
}

// Write implements io.Writer. It never fails.
func (e *encoded) Write(b []byte) (int, error) {
	if e.size += len(b); e.size > e.max {
		e.bytes = nil
	} else {
		e.bytes = append(e.bytes, b...)
	}
	return len(b), nil
}

// encode returns an answer that may have limit bytes with its header.
func encode(answer any, snappy bool, limit int) (*encoded, error) {
	if !snappy {
		e := &encoded{max: limit}
		return e, writeAnswer(e, answer)
	}
	e := &encoded{header: []byte("NATS/1.0\r\nContent-Encoding: snappy\r\n\r\n")}
	e.max = limit - len(e.header)
	zip := s2.NewWriter(e, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	err := writeAnswer(zip, answer)
	if closed := zip.Close(); err == nil {
		err = closed
	}
	return e, err
}

// writeAnswer writes an answer in JSON.
func writeAnswer(w io.Writer, answer any) error {
	full, ok := answer.(*response)
	if !ok {
		return writeJSON(w, answer)
	}
	page, ok := full.Data.(Streamed)
	if !ok {
		return writeJSON(w, answer)
	}
	frame := *full
	frame.Data = []int{}
	text, err := json.Marshal(&frame)
	if err != nil {
		return err
	}
	before, after, _ := bytes.Cut(text, []byte(`"data":[]`)) // quotes in a string are escaped
	if _, err := w.Write(append(before, `"data":`...)); err != nil {
		return err
	}
	if err := page.WriteJSON(w); err != nil {
		return err
	}
	_, err = w.Write(after)
	return err
}

func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
