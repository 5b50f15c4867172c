package access

import (
	"fmt"
	"strings"
)

// Limits bound what all connections of a user together may take of the server. Zero and negative
// numbers are no limits. Limits do not change.
type Limits struct {
	MaxConnections    int
	MaxSubscriptions  int
	MaxPayload        int   // bytes
	MaxMsgsPerSecond  int64 // published
	MaxBytesPerSecond int64 // of payloads published
	SlowConsumer      SlowConsumer
}

// SlowConsumer is what happens to a connection that does not read fast enough.
type SlowConsumer uint8

// The connection is disconnected, or loses the messages that come when its queue is full, or those
// that have been in the queue for longest.
const (
	Disconnect SlowConsumer = iota
	DropNew
	DropOld
)

// some returns l, nil if it limits nothing.
func (l *Limits) some() *Limits {
	if l == nil || l.MaxConnections <= 0 && l.MaxSubscriptions <= 0 && l.MaxPayload <= 0 && !l.Rates() && l.SlowConsumer == Disconnect {
		return nil
	}
	return l
}

// String returns the limits that there are, by their keys in a configuration file.
func (l *Limits) String() string {
	var parts []string
	for _, n := range []struct {
		key  string
		most int64
	}{
		{"max_connections", int64(l.MaxConnections)}, {"max_subscriptions", int64(l.MaxSubscriptions)}, {"max_payload", int64(l.MaxPayload)},
		{"max_msgs_per_second", l.MaxMsgsPerSecond}, {"max_bytes_per_second", l.MaxBytesPerSecond},
	} {
		if n.most > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", n.key, n.most))
		}
	}
	if l.SlowConsumer != Disconnect {
		parts = append(parts, "slow_consumer "+l.SlowConsumer.String())
	}
	return strings.Join(parts, ", ")
}

// slowConsumerWords are the names of the policies in a configuration file.
var slowConsumerWords = [...]string{Disconnect: "disconnect", DropNew: "drop_new", DropOld: "drop_old"}

// String returns the name of the policy in a configuration file.
func (s SlowConsumer) String() string { return slowConsumerWords[s] }

// ParseSlowConsumer returns the policy with a name, in any case. It reports false if there is none.
func ParseSlowConsumer(name string) (SlowConsumer, bool) {
	for s, word := range slowConsumerWords {
		if strings.EqualFold(name, word) {
			return SlowConsumer(s), true
		}
	}
	return Disconnect, false
}

// Rates reports whether a rate of publications is limited.
func (l *Limits) Rates() bool { return l.MaxMsgsPerSecond > 0 || l.MaxBytesPerSecond > 0 }
