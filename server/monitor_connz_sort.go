package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
)

// This file is the orders in which /connz lists clients.

// sortRowsBy sorts rows by order and, where that makes no difference, by cid.
func sortRowsBy(order rowOrder, rows []*connRow, now time.Time) {
	var y monitor.Yielder
	slices.SortFunc(rows, func(a, b *connRow) int {
		y.Compared()
		return cmp.Or(order(a, b, now), cmp.Compare(a.cid, b.cid))
	})
}

// SortOpt is the order of the page /connz.
type SortOpt string

// Orders of the page /connz. All but ByCid, ByStart, ByUptime and ByReason put the
// largest first; "to" and "from" are seen from the client.
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
	ByStop     SortOpt = "stop"   // of clients that are gone
	ByReason   SortOpt = "reason" // of clients that are gone
)

// rowOrder compares two rows; now is the time of the page.
type rowOrder func(a, b *connRow, now time.Time) int

// sortRow is one order: its name, whether it is for closed connections only,
// and the comparison.
type sortRow struct {
	opt    SortOpt
	closed bool
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
	{opt: ByStop, closed: true, order: byNumber(func(r *connRow) int64 { return r.stop.UnixNano() })},
	{opt: ByReason, closed: true, order: func(a, b *connRow, _ time.Time) int {
		return strings.Compare(a.reason.String(), b.reason.String())
	}},
}

// byNumber orders by a number, the largest first.
func byNumber(of func(*connRow) int64) rowOrder {
	return func(a, b *connRow, _ time.Time) int { return cmp.Compare(of(b), of(a)) }
}

// IsValid reports whether there is such an order. The empty one is ByCid.
func (o SortOpt) IsValid() bool {
	return o == "" || slices.ContainsFunc(sortRows, func(r sortRow) bool { return r.opt == o })
}

// sortOrder returns the comparison of an order for clients in a state.
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
