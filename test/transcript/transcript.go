// Package transcript reads conversations with a broker from files, and has them with a broker: what
// its clients send and, byte for byte, what they must get back. It knows the wire format of no
// operation but those that announce a payload, and nothing of the broker.
package transcript

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Transcript is one conversation. A file holds one, and one promise of the protocol. Its lines are
//
//	# comment                the first one says the promise
//	option max_payload 100   a setting of the broker, before the first step
//	A> SUB foo 1             A sends this line and CR LF; a connection opens when it is first named
//	A>> SUB\tfoo 1\n         A sends these bytes: \r \n \t \\ \xhh, and \{a*40} for forty times a
//	A< MSG foo 1 2           next, A receives exactly this line and CR LF
//	A< INFO {"port":<port>}  the same, with the placeholders of infoPlaceholders; written out only where INFO is the promise
//	A<< hi\r\n               next, A receives exactly these bytes
//	A<* MSG foo 1 0\r\n      next, A receives this line of a run of such lines, in any order (with escapes, CR LF added)
//	A! open                  a PING is answered by PONG and by nothing before it
//	A! closed                the broker has closed the connection and sent nothing before
//	A! dropped               the broker has closed the connection, whatever it sent before
//	A! leave                 A closes its side
//
// At the end every connection still up must be open in the sense above.
type Transcript struct {
	Path    string
	Options []Option

	promise string
	steps   []step
}

// Option is a setting of the broker, with its place (file:line).
type Option struct {
	Place       string
	Name, Value string
}

// step is one action or one expectation.
type step struct {
	place string // file:line
	conn  string
	verb  verb
	data  []byte         // of send and expect
	cuts  []int          // offsets in data of send at which it is worth cutting, see cutPlaces
	info  *regexp.Regexp // of expectInfo
}

// verb says what a step does.
type verb int

const (
	send       verb = iota // write data
	expect                 // read exactly data
	expectInfo             // read one line that matches info
	expectAny              // read exactly data, in any order with its neighbours
	isOpen                 // PING, PONG, nothing else
	isClosed               // end of stream, nothing before
	isDropped              // end of stream, anything before
	leave                  // close
)

// events are the words after "A!".
var events = map[string]verb{"open": isOpen, "closed": isClosed, "dropped": isDropped, "leave": leave}

// infoPlaceholders are what an expected INFO line may leave open, each with the pattern it stands
// for.
var infoPlaceholders = map[string]string{
	"<id>":      `[0-9A-Za-z]{22}`,
	"<version>": `[0-9]+\.[0-9]+\.[0-9]+`,
	"<go>":      `go[0-9][^"]*`,
	"<port>":    `[1-9][0-9]{0,4}`,
	"<nonce>":   `[0-9A-Za-z_-]{15}`,
	"<commit?>": `(?:"git_commit":"[^"]+",)?`,
}

var (
	stepLine    = regexp.MustCompile(`^([A-Z][0-9]*)(>>|>|<<|<\*|<|!)(?: (.*))?$`)
	optionLine  = regexp.MustCompile(`^option ([a-z_]+) (\S+)$`)
	placeholder = regexp.MustCompile(`<[a-z]+\??>`)
	repetition  = regexp.MustCompile(`\\\{(.)\*([0-9]+)\}`)
)

// ReadDir reads every transcript of a directory, files that end in .txt.
func ReadDir(dir string) ([]*Transcript, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no transcripts in %s", dir)
	}
	var all []*Transcript
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tr, err := parse(path, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, tr)
	}
	return all, nil
}

// parse reads the text of one transcript. Its errors begin with path:line.
func parse(path, text string) (*Transcript, error) {
	tr := &Transcript{Path: path}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		place := fmt.Sprintf("%s:%d", path, i+1)
		switch {
		case line == "":
		case strings.HasPrefix(line, "#"):
			if tr.promise == "" {
				tr.promise = strings.TrimSpace(line[1:])
			}
		case strings.HasPrefix(line, "option"):
			m := optionLine.FindStringSubmatch(line)
			if m == nil || len(tr.steps) > 0 {
				return nil, fmt.Errorf("%s: want `option name value` before the first step, got %q", place, line)
			}
			tr.Options = append(tr.Options, Option{place, m[1], m[2]})
		default:
			s, err := parseStep(place, line)
			if err != nil {
				return nil, err
			}
			tr.steps = append(tr.steps, s)
		}
	}
	if tr.promise == "" || len(tr.steps) == 0 {
		return nil, fmt.Errorf("%s: a transcript has a first comment that says its promise, and steps", path)
	}
	return tr, nil
}

