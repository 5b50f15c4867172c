package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
)

// This file is how a page is encoded and answered.

// answerJSON encodes a page. With the parameter callback it is JSONP.
func (s *Server) answerJSON(w http.ResponseWriter, r *http.Request, v page2JSON) {
	text, err := v.encode()
	if err != nil {
		s.Errorf("Encoding %s: %v", r.URL.Path, err)
		http.Error(w, "the page cannot be encoded", http.StatusInternalServerError)
		return
	}
	s.answer(w, r, text)
}

// page2JSON is a page that can be encoded.
type page2JSON interface{ encode() ([]byte, error) }

// indented encodes v as all pages are: two spaces, no line end.
func indented[T any](v T) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// sizeSample is how many entries of a long list are encoded before the length of
// the others is estimated.
const sizeSample = 64

// indentedList is indented for a page with a list that may be long. It encodes
// one entry after the other and lets others run in between. page is the page
// with an empty list, and key its name there.
func indentedList[P, E any](page P, key string, list []E) ([]byte, error) {
	frame, err := indented(page)
	if err != nil || len(list) == 0 {
		return frame, err
	}
	empty := []byte("\n  \"" + key + "\": []") // no string has a line end of its own
	at := bytes.Index(frame, empty) + len(empty) - 1
	if at < len(empty) {
		panic("a page has no list " + key)
	}
	var b bytes.Buffer
	b.Write(frame[:at])
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("    ", "  ")
	var p pace
	for i, e := range list {
		if i == sizeSample {
			b.Grow(b.Len() / sizeSample * (len(list) - i) * 9 / 8)
		}
		b.WriteString("\n    ")
		if err := encoder.Encode(e); err != nil {
			return nil, err
		}
		b.Bytes()[b.Len()-1] = ',' // in place of the line end
		p.step()
	}
	b.Truncate(b.Len() - 1)
	b.WriteString("\n  ")
	b.Write(frame[at:])
	return b.Bytes(), nil
}

// pace makes the work on a large page give way: to the scheduler it is one
// goroutine like any other, and messages would wait for it up to 10 ms, time
// and again.
type pace struct{ steps int }

// paceSteps is how many steps, of some microseconds each, come between two
// moments in which others may run.
const paceSteps = 32

// compared says that two entries were compared: many of those are one step.
func (p *pace) compared() {
	if p.steps++; p.steps%(64*paceSteps) == 0 {
		runtime.Gosched()
	}
}

// step says that a small piece of the work is done.
func (p *pace) step() {
	if p.steps++; p.steps%paceSteps == 0 {
		runtime.Gosched()
	}
}

// maxCallback bounds the name of a JSONP function, in bytes.
const maxCallback = 128

// answer writes an encoded page, as JSON or as a call of the function that
// callback names.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, text []byte) {
	o := s.options()
	contentType := "application/json"
	if !o.HTTPSameOrigin {
		if o.HTTPUsername == "" && !o.HTTPVerify {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		if name := r.URL.Query().Get("callback"); name != "" {
			if !validCallback(name) {
				http.Error(w, "invalid callback: a name has at most 128 of the characters A-Z a-z 0-9 _ $ . [ ] and no digit first", http.StatusBadRequest)
				return
			}
			contentType = "application/javascript"
			text = fmt.Appendf(nil, "%s(%s)", name, text)
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text)
}

// validCallback reports whether name can be nothing but the name of a function.
func validCallback(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '.' || c == '[' || c == ']')) {
			return false
		}
	}
	return len(name) <= maxCallback
}

// badRequest answers a request with parameters that make no sense.
func badRequest(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusBadRequest)
}

// largePage runs make when no other large page is being made. It reports false
// if the client went away first.
func (s *Server) largePage(r *http.Request, make func()) bool {
	if _, err := s.mon.large.enter(r.Context()); err != nil {
		return false
	}
	defer s.mon.large.leave()
	make()
	return true
}
