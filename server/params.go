package server

import (
	"fmt"
	"net/url"
	"strconv"
)

// params are the parameters of a request. The first that cannot be decoded is
// kept as the error; what follows is zero.
type params struct {
	values url.Values
	err    error
}

func (p *params) fail(format string, v ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, v...)
	}
}

// flag decodes a boolean word; absent is false.
func (p *params) flag(name string) bool {
	text := p.values.Get(name)
	if text == "" {
		return false
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		p.fail("Error decoding boolean for '%s': %w", name, err)
	}
	return on
}

// number decodes an integer; absent is 0.
func (p *params) number(name string) int {
	text := p.values.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		p.fail("Error decoding int for '%s': %w", name, err)
		return 0
	}
	return n
}

// id decodes the id of a connection; absent is 0.
func (p *params) id(name string) uint64 {
	text := p.values.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.fail("Error decoding uint64 for '%s': %w", name, err)
		return 0
	}
	return n
}

// defaultPage is how many entries a page of /connz and /subsz has if nobody
// says otherwise.
const defaultPage = 1024

// window returns offset and limit as they are applied: not negative, and with a
// limit.
func window(offset, limit int) (int, int) {
	if limit <= 0 {
		limit = defaultPage
	}
	return max(offset, 0), limit
}

// cut returns what a window shows of all. It never adds offset and limit, whose
// sum may be too large for an int.
func cut[T any](all []T, offset, limit int) []T {
	if offset >= len(all) {
		return nil
	}
	all = all[offset:]
	return all[:min(limit, len(all))]
}
