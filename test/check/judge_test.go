package check

import (
	"slices"
	"strings"
	"testing"
)

// Short forms of events.

func joined(client, server int) Event { return Event{Kind: Joined, Client: client, Server: server} }

func ruled(client, server int, rules Rules) Event {
	return Event{Kind: Joined, Client: client, Server: server, Rules: &rules}
}

func sub(client int, sid, pattern string) Event {
	return Event{Kind: Subscribed, Client: client, Sid: sid, Pattern: pattern}
}

func member(client int, sid, pattern string) Event {
	return Event{Kind: Subscribed, Client: client, Sid: sid, Pattern: pattern, Queue: "q"}
}

func unsub(client int, sid string) Event {
	return Event{Kind: Unsubscribed, Client: client, Sid: sid}
}

func limit(client int, sid string, most int) Event {
	return Event{Kind: Limited, Client: client, Sid: sid, Max: most}
}

func pub(client, n int, subject string) Event {
	return Event{Kind: Published, Client: client, N: n, Subject: subject}
}

func got(client int, sid string, from, n int, subject string) Event {
	return Event{Kind: Received, Client: client, Sid: sid, Message: ID{from, n}, Subject: subject}
}

func of(kind Kind, client int) Event { return Event{Kind: kind, Client: client} }

func parted(a, b int) Event { return Event{Kind: Parted, Server: a, Peer: b} }

func stopped(server int) Event { return Event{Kind: Stopped, Server: server} }

func settled(servers ...int) Event { return Event{Kind: Settled, Servers: servers} }

var quiet = Event{Kind: Quiet}

// fence is a PING with its PONG.
func fence(client int) []Event { return []Event{of(Pinged, client), of(Ponged, client)} }

// story joins events and slices of them.
func story(parts ...any) (all []Event) {
	for _, p := range parts {
		switch p := p.(type) {
		case Event:
			all = append(all, p)
		case []Event:
			all = append(all, p...)
		}
	}
	return all
}

