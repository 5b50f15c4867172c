package monitor

import (
	"fmt"
	"net/url"
	"strconv"
)

// Params are the parameters of a request. The first that cannot be decoded rejects the request;
// what is decoded after it does not matter.
type Params struct {
	values url.Values
	err    error // of the first that cannot be decoded
}

// Reject says that a parameter is wrong.
func (p *Params) Reject(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Text returns a parameter as it is; absent is "".
func (p *Params) Text(name string) string { return p.values.Get(name) }

// Flag decodes a boolean; absent is false.
func (p *Params) Flag(name string) bool {
	return decode(p, name, "boolean", strconv.ParseBool)
}

// Number decodes an integer; absent is 0.
func (p *Params) Number(name string) int {
	return decode(p, name, "int", strconv.Atoi)
}

// ID decodes the id of a connection; absent is 0.
func (p *Params) ID(name string) uint64 {
	return decode(p, name, "uint64", func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) })
}

// decode parses a parameter. The texts of errors are those of the classic broker.
func decode[T any](p *Params, name, kind string, parse func(string) (T, error)) (v T) {
	text := p.values.Get(name)
	if text == "" {
		return v
	}
	v, err := parse(text)
	if err != nil {
		p.Reject(fmt.Errorf("Error decoding %s for '%s': %w", kind, name, err))
	}
	return v
}
