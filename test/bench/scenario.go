package main

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"time"
)

// scenario is one way of using a broker.
type scenario struct {
	name    string
	about   string
	heavy   bool          // takes seconds per round: fewer rounds
	linux   bool          // needs what only Linux reports about sockets and processes
	launch  launch        // how the broker is started, without its path
	prepare func() runner // builds what all rounds share
}

// with is how the broker at path is started.
func (sc scenario) with(path string) launch {
	l := sc.launch
	l.path = path
	return l
}

// possible reports whether this system has what the scenario needs.
func (sc scenario) possible() bool { return !sc.linux || runtime.GOOS == "linux" }

// scenarios is the table of everything that is measured, in the order of the report.
func scenarios() []scenario {
	return slices.Concat(ordinary(), unreads(), fairness())
}

// ordinary are scenarios whose clients read while it is measured.
func ordinary() []scenario {
	secure := launch{secure: true}
	return []scenario{
		{name: "pub/0", about: "publish only, 0 bytes", prepare: publishOnly(0)},
		{name: "pub/128", about: "publish only, 128 bytes", prepare: publishOnly(128)},
		{name: "pub/8192", about: "publish only, 8 KiB", prepare: publishOnly(8192)},
		{name: "1-1/16", about: "one publisher to one subscriber, 16 bytes", prepare: fanOut(1, 16)},
		{name: "1-1/128", about: "one publisher to one subscriber, 128 bytes", prepare: fanOut(1, 128)},
		{name: "1-1/1024", about: "one publisher to one subscriber, 1 KiB", prepare: fanOut(1, 1024)},
		{name: "1-1/65536", about: "one publisher to one subscriber, 64 KiB", prepare: fanOut(1, 65536)},
		{name: "1-100/128", about: "one publisher to 100 subscribers, 128 bytes", prepare: fanOut(100, 128)},
		{name: "1-100-same/128", about: "one publisher to 100 subscribers under the same sid, 128 bytes", prepare: fanOutSame(100, 128)},
		{name: "1-50-wild/200", about: "one publisher to 50 subscribers of a wildcard, 200 bytes", prepare: fanOutWild(50, 200)},
		{name: "1-10/16384", about: "one publisher to 10 subscribers, 16 KiB", prepare: fanOut(10, 16384)},
		{name: "10-10/128", about: "ten publishers, each to a subscriber of its own, 128 bytes", prepare: pairs(10, 128)},
		{name: "queue-8/128", about: "one publisher to a queue group of 8, 128 bytes", prepare: queueGroup(8, 128)},
		{name: "subjects-100k/16", about: "100 000 distinct subjects under four wildcards", prepare: distinctSubjects(100_000, 16)},
		{name: "subjects-2m/16", about: "2 000 000 distinct subjects under four wildcards", heavy: true, prepare: distinctSubjects(2_000_000, 16)},
		{name: "request/16", about: "request and reply, one at a time", prepare: exchange(false)},
		{name: "request-awake/16", about: "request and reply, one at a time, of clients that do not sleep", prepare: exchange(true)},
		{name: "idle-5000", about: "5 000 connections that do nothing", heavy: true, prepare: func() runner { return idle(5000) }},
		{name: "subs-500k", about: "500 000 literal subscriptions on ten connections", heavy: true, prepare: func() runner { return subscriptions(500_000, 10) }},
		{name: "route/128", about: "one publisher to one subscriber over a route, 128 bytes", prepare: overRoute(fanOut(1, 128))},
		{name: "route-100/128", about: "one publisher to 100 subscribers over a route, 128 bytes", prepare: overRoute(fanOut(100, 128))},
		{name: "route-queue-8/128", about: "one publisher to a queue group of 8 over a route, 128 bytes", prepare: overRoute(queueGroup(8, 128))},
		{name: "route-10-10/128", about: "ten publishers, each to a subscriber of its own, over one route, 128 bytes", prepare: overRoute(pairs(10, 128))},
		{name: "tls-1-1/16", about: "one publisher to one subscriber over TLS, 16 bytes", launch: secure, prepare: fanOut(1, 16)},
		{name: "tls-1-1/1024", about: "one publisher to one subscriber over TLS, 1 KiB", launch: secure, prepare: fanOut(1, 1024)},
		{name: "tls-1-20/128", about: "one publisher to 20 subscribers over TLS, 128 bytes", launch: secure, prepare: fanOut(20, 128)},
		{name: "tls-1-20-same/128", about: "one publisher to 20 subscribers under the same sid over TLS, 128 bytes", launch: secure, prepare: fanOutSame(20, 128)},
		{name: "tls-idle-1000", about: "1 000 connections over TLS that do nothing", heavy: true, launch: secure, prepare: func() runner { return idle(1000) }},
	}
}

