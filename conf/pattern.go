package conf

import (
	"regexp"
	"sync"
)

// pattern returns a regular expression that is compiled when it is first used: most starts of the
// program use none of them, and together they would take longer than all else before main.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
