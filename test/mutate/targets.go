package main

// targets are the parts of the broker that may not be wrong in any line.
var targets = []target{
	{"sublist", []files{{
		pkg:   "./sublist",
		tests: []tests{{"./sublist", nil, needSpeed}},
	}}},
	{"access", []files{{
		pkg:   "./server/internal/access",
		tests: []tests{{"./server/internal/access", nil, needSpeed}},
	}}},
	{"parser", []files{{
		pkg:      "./server",
		patterns: []string{"parser.go"},
		tests:    []tests{{"./server", []string{"parser_test.go", "deliver_batch_test.go", "deliver_repeat_test.go"}, needSpeed}},
	}}},
	{"delivery", []files{{
		pkg:      "./server",
		patterns: []string{"deliver_*.go"},
		tests: []tests{
			{"./server", []string{"deliver_*_test.go", "delivery_test.go", "headers_test.go"}, needSpeed},
			{"./server", []string{"slow_*_test.go", "route_leftover_test.go", "monitor_subjectz_test.go", "system_account_test.go", "client_permissions_test.go"}, needSpeed},
			{"./server", []string{"route_pool_test.go"}, needSpeed},
		},
	}, {
		pkg: "./server/internal/netio",
		patterns: []string{"backlog.go", "chunk.go", "delivery.go", "drop.go", "leftover.go", "limits.go", "parts.go",
			"readbuffer.go", "room.go", "stats.go", "turns.go", "writequeue.go", "writer.go"},
		tests: []tests{{"./server/internal/netio", nil, needSpeed}},
	}, {
		pkg: "./server/internal/grace",
		tests: []tests{
			{"./server/internal/grace", nil, needSpeed},
			{"./server", []string{"deliver_*_test.go"}, needSpeed},
		},
	}}},
}

func targetNames() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}
