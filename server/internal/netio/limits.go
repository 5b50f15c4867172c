package netio

import "time"

// Limits bound what one connection may have pending. Connections share them; they never change.
type Limits struct {
	MaxPending    int64         // bytes; a connection that has more pending is a slow consumer
	HighWater     int64         // bytes; a connection that has more pending lags
	WriteDeadline time.Duration // longest time without progress of a write
	Drop          DropPolicy    // whether messages are dropped instead; there is no WriteDeadline then
}

// dropDeadline is that of the writes of a connection that loses messages: it may be slow for as long
// as it answers pings.
const dropDeadline = 1000 * time.Hour

// deadline returns when a write that begins now ends.
func (l *Limits) deadline() time.Time {
	if l.Drop != DropNone {
		return time.Now().Add(dropDeadline)
	}
	return time.Now().Add(l.WriteDeadline)
}

// Limit says which of the limits was exceeded.
type Limit uint8

// The limits that make a connection a slow consumer.
const (
	LimitPending Limit = iota + 1
	LimitDeadline
)
