package main

import (
	"slices"
	"strings"
)

// edits are insertions into a source, and replacements in it. Insertions are pairs around nodes,
// noted from the outside in, so that each pair encloses those of what is in the node.
type edits struct {
	opened, closed map[int][]string
	replaced       map[int]replacement
}

// replacement is what stands in place of some bytes.
type replacement struct {
	length int
	text   string
}

func newEdits() edits {
	return edits{map[int][]string{}, map[int][]string{}, map[int]replacement{}}
}

// open inserts before a node.
func (e *edits) open(offset int, text string) { e.opened[offset] = append(e.opened[offset], text) }

// close inserts behind a node.
func (e *edits) close(offset int, text string) { e.closed[offset] = append(e.closed[offset], text) }

// replace replaces bytes that no node begins or ends in.
func (e *edits) replace(offset, length int, text string) {
	e.replaced[offset] = replacement{length, text}
}

// apply returns src with all edits.
func (e *edits) apply(src []byte) []byte {
	var out strings.Builder
	for i := 0; i <= len(src); i++ {
		for _, text := range slices.Backward(e.closed[i]) {
			out.WriteString(text)
		}
		for _, text := range e.opened[i] {
			out.WriteString(text)
		}
		if r, ok := e.replaced[i]; ok {
			out.WriteString(r.text)
			i += r.length - 1
		} else if i < len(src) {
			out.WriteByte(src[i])
		}
	}
	return []byte(out.String())
}
