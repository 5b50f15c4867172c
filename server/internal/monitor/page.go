package monitor

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// Page is a path that answers with JSON. Requests for it are counted unless it says otherwise.
type Page struct {
	Path          string
	Aliases       []string // other paths of the same page, counted with it
	Large         bool     // it may take long, so only one such page is made at a time
	CountRejected bool     // requests with parameters that cannot be decoded count, too
	Uncounted     bool     // requests do not count: the set of counted paths is that of gnatsd 1.x
	// Decode reads the parameters of a request and returns what writes the page. An error of
	// that is a fault of the request, except one of the [Body] or of [Encode].
	Decode func(*Params) (encode func(*Body) error)
}

// answering returns what answers requests for p.
func (m *Monitor) answering(p Page) http.HandlerFunc {
	count := m.requests[p.Path]
	if p.Uncounted {
		count = new(atomic.Uint64)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		params := Params{values: r.URL.Query()}
		encode := p.Decode(&params)
		if params.err == nil || p.CountRejected {
			count.Add(1)
		}
		if params.err != nil {
			http.Error(w, params.err.Error(), http.StatusBadRequest)
			return
		}
		body, err := new(Body), error(nil)
		work := func(b *Body) {
			body, err = b, encode(b)
		}
		if !p.Large {
			work(body)
		} else if written := m.alone(r, work); written != nil {
			defer written()
		} else {
			return
		}
		if err != nil {
			m.fail(w, r, err)
			return
		}
		m.answer(w, r, body)
	}
}

// fail answers that a page could not be made.
func (m *Monitor) fail(w http.ResponseWriter, r *http.Request, err error) {
	var failed *encodeError
	switch {
	case errors.As(err, &failed):
		m.config.Log.Errorf("Encoding %s: %v", r.URL.Path, err)
		http.Error(w, "the page cannot be encoded", http.StatusInternalServerError)
	case isTooLarge(err):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// answer writes an encoded page as the settings in force say.
func (m *Monitor) answer(w http.ResponseWriter, r *http.Request, body *Body) {
	body.answer(w, r, http.StatusOK, m.config.Settings())
}

// Answer writes an encoded page with a status, as JSON or as a call of the function that the parameter
// callback names (JSONP).
func Answer(w http.ResponseWriter, r *http.Request, status int, text []byte, s Settings) {
	(&Body{pieces: [][]byte{text}, size: len(text)}).answer(w, r, status, s)
}

// answer is [Answer] for a page in pieces.
func (b *Body) answer(w http.ResponseWriter, r *http.Request, status int, s Settings) {
	contentType, before, after := "application/json", "", ""
	if !s.SameOrigin {
		if !s.Login && !s.Certificates {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		if name := r.URL.Query().Get("callback"); name != "" {
			if !validCallback(name) {
				http.Error(w, "invalid callback: a name has at most 128 of the characters A-Z a-z 0-9 _ $ . [ ] and no digit first", http.StatusBadRequest)
				return
			}
			contentType, before, after = "application/javascript", name+"(", ")"
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(before)+b.size+len(after)))
	w.WriteHeader(status)
	io.WriteString(w, before)
	if b.writeTo(w) == nil { // an error means that the client is gone
		io.WriteString(w, after)
	}
}

// maxCallback bounds the name of a JSONP function, in bytes.
const maxCallback = 128

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
