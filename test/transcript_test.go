package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A transcript is a conversation with the broker: what its clients send and, byte for byte, what they must get back.
// testdata holds one per promise of the protocol. Its lines are
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
type transcript struct {
	path    string
	promise string
	options []option
	steps   []step
}

// option is one line of settings, with its place.
type option struct {
	place       string
	name, value string
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

// infoPlaceholders are what an expected INFO line may leave open, each with the pattern it stands for.
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

// readTranscripts reads every transcript of a directory.
func readTranscripts(dir string) ([]*transcript, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no transcripts in %s", dir)
	}
	var all []*transcript
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tr, err := parseTranscript(path, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, tr)
	}
	return all, nil
}

// parseTranscript reads the text of one transcript. Its errors begin with path:line.
func parseTranscript(path, text string) (*transcript, error) {
	tr := &transcript{path: path}
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
			tr.options = append(tr.options, option{place, m[1], m[2]})
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

// merged is the transcript with each connection's consecutive sends joined, as a client that pipelines would send them, and with
// the places where they can be cut.
func (tr *transcript) merged() *transcript {
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

// mostCuts is the number of places in the send that has the most.
func (tr *transcript) mostCuts() int {
	most := 0
	for _, s := range tr.steps {
		most = max(most, len(s.cuts))
	}
	return most
}

// cutPlaces returns the offsets at which a send is cut in two: every byte of control lines, and payloads at their ends and in the
// middle, as one of their bytes is like another. Of a very long control line, which is long with filler, the ends are enough, and
// some bytes between. The first owed bytes of data belong to a payload; stillOwed are those of the next send.
func cutPlaces(data []byte, owed int) (places []int, stillOwed int) {
	const ends, most, stride = 64, 256, 97
	for i := 0; i < len(data); {
		if owed > 0 {
			n := min(owed, len(data)-i)
			for k := range n {
				if k < 2 || k == n/2 || k >= n-2 {
					places = append(places, i+k)
				}
			}
			i, owed = i+n, owed-n
			continue
		}
		line, _, complete := bytes.Cut(data[i:], []byte("\n"))
		n := len(line)
		if complete {
			n, owed = n+1, payloadOf(line)
		}
		for k := range n {
			if n <= most || k < ends || k >= n-ends || k%stride == 0 {
				places = append(places, i+k)
			}
		}
		i += n
	}
	return places[1:], owed // a cut before the first byte is none
}

// payloadOf is the size that a control line announces, or 0.
func payloadOf(line []byte) int {
	f := bytes.Fields(bytes.ToUpper(line))
	if len(f) < 3 || string(f[0]) != "PUB" && string(f[0]) != "HPUB" {
		return 0
	}
	size, err := strconv.Atoi(string(f[len(f)-1]))
	if err != nil || size < 0 {
		return 0
	}
	return size
}
