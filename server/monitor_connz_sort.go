package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
)

// This file has the sort orders of /connz.

// sortRowsBy sorts rows by order, and those that are equal in it by cid.
func sortRowsBy(order rowOrder, rows []*connRow, now time.Time) {
	var y monitor.Yielder
	slices.SortFunc(rows, func(a, b *connRow) int {
		y.Compared()
		return cmp.Or(order(a, b, now), cmp.Compare(a.cid, b.cid))
	})
}

// SortOpt is a sort order of the page /connz.
type SortOpt string

// Sort orders of the page /connz. ByCid, ByStart, ByUptime and ByReason are ascending, the others
// descending. "to" and "from" refer to the client.
const (
	ByCid      SortOpt = "cid"
	ByStart    SortOpt = "start"
	BySubs     SortOpt = "subs"
	ByPending  SortOpt = "pending"
	ByOutMsgs  SortOpt = "msgs_to"
	ByInMsgs   SortOpt = "msgs_from"
	ByOutBytes SortOpt = "bytes_to"
	ByInBytes  SortOpt = "bytes_from"
	ByLast     SortOpt = "last"
	ByIdle     SortOpt = "idle"
	ByUptime   SortOpt = "uptime"
	ByRTT      SortOpt = "rtt"
	ByStop     SortOpt = "stop"   // of closed clients only
	ByReason   SortOpt = "reason" // of closed clients only

	ByRate         SortOpt = "rate" // what the client sends and receives per second
	ByOutMsgsRate  SortOpt = "msgs_to_rate"
	ByInMsgsRate   SortOpt = "msgs_from_rate"
	ByOutBytesRate SortOpt = "bytes_to_rate"
	ByInBytesRate  SortOpt = "bytes_from_rate"
)

// rowOrder compares two rows; now is the time of the page.
type rowOrder func(a, b *connRow, now time.Time) int

// sortRow is one sort order.
type sortRow struct {
	opt    SortOpt
	closed bool // for closed clients only
	order  rowOrder
}

var sortRows = []sortRow{
	{opt: ByCid, order: func(_, _ *connRow, _ time.Time) int { return 0 }},
	{opt: ByStart, order: func(_, _ *connRow, _ time.Time) int { return 0 }},
	{opt: BySubs, order: byNumber(func(r *connRow) int64 { return int64(r.subs) })},
	{opt: ByPending, order: byNumber(func(r *connRow) int64 { return r.out.Pending })},
	{opt: ByOutMsgs, order: byNumber(func(r *connRow) int64 { return r.out.Messages })},
	{opt: ByInMsgs, order: byNumber(func(r *connRow) int64 { return r.inMsgs })},
	{opt: ByOutBytes, order: byNumber(func(r *connRow) int64 { return r.out.Payload })},
	{opt: ByInBytes, order: byNumber(func(r *connRow) int64 { return r.inBytes })},
	{opt: ByLast, order: byNumber(func(r *connRow) int64 { return r.active.UnixNano() })},
	{opt: ByIdle, order: func(a, b *connRow, now time.Time) int { return cmp.Compare(b.idle(now), a.idle(now)) }},
	{opt: ByUptime, order: func(a, b *connRow, now time.Time) int { return cmp.Compare(a.uptime(now), b.uptime(now)) }},
	{opt: ByRTT, order: byNumber(func(r *connRow) int64 { return int64(r.rtt) })},
	{opt: ByRate, order: byRate((*ConnRates).total)},
	{opt: ByOutMsgsRate, order: byRate(func(r *ConnRates) float64 { return r.OutMsgs })},
	{opt: ByInMsgsRate, order: byRate(func(r *ConnRates) float64 { return r.InMsgs })},
	{opt: ByOutBytesRate, order: byRate(func(r *ConnRates) float64 { return r.OutBytes })},
	{opt: ByInBytesRate, order: byRate(func(r *ConnRates) float64 { return r.InBytes })},
	{opt: ByStop, closed: true, order: byNumber(func(r *connRow) int64 { return r.stop.UnixNano() })},
	{opt: ByReason, closed: true, order: func(a, b *connRow, _ time.Time) int {
		return strings.Compare(a.reason.String(), b.reason.String())
	}},
}

// byNumber returns the descending order of a number.
func byNumber(number func(*connRow) int64) rowOrder {
	return func(a, b *connRow, _ time.Time) int { return cmp.Compare(number(b), number(a)) }
}

// IsValid reports whether o is a known sort order or empty, which means ByCid.
func (o SortOpt) IsValid() bool {
	return o == "" || slices.ContainsFunc(sortRows, func(r sortRow) bool { return r.opt == o })
}

// sortOrder returns the comparison for opt. It returns an error if opt is unknown, or cannot be
// used for clients in that state.
func sortOrder(opt SortOpt, state ConnState) (rowOrder, error) {
	if opt == "" {
		opt = ByCid
	}
	for _, r := range sortRows {
		if r.opt != opt {
			continue
		}
		if r.closed && state != ConnClosed {
			return nil, fmt.Errorf("sort by %s only valid on closed connections", opt)
		}
		return r.order, nil
	}
	return nil, fmt.Errorf("invalid sorting option: %s", opt)
}