// parseStep reads one line that names a connection.
func parseStep(place, line string) (step, error) {
	m := stepLine.FindStringSubmatch(line)
	if m == nil {
		return step{}, fmt.Errorf("%s: not a step: %q", place, line)
	}
	s := step{place: place, conn: m[1]}
	var err error
	switch arg := m[3]; m[2] {
	case ">":
		s.verb, s.data = send, []byte(arg+"\r\n")
	case ">>":
		s.verb = send
		s.data, err = unescape(arg)
	case "<":
		s.verb, s.data = expect, []byte(arg+"\r\n")
		if strings.HasPrefix(arg, "INFO ") {
			s.verb = expectInfo
			s.info, err = infoPattern(arg)
		}
	case "<<":
		s.verb = expect
		s.data, err = unescape(arg)
	case "<*":
		s.verb = expectAny
		s.data, err = unescape(arg + `\r\n`)
	case "!":
		v, ok := events[arg]
		if !ok {
			return step{}, fmt.Errorf("%s: unknown event %q", place, arg)
		}
		s.verb = v
	}
	if err != nil {
		return step{}, fmt.Errorf("%s: %w", place, err)
	}
	return s, nil
}

// unescape turns the escapes of a raw line into the bytes they stand for.
func unescape(s string) ([]byte, error) {
	s = repetition.ReplaceAllStringFunc(s, func(r string) string {
		m := repetition.FindStringSubmatch(r)
		n, _ := strconv.Atoi(m[2])
		return strings.Repeat(m[1], n)
	})
	var out []byte
	for len(s) > 0 {
		if s[0] != '\\' {
			out, s = append(out, s[0]), s[1:]
			continue
		}
		_, _, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("bad escape at %.10q", s)
		}
		one, err := strconv.Unquote(`"` + s[:len(s)-len(tail)] + `"`)
		if err != nil {
			return nil, fmt.Errorf("bad escape at %.10q", s)
		}
		out, s = append(out, one...), tail
	}
	return out, nil
}

// infoPattern compiles an expected INFO line. The blank before CR LF is part of the wire format.
func infoPattern(line string) (*regexp.Regexp, error) {
	var pattern strings.Builder
	rest := line
	for rest != "" {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			break
		}
		p, ok := infoPlaceholders[rest[at[0]:at[1]]]
		if !ok {
			return nil, fmt.Errorf("unknown placeholder %s", rest[at[0]:at[1]])
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]) + p)
		rest = rest[at[1]:]
	}
	return regexp.Compile(`^` + pattern.String() + regexp.QuoteMeta(rest) + " \r\n$")
}

// ExpectsInfo reports whether INFO is written out, with the number of the connection: the
// transcript wants a broker that has just started.
func (tr *Transcript) ExpectsInfo() bool {
	return slices.ContainsFunc(tr.steps, func(s step) bool { return s.verb == expectInfo })
}

// Merged is the transcript with each connection's consecutive sends joined, as a client that
// pipelines would send them, and with the places where they can be cut.
func (tr *Transcript) Merged() *Transcript {
	m := *tr
	m.steps = nil
	for _, s := range tr.steps {
		if n := len(m.steps); n > 0 && s.verb == send && m.steps[n-1].verb == send && m.steps[n-1].conn == s.conn {
			last := &m.steps[n-1]
			last.data = append(last.data[:len(last.data):len(last.data)], s.data...)
			continue
		}
		m.steps = append(m.steps, s)
	}
	owed := map[string]int{}
	for i := range m.steps {
		if s := &m.steps[i]; s.verb == send {
			s.cuts, owed[s.conn] = cutPlaces(s.data, owed[s.conn])
		}
	}
	return &m
}

// MostCuts is the number of places in the send that has the most.
func (tr *Transcript) MostCuts() int {
	most := 0
	for _, s := range tr.steps {
		most = max(most, len(s.cuts))
	}
	return most
}
