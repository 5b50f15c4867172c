package main

import (
	_ "embed"
	"fmt"
	"strings"
)

// reasonsFile lists mutants that no test can kill, and why. A line that begins with white space is
// the reason of the mutants above it; each of these is a line of its own. # begins a comment.
//
//go:embed reasons.txt
var reasonsFile string

// parseReasons returns the reasons by the names of mutants.
func parseReasons(text string) (map[string]string, error) {
	reasons := map[string]string{}
	var pending []string
	for n, line := range strings.Split(text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || line[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			if _, ok := reasons[trimmed]; ok {
				return nil, fmt.Errorf("reasons.txt:%d: %s is listed twice", n+1, trimmed)
			}
			pending = append(pending, trimmed)
			reasons[trimmed] = ""
		case len(pending) == 0:
			return nil, fmt.Errorf("reasons.txt:%d: a reason without a mutant", n+1)
		default:
			for _, name := range pending {
				reasons[name] = trimmed
			}
			pending = nil
		}
	}
	if len(pending) > 0 {
		return nil, fmt.Errorf("reasons.txt: no reason for %s", pending[0])
	}
	return reasons, nil
}