// unreads are scenarios whose subscribers cost nothing, on one core and on two.
func unreads() (all []scenario) {
	for procs := range 2 {
		for _, sc := range []scenario{
			{name: "1-1000/128", about: "one publisher to 1 000 subscribers, 128 bytes", prepare: unreadOwn("bench.fan", "bench.fan", 1000, 128)},
			{name: "1-1000-same/128", about: "one publisher to 1 000 subscribers under the same sid, 128 bytes", prepare: unreadSame(1000, 128)},
			{name: "1-1x100/128", about: "one publisher to one client with 100 subscriptions of the subject, 128 bytes", prepare: unreadOverlapping(100, 128)},
			{name: "1-50-wild/200", about: "one publisher to 50 subscribers of a wildcard, 200 bytes", prepare: unreadOwn("bench.px.eur", "bench.*.eur", 50, 200)},
			{name: "1-10/16384", about: "one publisher to 10 subscribers, 16 KiB", prepare: unreadOwn("bench.fan", "bench.fan", 10, 16384)},
			{name: "2-3-wild/300", about: "two publishers on three subjects in turn, a subscriber of wildcards for each, 300 bytes", prepare: unreadTurns(2, 300)},
			{name: "1-1/128", about: "one publisher to one subscriber, 128 bytes", prepare: unreadOwn("bench.fan", "bench.fan", 1, 128)},
			{name: "8-1/128", about: "eight publishers to one subject with one subscriber, 128 bytes", prepare: unreadMany(8, 128)},
			{name: "queue-8/128", about: "one publisher to a queue group of 8, 128 bytes", prepare: unreadGroup(8, 128)},
			{name: "1000-subjects/128", about: "one publisher on 1 000 subjects in turn, with a subscriber each, 128 bytes", prepare: unreadSpread(1000, 128)},
		} {
			sc.name = "unread-" + sc.name
			sc.about += ", none reads while it is measured"
			sc.linux = true
			all = append(all, sc.onCores(procs+1))
		}
	}
	return all
}

// fairness is what others notice of publishers at full speed, and what the broker holds for a
// subscriber that does not keep up with one.
func fairness() []scenario {
	all := []scenario{
		{name: "load-1-paced-100/16", about: "100 publishers of ten messages a second each, beside one at full speed",
			prepare: beside(onePublisher, pacedPublishers(100, time.Second/10))},
		{name: "churn-4/128", about: "one publisher to one subscriber, 128 bytes, beside four clients that subscribe to wildcards and unsubscribe all the time",
			prepare: besideChurn(4, fanOut(1, 128))},
		{name: "churn-1-request-1m/16", about: "request and reply of clients that do not sleep, among 1 000 000 subscriptions, beside a client that subscribes to wildcards and unsubscribes all the time, so that much is collected",
			heavy: true, prepare: besideChurn(1, amongSubscriptions(1_000_000, exchange(true)))},
		{name: "churn-1-request/16", about: "the same without other subscriptions", heavy: true, prepare: besideChurn(1, exchange(true))},
		{name: "events-1000/128", about: "one publisher to one subscriber, 128 bytes, beside 1 000 clients that connect and leave every second: what is left while an operator listens to events",
			heavy: true, launch: withEvents, prepare: besideEvents(1000, 40, onePublisher)},
		{name: "backlog/16", about: "memory for each byte that waits for a subscriber that does not read, 16 bytes",
			linux: true, launch: patient, prepare: backlog(64<<20, 16)},
	}
	for procs := range 2 {
		for _, sc := range []scenario{
			{name: "load-1-request/16", about: "request and reply beside a publisher that never pauses", prepare: beside(emptyMessages(1), exchange(false))},
			{name: "load-4-request/16", about: "request and reply beside four publishers that never pause", prepare: beside(emptyMessages(4), exchange(false))},
			{name: "load-32-request/16", about: "request and reply beside 32 publishers that never pause", prepare: beside(emptyMessages(32), exchange(false))},
		} {
			all = append(all, sc.onCores(procs+1))
		}
	}
	return all
}

