package main

// targets are the parts of the broker that may not be wrong in any line.
var targets = []target{
	{"sublist", []files{{
		pkg:   "./sublist",
		tests: []tests{{"./sublist", "", needSpeed}},
	}}},
	{"access", []files{{
		pkg:   "./server/internal/access",
		tests: []tests{{"./server/internal/access", "", needSpeed}},
	}}},
	{"parser", []files{{
		pkg:      "./server",
		patterns: []string{"parser.go"},
		tests:    []tests{{"./server", parserTests, needSpeed}},
	}}},
	{"delivery", []files{{
		pkg:      "./server",
		patterns: []string{"deliver_*.go"},
		tests:    []tests{{"./server", deliveryTests, needSpeed}},
	}, {
		pkg:      "./server/internal/netio",
		patterns: []string{"backlog.go", "chunk.go", "delivery.go", "drop.go", "leftover.go", "limits.go", "readbuffer.go", "writequeue.go"},
		tests:    []tests{{"./server/internal/netio", "", needSpeed}},
	}}},
}

const (
	parserTests   = `Parse|Frame|Control|Sizes|FuzzConnectionMemory`
	deliveryTests = `Deliver`
)

func targetNames() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}
