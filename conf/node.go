package conf

// This file holds the tree that a configuration file is read into.

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// Kind is the type of a value in the file.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Integer
	Float
	Boolean
	Time
	Array
	Map
)

var kindNames = [...]string{"string", "integer", "float", "boolean", "time", "array", "map"}

// String names the kind as error messages do.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// article is a noun with the article before it.
func article(noun string) string {
	if strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}

// Node is one value of a file. Only the field that belongs to its Kind is set.
type Node struct {
	Kind Kind
	Pos  Pos
	// Raw is a number, boolean or bare string as the file has it, with suffixes and escapes;
	// empty for quoted strings and for containers.
	Raw string

	Str   string
	Int   int64
	Float float64
	Bool  bool
	Time  time.Time
	Elems []*Node
	// Pairs are all pairs of a map in the order of the file, duplicates included; see
	// [Node.Effective].
	Pairs []*Pair

	// Broken reports that a value in it, or it itself, could not be read, which has been
	// reported: what is missing in it is no further mistake.
	Broken bool

	// Partial reports that a file that is included in it could not be read.
	Partial bool

	// Warnings are about the whole configuration, and Matched are the files in it that an include
	// with a pattern named. Only the outermost map has them.
	Warnings Errors
	Matched  map[string]bool

	// Var is the variable that this value was reached through, without the dollar sign; empty
	// if the file has the value here.
	Var string

	index   map[string]*Pair // last pair of each spelling
	folded  map[string]*Pair // last pair of each spelling in lower case
	missing bool             // there is a value, but it could not be read
	weight  int              // nodes and string bytes below, expanded
	height  int              // levels of containers below, itself included
}

// Pair is a key with its value in a map.
type Pair struct {
	Key   string
	Pos   Pos // of the key
	Value *Node
	// Used reports that a variable referred to this pair: it is a definition, and not
	// necessarily a setting.
	Used bool
}

// Lookup returns the last pair with exactly this key, or nil.
func (n *Node) Lookup(key string) *Pair {
	return n.index[key]
}

// Effective yields the pairs that count, in the order of the file: of several with the same
// spelling only the last.
func (n *Node) Effective() iter.Seq[*Pair] {
	return func(yield func(*Pair) bool) {
		for _, p := range n.Pairs {
			if n.index[p.Key] == p && !yield(p) {
				return
			}
		}
	}
}

// describe describes a value for an error message: its kind and, for scalars, its text, shortened
// if it is long.
func (n *Node) describe() string {
	switch n.Kind {
	case Array, Map:
		return n.Kind.String()
	case String:
		return fmt.Sprintf("string %s", quote(n.Str))
	case Time:
		return "time " + n.Time.Format(time.RFC3339)
	}
	return n.Kind.String() + " " + shorten(n.Raw)
}

// written is a scalar as the file has it.
func (n *Node) written() string {
	if n.Raw == "" {
		return quote(n.Str)
	}
	return shorten(n.Raw)
}

// set adds a pair to a map. For all but Pairs it replaces an earlier one of the same spelling.
func (n *Node) set(p *Pair) {
	if n.index == nil {
		n.index = make(map[string]*Pair)
		n.folded = make(map[string]*Pair)
	}
	if p.Value.missing {
		n.Broken = true
		return
	}
	if old := n.index[p.Key]; old != nil && old.Used {
		p.Used = true // redefined after use: still a variable
	}
	n.Pairs = append(n.Pairs, p)
	n.index[p.Key] = p
	n.folded[strings.ToLower(p.Key)] = p
	n.grow(p.Value)
}

// grow adds a child to the measures that bound expansion.
func (n *Node) grow(child *Node) {
	n.Broken = n.Broken || child.Broken
	n.Partial = n.Partial || child.Partial
	n.weight += child.weight
	n.height = max(n.height, child.height+1)
}

// referenced is n with the position and the name of a variable that refers to it. What is below is
// shared, not copied.
func (n *Node) referenced(name string, at Pos) *Node {
	c := *n
	c.Var = name
	c.Pos = at
	return &c
}

// newContainer is an empty map or array.
func newContainer(k Kind, at Pos) *Node {
	return &Node{Kind: k, Pos: at, weight: 1, height: 1}
}

// newMissing stands for a value that could not be read.
func newMissing(at Pos) *Node { return &Node{Pos: at, Broken: true, missing: true} }

// newString is a string; raw is the text of the file if it was not in quotes.
func newString(s, raw string, at Pos) *Node {
	return &Node{Kind: String, Pos: at, Str: s, Raw: raw, weight: 1 + len(s)}
}