// onCores sets GOMAXPROCS of the broker, and appends it to the name, as Go's benchmarks do.
func (sc scenario) onCores(n int) scenario {
	sc.name = fmt.Sprintf("%s-%d", sc.name, n)
	sc.about += fmt.Sprintf(", GOMAXPROCS=%d", n)
	sc.launch.procs = n
	return sc
}

// selectScenarios keeps those whose name matches.
func selectScenarios(all []scenario, pattern *regexp.Regexp) []scenario {
	var out []scenario
	for _, sc := range all {
		if pattern.MatchString(sc.name) {
			out = append(out, sc)
		}
	}
	return out
}

// publishOnly sends to a subject without subscriptions.
func publishOnly(size int) func() runner {
	return func() runner {
		return newFlow(source{stream: subjectStream("bench.void", size)}).run
	}
}

// fanOut sends to n subscribers of one subject, each under a sid of its own.
func fanOut(n, size int) func() runner {
	return func() runner {
		return newFlow(ownSids("bench.fan", "SUB bench.fan %s\r\n", n, size, ownLap(n))).run
	}
}

// fanOutSame sends to n subscribers of one subject, all under the same sid.
func fanOutSame(n, size int) func() runner {
	return func() runner {
		return newFlow(sameSid("bench.fan", "SUB bench.fan %s\r\n", n, size, lapBytes)).run
	}
}

// fanOutWild sends to n subscribers of one wildcard, each under a sid of its own.
func fanOutWild(n, size int) func() runner {
	return func() runner {
		return newFlow(ownSids("bench.px.eur", "SUB bench.*.eur %s\r\n", n, size, ownLap(n))).run
	}
}

// pairs has n publishers on n subjects, with a subscriber each.
func pairs(n, size int) func() runner {
	return func() runner {
		sources := make([]source, n)
		for i := range n {
			subject := fmt.Sprintf("bench.pair.%d", i)
			sources[i] = ownSids(subject, "SUB "+subject+" %s\r\n", 1, size, lapBytes)
		}
		return newFlow(sources...).run
	}
}

// queueGroup sends to one queue group of n members.
func queueGroup(n, size int) func() runner {
	return func() runner {
		f := newFlow(ownSids("bench.work", "SUB bench.work workers %s\r\n", n, size, lapBytes))
		f.queue = true
		return f.run
	}
}

// distinctSubjects sends to n subjects, each at least once, and to one subscriber with four
// wildcard subscriptions.
func distinctSubjects(n, size int) func() runner {
	return func() runner {
		sub := subscriber{owed: manySubjects(n, size)}
		for _, w := range wildcards() {
			sub.setup += fmt.Sprintf("SUB %s %s\r\n", w.pattern, w.sid)
		}
		f := newFlow(source{sub.owed, []subscriber{sub}})
		f.wholeLap = true
		return f.run
	}
}

