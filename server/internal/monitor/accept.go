package monitor

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// acceptedValue is one value of a header such as Accept, in lower case.
type acceptedValue struct {
	value  string
	params map[string]string // but for q; nil if there are none
	q      float64           // 0 refuses the value
}

// accepted returns the values of a header such as Accept, the preferred ones first.
func accepted(h http.Header, header string) (all []acceptedValue) {
	for _, line := range h.Values(header) {
		for entry := range strings.SplitSeq(line, ",") {
			value, rest, _ := strings.Cut(entry, ";")
			a := acceptedValue{value: strings.ToLower(strings.TrimSpace(value)), q: 1}
			if a.value == "" {
				continue
			}
			for param := range strings.SplitSeq(rest, ";") {
				a.param(param)
			}
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b acceptedValue) int { return cmp.Compare(b.q, a.q) })
	return all
}

// param notes a parameter.
func (a *acceptedValue) param(text string) {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return
	}
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
	if name == "q" {
		if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
			a.q = q
		}
		return
	}
	if a.params == nil {
		a.params = map[string]string{}
	}
	a.params[name] = value
}

// accepts reports whether a header such as Accept names a value, and does not refuse it.
func accepts(h http.Header, header, want string) bool {
	for _, a := range accepted(h, header) {
		if a.value == want {
			return a.q > 0
		}
	}
	return false
}
