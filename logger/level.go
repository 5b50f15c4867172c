package logger

// level is the importance of a line. The zero level is notice.
type level uint8

const (
	notice level = iota
	warning
	failure
	fatal
	debug
	trace
)

// levelNames holds, for each level, every name it goes by: the label and colour of a text line, the word of a JSON line, the
// tag and id of a Windows event, and the syslog severity (RFC 5424: 2 critical, 3 error, 5 notice, 7 debug).
var levelNames = [...]struct {
	label    string
	colour   string
	word     string
	tag      string
	event    uint32
	severity int
}{
	notice:  {label: "INF", colour: "32", word: "info", tag: "NOTICE", event: 1, severity: 5},
	warning: {label: "WRN", colour: "0;93", word: "warn", tag: "WARN", event: 1, severity: 5},
	failure: {label: "ERR", colour: "31", word: "error", tag: "ERROR", event: 2, severity: 3},
	fatal:   {label: "FTL", colour: "31", word: "fatal", tag: "FATAL", event: 5, severity: 2},
	debug:   {label: "DBG", colour: "36", word: "debug", tag: "DEBUG", event: 3, severity: 7},
	trace:   {label: "TRC", colour: "33", word: "trace", tag: "TRACE", event: 4, severity: 5},
}

// chatty reports whether lines of this level are the first to go when the destination does not keep up.
func (lv level) chatty() bool { return lv == debug || lv == trace }