// TestJudge has small stories. A fault is planted in each that names an oracle; each has a
// neighbour without one.
func TestJudge(t *testing.T) {
	t.Parallel()
	two := story(joined(1, 0), joined(2, 0), sub(2, "1", "a.*"), fence(2)) // a subscriber and a publisher at one server
	apart := story(joined(1, 0), joined(2, 1), sub(2, "1", "a.*"), fence(2), settled(0, 1))
	three := story(joined(1, 0), joined(2, 0), joined(3, 1), member(2, "1", "a.*"), member(3, "1", "a.*"), fence(2), fence(3), settled(0, 1))
	silent := story(Event{Kind: Joined, Client: 1, NoEcho: true}, joined(3, 1), member(1, "1", "a.*"), member(3, "1", "a.*"), fence(1), fence(3), settled(0, 1))
	request := Event{Kind: Published, Client: 2, N: 1, Subject: "a.ask", Reply: "inbox"}
	answer := Event{Kind: Published, Client: 1, N: 1, Subject: "inbox", Answers: ID{2, 1}}
	asked := Event{Kind: Received, Client: 1, Sid: "1", Message: ID{2, 1}, Subject: "a.ask", Reply: "inbox"}
	for _, test := range []struct {
		name   string
		events []Event
		want   string // oracles; "" for none
	}{
		{"all is well", story(two, pub(1, 1, "a.x"), pub(1, 2, "b"), fence(1), got(2, "1", 1, 1, "a.x"), quiet), ""},
		{"a message is lost", story(two, pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"one of many is lost", story(two, pub(1, 1, "a.x"), pub(1, 2, "a.x"), fence(1), got(2, "1", 1, 2, "a.x"), quiet), "lost"},
		{"it may still be on its way", story(two, pub(1, 1, "a.x"), fence(1)), ""},
		{"it is not known to be published", story(two, pub(1, 1, "a.x"), quiet), ""},
		{"the subscriber left", story(two, pub(1, 1, "a.x"), fence(1), of(Left, 2), quiet), ""},
		{"it was subscribed later", story(joined(1, 0), joined(2, 0), sub(2, "1", "a.*"), pub(1, 1, "a.x"), fence(2), fence(1), quiet), ""},
		{"it unsubscribed before", story(two, pub(1, 1, "a.x"), unsub(2, "1"), fence(1), quiet), ""},
		{"it unsubscribed after the publisher's fence", story(two, pub(1, 1, "a.x"), fence(1), unsub(2, "1"), quiet), "lost"},
		{"the subscriber was disconnected without a line in the log", story(two, pub(1, 1, "a.x"), fence(1), of(Dropped, 2), quiet), "cause"},
		{"the log says why", story(two, pub(1, 1, "a.x"), fence(1), of(Dropped, 2), of(Explained, 2), quiet), ""},
		{"the server ended", story(two, pub(1, 1, "a.x"), fence(1), stopped(0), of(Dropped, 2), quiet), ""},

		{"lost between servers", story(apart, pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"they were not complete", story(joined(1, 0), joined(2, 1), sub(2, "1", "a.*"), fence(2), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"others were complete", story(joined(1, 0), joined(2, 1), sub(2, "1", "a.*"), fence(2), settled(0, 2), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"their route ended, and the log says so", story(apart, pub(1, 1, "a.x"), fence(1), parted(1, 0), quiet), ""},
		{"their route ended before", story(apart, parted(0, 1), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"it ended and they are complete again", story(apart, parted(0, 1), settled(0, 1), pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"another route ended", story(apart, pub(1, 1, "a.x"), fence(1), parted(1, 2), quiet), "lost"},
		{"the route ended long after", story(apart, pub(1, 1, "a.x"), fence(1), quiet, parted(0, 1), quiet), "lost"},
		{"a server ended", story(apart, pub(1, 1, "a.x"), fence(1), stopped(1), quiet), ""},

		{"the order of a publisher", story(two, pub(1, 1, "a.x"), pub(1, 2, "a.y"), fence(1), got(2, "1", 1, 2, "a.y"), got(2, "1", 1, 1, "a.x"), quiet), "order"},
		{"publishers have no order among them", story(two, joined(3, 0), pub(1, 1, "a.x"), pub(3, 1, "a.y"), got(2, "1", 3, 1, "a.y"), got(2, "1", 1, 1, "a.x")), ""},
		{"a duplicate", story(two, pub(1, 1, "a.x"), got(2, "1", 1, 1, "a.x"), got(2, "1", 1, 1, "a.x")), "once"},

		{"a queue group", story(three, pub(1, 1, "a.x"), fence(1), got(3, "1", 1, 1, "a.x"), quiet), ""},
		{"two members", story(three, pub(1, 1, "a.x"), fence(1), got(3, "1", 1, 1, "a.x"), got(2, "1", 1, 1, "a.x"), quiet), "once"},
		{"no member", story(three, pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"no member, and one unsubscribed", story(three, pub(1, 1, "a.x"), unsub(3, "1"), fence(1), quiet), "lost"},
		{"no member, and both unsubscribed while it was on its way", story(three, pub(1, 1, "a.x"), fence(1), unsub(2, "1"), unsub(3, "1"), quiet), ""},
		{"no member, and one left", story(three, pub(1, 1, "a.x"), of(Left, 3), fence(1), quiet), ""},
		{"no member, and one left long before", story(three, of(Left, 3), quiet, pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"no member, and a route ended", story(three, pub(1, 1, "a.x"), parted(0, 1), fence(1), quiet), ""},
		{"no member, and the server of one that left has no route to the other", story(three, joined(4, 2), member(4, "1", "a.*"), fence(4), settled(0, 1, 2), of(Left, 4), parted(2, 1),
			unsub(2, "1"), quiet, pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"no member, and the server of one that left has routes", story(three, joined(4, 2), member(4, "1", "a.*"), fence(4), settled(0, 1, 2), of(Left, 4),
			unsub(2, "1"), quiet, pub(1, 1, "a.x"), fence(1), quiet), "lost"},
		{"a member out of order", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x")), "order"},
		{"redelivered out of order", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), of(Left, 3), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x")), ""},

		{"redelivered before the member knows that it was disconnected", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			of(Dropped, 3), of(Explained, 3)), ""},
		{"out of order before a PONG to the member that is disconnected later", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			fence(3), of(Dropped, 3), of(Explained, 3)), "order"},
		{"redelivered before the member leaves, which does not know that it was disconnected", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			of(Left, 3), of(Explained, 3)), ""},
		{"out of order before a member leaves that was not disconnected", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			of(Left, 3)), "order"},
		{"out of order before a PONG to the member that is disconnected later and leaves", story(three, pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			fence(3), of(Left, 3), of(Explained, 3)), "order"},
		{"out of order before a client leaves that was disconnected and is no member", story(three, joined(4, 0), sub(4, "1", "a.*"), pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 2, "a.x"), got(2, "1", 1, 1, "a.x"),
			of(Left, 4), of(Explained, 4)), "order"},

		{"not published", story(two, got(2, "1", 1, 1, "a.x")), "nothing"},
		{"of another subject", story(two, pub(1, 1, "b"), got(2, "1", 1, 1, "b")), "nothing"},
		{"under another subject", story(two, pub(1, 1, "b"), got(2, "1", 1, 1, "a.x")), "nothing"},
		{"no such sid", story(two, pub(1, 1, "a.x"), got(2, "9", 1, 1, "a.x")), "nothing"},
		{"garbled", story(two, Event{Kind: Garbled, Client: 2, Text: "x"}), "nothing"},
		{"of another account", story(joined(1, 0), Event{Kind: Joined, Client: 2, Account: "s"}, sub(2, "1", "a"), pub(1, 1, "a"), got(2, "1", 1, 1, "a")), "nothing"},
		{"an echo", story(Event{Kind: Joined, Client: 1, NoEcho: true}, sub(1, "1", "a"), pub(1, 1, "a"), got(1, "1", 1, 1, "a")), "nothing"},
		{"an echo from a member that leaves and does not know that it was disconnected", story(silent, pub(1, 1, "a.x"), got(1, "1", 1, 1, "a.x"), of(Left, 3), of(Explained, 3)), ""},
		{"an echo before a member leaves that was not disconnected", story(silent, pub(1, 1, "a.x"), got(1, "1", 1, 1, "a.x"), of(Left, 3)), "nothing"},
		{"no echo", story(Event{Kind: Joined, Client: 1, NoEcho: true}, sub(1, "1", "a"), fence(1), pub(1, 1, "a"), fence(1), quiet), ""},
		{"an echo is lost", story(joined(1, 0), sub(1, "1", "a"), fence(1), pub(1, 1, "a"), fence(1), quiet), "lost"},

		{"it may not receive it", story(joined(1, 0), ruled(2, 0, Rules{Subscribe: Subjects{Deny: []string{"a.x"}}}), sub(2, "1", "a.*"), pub(1, 1, "a.x"), got(2, "1", 1, 1, "a.x")), "permission"},
		{"and does not", story(joined(1, 0), ruled(2, 0, Rules{Subscribe: Subjects{Deny: []string{"a.x"}}}), sub(2, "1", "a.*"), fence(2), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"nor what it may not subscribe to", story(joined(1, 0), ruled(2, 0, Rules{Subscribe: Subjects{Allow: []string{"a.x"}}}), sub(2, "1", "a.*"), fence(2), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"what it may receive is lost", story(joined(1, 0), ruled(2, 0, Rules{Subscribe: Subjects{Deny: []string{"a.x"}}}), sub(2, "1", "a.*"), fence(2), pub(1, 1, "a.y"), fence(1), quiet), "lost"},
		{"it may not be published", story(ruled(1, 0, Rules{Publish: Subjects{Allow: []string{"b"}}}), joined(2, 0), sub(2, "1", "a.*"), pub(1, 1, "a.x"), got(2, "1", 1, 1, "a.x")), "permission"},
		{"and is not", story(ruled(1, 0, Rules{Publish: Subjects{Allow: []string{"b"}}}), joined(2, 0), sub(2, "1", "a.*"), fence(2), pub(1, 1, "a.x"), fence(1), quiet), ""},
		{"it was permitted when it was published", story(two, pub(1, 1, "a.x"), Event{Kind: Changing, Client: 2, Rules: &Rules{Subscribe: Subjects{Allow: []string{"b"}}}}, of(Changed, 2), got(2, "1", 1, 1, "a.x")), ""},
		{"it was not permitted any more", story(two, Event{Kind: Changing, Client: 2, Rules: &Rules{Subscribe: Subjects{Allow: []string{"b"}}}}, of(Changed, 2), pub(1, 1, "a.x"), got(2, "1", 1, 1, "a.x")), "permission"},

		{"after the PONG that follows UNSUB", story(two, unsub(2, "1"), pub(1, 1, "a.x"), fence(2), got(2, "1", 1, 1, "a.x")), "ended"},
		{"before it", story(two, unsub(2, "1"), pub(1, 1, "a.x"), got(2, "1", 1, 1, "a.x"), fence(2)), ""},
		{"more than the maximum", story(two, limit(2, "1", 1), fence(2), pub(1, 1, "a.x"), pub(1, 2, "a.x"), got(2, "1", 1, 1, "a.x"), got(2, "1", 1, 2, "a.x")), "limit"},
		{"as many as the maximum", story(two, limit(2, "1", 1), fence(2), pub(1, 1, "a.x"), pub(1, 2, "a.x"), fence(1), got(2, "1", 1, 1, "a.x"), quiet), ""},
		{"fewer than the maximum", story(two, limit(2, "1", 2), fence(2), pub(1, 1, "a.x"), pub(1, 2, "a.x"), fence(1), got(2, "1", 1, 1, "a.x"), quiet), "lost"},
		{"more before the maximum was known", story(two, pub(1, 1, "a.x"), pub(1, 2, "a.x"), limit(2, "1", 1), got(2, "1", 1, 1, "a.x"), got(2, "1", 1, 2, "a.x"), fence(2)), ""},

		{"an answer is lost", story(joined(1, 0), joined(2, 1), sub(1, "1", "a.*"), fence(1), settled(0, 1), sub(2, "1", "inbox"), request, fence(2), asked, answer, fence(1), quiet), "lost"},
		{"an answer is lost with the route", story(joined(1, 0), joined(2, 1), sub(1, "1", "a.*"), fence(1), settled(0, 1), sub(2, "1", "inbox"), request, fence(2), asked, parted(0, 1), answer, fence(1), quiet), ""},
		{"an answer is lost where the route had ended before", story(joined(1, 0), joined(2, 1), sub(1, "1", "a.*"), fence(1), settled(0, 1), parted(0, 1), sub(2, "1", "inbox"), request, fence(2), asked, answer, fence(1), quiet), ""},
		{"an answer to a request that a third server gave to a member", story(joined(1, 0), joined(2, 1), member(1, "1", "a.*"), fence(1), settled(0, 1), sub(2, "1", "inbox"), request, fence(2), asked, answer, fence(1), quiet), ""},
		{"an answer that only the request permits", story(ruled(1, 0, Rules{Publish: Subjects{Allow: []string{"b"}}, Responses: true}), joined(2, 0), sub(1, "1", "a.*"), sub(2, "1", "inbox"), request, asked, answer, fence(1), got(2, "1", 1, 1, "inbox"), quiet), ""},
		{"an answer that nothing permits", story(ruled(1, 0, Rules{Publish: Subjects{Allow: []string{"b"}}}), joined(2, 0), sub(1, "1", "a.*"), sub(2, "1", "inbox"), request, asked, answer, fence(1), got(2, "1", 1, 1, "inbox"), quiet), "permission"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var oracles []string
			for _, f := range Judge(test.events).Faults {
				oracles = append(oracles, string(f.Oracle))
			}
			if got := strings.Join(slices.Compact(oracles), " "); got != test.want {
				t.Errorf("got %q, want %q: %v", got, test.want, Judge(test.events).Faults)
			}
		})
	}
}

// TestJudgeCounts looks whether what had to arrive is counted, and what was lost for a cause.
func TestJudgeCounts(t *testing.T) {
	t.Parallel()
	apart := story(joined(1, 0), joined(2, 1), sub(2, "1", "a.*"), member(2, "2", "a.*"), fence(2), settled(0, 1), pub(1, 1, "a.x"), fence(1), got(2, "1", 1, 1, "a.x"), got(2, "2", 1, 1, "a.x"), quiet)
	if r := Judge(apart); len(r.Faults) != 0 || r.Due != 2 || r.Lost != 0 {
		t.Errorf("got %+v, want two that had to arrive", r)
	}
	lost := story(apart, pub(1, 2, "a.x"), fence(1), parted(0, 1), quiet)
	if r := Judge(lost); len(r.Faults) != 0 || r.Due != 2 || r.Lost != 2 {
		t.Errorf("got %+v, want two more that were lost with the route", r)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a.b", false}, {"a.b", "a", false},
		{"*", "a", true}, {"*", "a.b", false}, {"a.*", "a.b", true}, {"a.*", "a", false},
		{">", "a.b.c", true}, {"a.>", "a.b", true}, {"a.>", "a", false}, {"*.b.>", "a.b.c.d", true},
		{"a.*", "a.>", false}, {"a.>", "a.*", true}, {"a.x", "a.*", false}, // patterns as subjects: all that they match
	} {
		if got := Matches(test.pattern, test.subject); got != test.want {
			t.Errorf("%s matches %s: got %v, want %v", test.pattern, test.subject, got, test.want)
		}
	}
}
