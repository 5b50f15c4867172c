package main

import (
	"fmt"
	"regexp"
)

// scenario is one way of using a broker.
type scenario struct {
	name    string
	about   string
	heavy   bool          // takes seconds per round: fewer rounds
	prepare func() runner // builds what all rounds share
}

// scenarios is the table of everything that is measured, in the order of the report.
func scenarios() []scenario {
	return []scenario{
		{"pub/0", "publish only, 0 bytes", false, publishOnly(0)},
		{"pub/128", "publish only, 128 bytes", false, publishOnly(128)},
		{"pub/8192", "publish only, 8 KiB", false, publishOnly(8192)},
		{"1-1/16", "one publisher to one subscriber, 16 bytes", false, fanOut(1, 16)},
		{"1-1/128", "one publisher to one subscriber, 128 bytes", false, fanOut(1, 128)},
		{"1-1/1024", "one publisher to one subscriber, 1 KiB", false, fanOut(1, 1024)},
		{"1-1/65536", "one publisher to one subscriber, 64 KiB", false, fanOut(1, 65536)},
		{"1-100/128", "one publisher to 100 subscribers, 128 bytes", false, fanOut(100, 128)},
		{"1-10/16384", "one publisher to 10 subscribers, 16 KiB", false, fanOut(10, 16384)},
		{"10-10/128", "ten publishers, each to a subscriber of its own, 128 bytes", false, pairs(10, 128)},
		{"queue-8/128", "one publisher to a queue group of 8, 128 bytes", false, queueGroup(8, 128)},
		{"subjects-100k/16", "100 000 distinct subjects under four wildcards", false, distinctSubjects(100_000, 16)},
		{"subjects-2m/16", "2 000 000 distinct subjects under four wildcards", true, distinctSubjects(2_000_000, 16)},
		{"request/16", "request and reply, one at a time", false, exchange(false)},
		{"request-awake/16", "request and reply, one at a time, of clients that do not sleep", false, exchange(true)},
		{"idle-5000", "5 000 connections that do nothing", true, func() runner { return idle(5000) }},
		{"subs-500k", "500 000 literal subscriptions on ten connections", true,
			func() runner { return subscriptions(500_000, 10) }},
		{"route/128", "one publisher to one subscriber over a route, 128 bytes", false, overRoute(fanOut(1, 128))},
		{"route-100/128", "one publisher to 100 subscribers over a route, 128 bytes", false, overRoute(fanOut(100, 128))},
		{"route-queue-8/128", "one publisher to a queue group of 8 over a route, 128 bytes", false, overRoute(queueGroup(8, 128))},
		{"route-10-10/128", "ten publishers, each to a subscriber of its own, over one route, 128 bytes", false, overRoute(pairs(10, 128))},
	}
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
		return (&flow{streams: []*stream{subjectStream("bench.void", size)}}).run
	}
}

// fanOut sends to n subscribers of one subject, all under the same sid, as n copies of a program
// would be.
func fanOut(n, size int) func() runner {
	return func() runner {
		return (&flow{
			streams: []*stream{subjectStream("bench.fan", size)}, subscribers: n, setup: "SUB bench.fan 1\r\n",
		}).run
	}
}

// pairs has n publishers on n subjects, with a subscriber each.
func pairs(n, size int) func() runner {
	return func() runner {
		f := &flow{subscribers: 1, setup: "SUB bench.pair.%d 1\r\n"}
		for i := range n {
			f.streams = append(f.streams, subjectStream(fmt.Sprintf("bench.pair.%d", i), size))
		}
		return f.run
	}
}

// queueGroup sends to one queue group of n members.
func queueGroup(n, size int) func() runner {
	return func() runner {
		return (&flow{
			streams: []*stream{subjectStream("bench.work", size)}, subscribers: n, queue: true,
			setup: "SUB bench.work workers 1\r\n",
		}).run
	}
}

// distinctSubjects sends to n subjects, each at least once, and to one subscriber with four
// wildcard subscriptions.
func distinctSubjects(n, size int) func() runner {
	return func() runner {
		f := &flow{streams: []*stream{manySubjects(n, size)}, subscribers: 1, wholeLap: true}
		for _, w := range wildcards() {
			f.setup += fmt.Sprintf("SUB %s %s\r\n", w.pattern, w.sid)
		}
		return f.run
	}
}
