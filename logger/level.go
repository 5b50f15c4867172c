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

// levelNames are the names of each level: the label and colour of a text line, the name in a JSON
// line, the tag and id of a Windows event, and the syslog severity (RFC 5424: 2 critical, 3 error,
// 5 notice, 7 debug).
var levelNames = [...]struct {
	label    string
	colour   string
	json     string
	tag      string
	event    uint32
	severity int
}{
	notice:  {label: "INF", colour: "32", json: "info", tag: "NOTICE", event: 1, severity: 5},
	warning: {label: "WRN", colour: "0;93", json: "warn", tag: "WARN", event: 1, severity: 5},
	failure: {label: "ERR", colour: "31", json: "error", tag: "ERROR", event: 2, severity: 3},
	fatal:   {label: "FTL", colour: "31", json: "fatal", tag: "FATAL", event: 5, severity: 2},
	debug:   {label: "DBG", colour: "36", json: "debug", tag: "DEBUG", event: 3, severity: 7},
	trace:   {label: "TRC", colour: "33", json: "trace", tag: "TRACE", event: 4, severity: 5},
}

// verbose reports whether lines of this level are the first to be dropped when the destination does
// not keep up.
func (lv level) verbose() bool { return lv == debug || lv == trace }
