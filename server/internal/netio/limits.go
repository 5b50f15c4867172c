package netio

import "time"

// Limits bound what one connection may have pending. Connections share them; they never change.
type Limits struct {
	MaxPending    int64         // bytes; a connection that has more pending is a slow consumer
	HighWater     int64         // bytes; a connection that has more pending lags
	WriteDeadline time.Duration // longest time without progress of a write
	Drop          DropPolicy    // whether messages are dropped instead; there is no WriteDeadline then
	Stalls        bool          // publishers wait for room all the same
}

// lags reports whether publishers wait for a connection that has much pending.
func (l *Limits) lags() bool { return l.Drop == DropNone || l.Stalls }

// dropDeadline is that of the writes of a connection that loses messages: it may be slow for as long
// as it answers pings.
const dropDeadline = 1000 * time.Hour

// patience returns how long a write may make no progress.
func (l *Limits) patience() time.Duration {
	if l.Drop != DropNone {
		return dropDeadline
	}
	return l.WriteDeadline
}

// Limit says which of the limits was exceeded.
type Limit uint8

// The limits that make a connection a slow consumer.
const (
	LimitPending Limit = iota + 1
	LimitDeadline
)
