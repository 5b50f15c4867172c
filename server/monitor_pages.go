package server

import (
	"io"
	"strconv"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
)

// This file has the table of monitoring pages, and what they have in common.
//
// Pages are snapshots. No lock is held for longer than it takes to copy a few fields, and large
// pages yield to messages while they are made.

// monitorPages returns the pages other than those that package monitor makes itself.
func (s *Server) monitorPages() []monitor.Page {
	return []monitor.Page{
		{Path: "/varz", Decode: pageOf(varzOptions, s.Varz)},
		{Path: "/connz", Decode: pageOf(connzOptions, s.connz), Large: true},
		{Path: "/routez", Decode: pageOf(routezOptions, s.routez), Large: true},
		{Path: "/subsz", Decode: pageOf(subszOptions, s.subsz), Large: true, Aliases: []string{"/subscriptionsz"}, CountRejected: true},
		{Path: "/subjectz", Decode: pageOf(subjectzOptions, s.Subjectz), Large: true, Uncounted: true},
		{Path: "/statusz", Decode: pageOf(statuszOptions, s.Statusz), Uncounted: true},
		{Path: "/clusterz", Decode: pageOf(clusterzOptions, s.Clusterz), Uncounted: true},
		{Path: "/historyz", Decode: pageOf(historyzOptions, s.Historyz), Uncounted: true},
	}
}

// encoder is a page that can be encoded.
type encoder interface {
	encode(w io.Writer, f monitor.Form) error
}

// pageOf returns the [monitor.Page.Decode] of a page: options decodes the parameters, page makes
// the page.
func pageOf[O any, P encoder](options func(*monitor.Params) *O, page func(*O) (P, error)) func(*monitor.Params) func(*monitor.Body) error {
	return func(p *monitor.Params) func(*monitor.Body) error {
		o := options(p)
		return func(b *monitor.Body) error {
			z, err := page(o)
			if err != nil {
				return err
			}
			return z.encode(b, monitor.Indented)
		}
	}
}

// defaultPage is the default number of entries on a page of /connz and /subsz.
const defaultPage = 1024

// window returns the offset and limit to apply: an offset of at least 0, and the default limit if
// there is none.
func window(offset, limit int) (int, int) {
	if limit <= 0 {
		limit = defaultPage
	}
	return max(offset, 0), limit
}

// windowOf returns the part of all in a window. It never adds offset and limit, whose sum may
// overflow.
func windowOf[T any](all []T, offset, limit int) []T {
	if offset >= len(all) {
		return nil
	}
	all = all[offset:]
	return all[:min(limit, len(all))]
}

// units are the units of spanText, largest first. A year has 365 days.
var units = []struct {
	letter  byte
	seconds int64
}{{'y', 365 * 24 * 3600}, {'d', 24 * 3600}, {'h', 3600}, {'m', 60}, {'s', 1}}

// spanText formats an uptime or idle time, such as 4d3h2m5s, from the first unit that is not zero.
func spanText(d time.Duration) string {
	left := max(0, int64(d/time.Second))
	var b strings.Builder
	for _, u := range units {
		n := left / u.seconds
		left %= u.seconds
		if n > 0 || b.Len() > 0 || u.letter == 's' {
			b.WriteString(strconv.FormatInt(n, 10))
			b.WriteByte(u.letter)
		}
	}
	return b.String()
}

// rttText formats a round-trip time: to the millisecond, or to the microsecond if it is less than
// one; "" if it is unknown.
func rttText(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return d.Truncate(time.Microsecond).String()
	}
	return d.Truncate(time.Millisecond).String()
}