// unreadOwn sends to n subscribers of a pattern, each under a sid of its own, that do not read
// while it is measured.
func unreadOwn(subject, pattern string, n, size int) func() runner {
	return func() runner {
		return unreadSource(ownSids(subject, "SUB "+pattern+" %s\r\n", n, size, ownLap(n)), false).run
	}
}

// unreadSame sends to n subscribers of one subject, all under the same sid.
func unreadSame(n, size int) func() runner {
	return func() runner {
		return unreadSource(sameSid("bench.fan", "SUB bench.fan %s\r\n", n, size, ownLap(n)), false).run
	}
}

// unreadOverlapping sends to one subscriber with n subscriptions of the subject.
func unreadOverlapping(n, size int) func() runner {
	return func() runner {
		u := unreadSource(ownSids("bench.fan", "SUB bench.fan %s\r\n", n, size, ownLap(n)), false)
		one := &u.subscribers[0]
		for _, s := range u.subscribers[1:] {
			one.setup += s.setup
			one.owed = append(one.owed, s.owed...)
		}
		u.subscribers = u.subscribers[:1]
		return u.run
	}
}

// unreadGroup sends to one queue group of n members.
func unreadGroup(n, size int) func() runner {
	return func() runner {
		return unreadSource(ownSids("bench.work", "SUB bench.work workers %s\r\n", n, size, lapBytes), true).run
	}
}

// unreadMany has publishers that all send to one subject, with one subscriber.
func unreadMany(publishers, size int) func() runner {
	return func() runner {
		u := &unread{subscribers: []unreadSubscriber{{setup: "SUB bench.one 1\r\n"}}}
		for p := range publishers {
			published, owed := &stream{}, &stream{}
			n := lapMessages(size, ownLapBytes)
			for i := range n {
				payload := appendPayload(nil, p*n+i, size)
				published.add([]byte("bench.one"), "1", payload)
				owed.add([]byte("bench.one"), "1", payload)
			}
			u.publishers = append(u.publishers, published)
			u.subscribers[0].owed = append(u.subscribers[0].owed, owed)
		}
		return u.run
	}
}

// unreadSpread sends on n subjects in turn, with a subscriber each.
func unreadSpread(n, size int) func() runner {
	return func() runner {
		published := &stream{}
		u := &unread{subscribers: make([]unreadSubscriber, n), publishers: []*stream{published}}
		for i := range n * max(1, lapMessages(size, lapBytes)/n) {
			to := &u.subscribers[i%n]
			subject, payload := []byte("bench.spread."+sid(i%n)), appendPayload(nil, i, size)
			if i < n {
				to.setup = fmt.Sprintf("SUB %s %s\r\n", subject, sid(i))
				to.owed = []*stream{{}}
			}
			published.add(subject, sid(i%n), payload)
			to.owed[0].add(subject, sid(i%n), payload)
		}
		return u.run
	}
}

// unreadTurns has publishers that send on three subjects in turn, and a subscriber of wildcards for
// each of the three.
func unreadTurns(publishers, size int) func() runner {
	return func() runner {
		kinds := []string{"eur", "usd", "gbp"}
		u := &unread{subscribers: make([]unreadSubscriber, len(kinds))}
		for k, kind := range kinds {
			u.subscribers[k].setup = fmt.Sprintf("SUB bench.*.%s %s\r\n", kind, sid(k))
		}
		for p := range publishers {
			u.publishers = append(u.publishers, &stream{})
			for k := range kinds {
				u.subscribers[k].owed = append(u.subscribers[k].owed, &stream{})
			}
			for i := range lapMessages(size, ownLapBytes) / len(kinds) * len(kinds) {
				k := i % len(kinds)
				subject, payload := fmt.Sprintf("bench.%d.%s", p, kinds[k]), appendPayload(nil, i, size)
				u.publishers[p].add([]byte(subject), sid(k), payload)
				u.subscribers[k].owed[p].add([]byte(subject), sid(k), payload)
			}
		}
		return u.run
	}
}
