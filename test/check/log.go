// Package check decides whether a broker, or a cluster of them, delivered what it must and nothing
// else. A [Log] records what clients did and received, and what happened to servers and routes;
// [Judge] is a pure function of it. Clients (see [Log.Join]) number what they publish, so every
// message that arrives names the publication that it comes from.
//
// The rules are written down as simply as they can be, and share no code with the broker.
package check

import (
	"fmt"
	"strings"
	"sync"
)

// Kind says what an [Event] is.
type Kind uint8

// The kinds, with the fields of Event that each uses besides Client.
const (
	Joined       Kind = iota // Server, Account, Rules, NoEcho: a client is logged in
	Subscribed               // Sid, Pattern, Queue: SUB is sent; a sid is used once
	Limited                  // Sid, Max: UNSUB with a maximum is sent
	Unsubscribed             // Sid: UNSUB is sent
	Pinged                   // PING is sent
	Ponged                   // the PONG of the first PING without one has arrived
	Published                // N, Subject, Reply, Answers: PUB is sent; N counts up
	Received                 // Sid, Message, Subject, Reply: a message has arrived
	Garbled                  // Text: what arrived is no message that was published
	Left                     // the client is about to end its connection
	Dropped                  // the connection has ended, and the client did not end it
	Explained                // Text: the log of the server says why it disconnected the client
	Changing                 // Rules: the permissions are about to be changed
	Changed                  // they are
	Settled                  // Servers: their routes are complete, and they know all interest of each other
	Parted                   // Server, Peer, Text: the log says that a route between them has ended
	Stopped                  // Server, Text: a server has begun to end
	Quiet                    // what was published before has arrived, or never will
)

var kindNames = [...]string{"joined", "subscribed", "limited", "unsubscribed", "pinged", "ponged", "published", "received", "garbled",
	"left", "dropped", "explained", "changing", "changed", "settled", "parted", "stopped", "quiet"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// ID is the identity of a publication.
type ID struct {
	Client int // that published it; from 1
	N      int // of its publications; from 1
}

// Event is one thing that happened. What a client does is recorded before it is sent, what it
// receives when it has arrived.
type Event struct {
	Kind    Kind
	Client  int // from 1; 0 where none is concerned
	Server  int
	Peer    int
	Servers []int

	Account string
	Rules   *Rules // nil = everything is permitted
	NoEcho  bool

	Sid, Pattern, Queue string
	Max                 int

	N              int
	Message        ID
	Answers        ID // the request that a publication answers; zero for none
	Subject, Reply string
	Text           string
}

// String returns the event as a line of a report.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Kind)
	if e.Client != 0 {
		fmt.Fprintf(&b, " client=%d", e.Client)
	}
	switch e.Kind {
	case Joined:
		fmt.Fprintf(&b, " server=%d account=%q noecho=%v rules=%v", e.Server, e.Account, e.NoEcho, e.Rules)
	case Changing:
		fmt.Fprintf(&b, " rules=%v", e.Rules)
	case Subscribed:
		fmt.Fprintf(&b, " sid=%s %s %s", e.Sid, e.Pattern, e.Queue)
	case Limited:
		fmt.Fprintf(&b, " sid=%s max=%d", e.Sid, e.Max)
	case Unsubscribed:
		fmt.Fprintf(&b, " sid=%s", e.Sid)
	case Published:
		fmt.Fprintf(&b, " n=%d %s %s", e.N, e.Subject, e.Reply)
	case Received:
		fmt.Fprintf(&b, " sid=%s message=%d/%d %s %s", e.Sid, e.Message.Client, e.Message.N, e.Subject, e.Reply)
	case Settled:
		fmt.Fprintf(&b, " servers=%v", e.Servers)
	case Parted:
		fmt.Fprintf(&b, " server=%d peer=%d", e.Server, e.Peer)
	case Stopped:
		fmt.Fprintf(&b, " server=%d", e.Server)
	}
	if e.Text != "" {
		fmt.Fprintf(&b, " %q", e.Text)
	}
	return b.String()
}

// Log is what happened, in order. Any goroutine may add to it.
type Log struct {
	mu      sync.Mutex // guards what follows
	events  []Event
	clients int // that have a number
}

// Add records an event.
func (l *Log) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// Events returns what has been recorded.
func (l *Log) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)]
}

// number returns the number of another client.
func (l *Log) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients++
	return l.clients
}
