package conf

// This file holds the table of settings, one row each.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Effect names what a reload has to do when a row has changed. The program defines them, but for
// [Fixed].
type Effect string

// Fixed marks a row that cannot change while the program runs.
const Fixed Effect = "fixed"

// Row is one setting of a program that keeps its settings in a T.
type Row[T any] struct {
	// Key is the path in the file, in lower case, as in "cluster.port". Rows that are flags
	// only have none.
	Key string
	// Aliases are other spellings of the last part of Key.
	Aliases []string
	Flags   []Flag
	// Default is the value of a row that is not set, written as in a file. Empty means the zero
	// value.
	Default string
	Type    Type[T]
	// Expands are the keys of the rows that this row sets, if it is a shorthand for them. Such
	// rows are not compared and not printed.
	Expands []string
	// TypeError begins the error about a value of the wrong type, for rows that have a text of
	// their own in 1.x.
	TypeError string
	// Field is the name of the T's field, for messages that have it in 1.x.
	Field  string
	Reload Effect
	// Secret keeps the value out of everything that is shown.
	Secret bool
	// HoldsURL marks a row whose value is a URL, or might be taken for one: what precedes an
	// '@' is not shown.
	HoldsURL bool
	// Restricts marks a row that says who may connect or what they may do. Without effect it
	// would leave open what it should close, so these are errors, not warnings: a key that is
	// not known and was probably meant to be this one, one without a value, and a value that
	// is replaced.
	Restricts bool
	// Overridable marks a row that restricts and may be replaced all the same, by a later value
	// or by the default: where to listen, for instance.
	Overridable bool
	// Instead are the rows of the same section that restrict as this one does: in an included
	// file, one of them may take its place.
	Instead []string
	// Doc describes the setting in one sentence.
	Doc string
}

// Flag is a flag of the command line that sets a row.
type Flag struct {
	// Names are the short and the long form, or one of them, without dashes.
	Names []string
	// Hidden are further names, which are not in the usage text.
	Hidden []string
	// Arg is the value in the usage text, as in "<port>".
	Arg string
	// Group is the heading of the usage text that the flag is listed under. Flags without one
	// are not listed.
	Group string
	// Usage is the description in the usage text. It may have several lines.
	Usage string
	// Late flags are applied after all others, wherever they are on the command line.
	Late bool
}

// Name returns the flag as a message shows it, with its dashes.
func (f Flag) Name() string {
	name := f.Names[len(f.Names)-1]
	if len(name) <= 2 {
		return "-" + name
	}
	return "--" + name
}

// id identifies a row in a table: its key, or its flag.
func (r *Row[T]) id() string {
	if r.Key == "" && len(r.Flags) > 0 {
		return r.Flags[0].Name()
	}
	return r.Key
}

// section is the part of the key before the last dot.
func (r *Row[T]) section() string {
	i := strings.LastIndexByte(r.Key, '.')
	return r.Key[:max(i, 0)]
}

// name is the part of the key behind the last dot.
func (r *Row[T]) name() string {
	return r.Key[strings.LastIndexByte(r.Key, '.')+1:]
}

// Table is all the rows of a program. It is immutable.
type Table[T any] struct {
	rows    []*Row[T]
	byKey   map[string]*Row[T] // by every spelling of the path
	byID    map[string]*Row[T]
	foreign foreignKeys

	defaults func() map[*Row[T]]*Node // of the rows that have one, read when they are first used
}

// Foreign is a key that files of related programs have and this one does not.
type Foreign struct {
	// Hint is about the key, for the error or the warning.
	Hint string
	// Restricts marks a key that restricts access there. Here it would have no effect, and so
	// is an error, unless its value is false.
	Restricts bool
}

// foreignKeys are such keys by their paths.
type foreignKeys map[string]Foreign

// find returns what is known about a key that is in no row: that it is of a related program, or a
// mistake in the language itself, because of which part of the file does not count.
func (f foreignKeys) find(p *Pair, path string) (hint string, refused, ok bool) {
	if known, ok := f[path]; ok {
		return known.Hint, known.Restricts && !isFalse(p.Value), true
	}
	name := lastPart(path)
	switch before, _, brace := strings.Cut(name, "{"); {
	case name == "include":
		return `write include "file", without a separator`, true, true
	case brace && before != "":
		return "write a blank before the brace", true, true
	}
	return "", false, false
}

// isFalse reports whether a value turns its key off.
func isFalse(n *Node) bool { return n.Kind == Boolean && !n.Bool }

// NewTable makes a table of rows, in the order in which they are documented. A map is a row of type
// [Section], before the rows in it.
//
// foreign are keys by their paths, of rows of custom types too.
//
// NewTable panics if the table contradicts itself.
func NewTable[T any](rows []Row[T], foreign map[string]Foreign) *Table[T] {
	tb := &Table[T]{
		byKey: make(map[string]*Row[T]), byID: make(map[string]*Row[T]),
		foreign: foreign,
	}
	tb.defaults = sync.OnceValue(tb.readDefaults)
	for i := range rows {
		r := &rows[i]
		tb.rows = append(tb.rows, r)
		tb.addID(r)
		if r.Secret && r.Type.early {
			panic("conf: an error about a flag may show the secret of " + r.id())
		}
		if r.Key == "" {
			continue
		}
		prefix := r.Key[:len(r.Key)-len(r.name())]
		for _, name := range append([]string{r.name()}, r.Aliases...) {
			if tb.byKey[prefix+name] != nil {
				panic("conf: two rows for key " + prefix + name)
			}
			if r.Secret && !isSecretKey(name) {
				panic("conf: nothing in the key of a secret says so: " + prefix + name)
			}
			tb.byKey[prefix+name] = r
		}
		for _, name := range r.Instead {
			if !slices.ContainsFunc(rows, func(o Row[T]) bool { return o.Key == prefix+name && o.Restricts }) {
				panic("conf: no row that restricts for what may stand instead of " + r.Key + ": " + name)
			}
		}
		if s := r.section(); s != "" && (tb.byKey[s] == nil || !tb.byKey[s].Type.isSection()) {
			panic("conf: no section for key " + r.Key)
		}
	}
	for key := range foreign {
		if tb.byKey[key] != nil {
			panic("conf: a foreign key that is known: " + key)
		}
	}
	for _, r := range rows {
		for _, key := range r.Expands {
			if tb.byID[key] == nil {
				panic(fmt.Sprintf("conf: row %s expands to %s, which is not there", r.id(), key))
			}
		}
	}
	return tb
}

// addID indexes a row by its id.
func (tb *Table[T]) addID(r *Row[T]) {
	if r.id() == "" || tb.byID[r.id()] != nil {
		panic("conf: two rows, or none, called " + r.id())
	}
	tb.byID[r.id()] = r
}

// Rows returns the rows in their order. They must not be changed.
func (tb *Table[T]) Rows() []*Row[T] {
	return slices.Clone(tb.rows)
}

// names are all spellings of the keys in a section.
func (tb *Table[T]) names(section string) []string {
	var out []string
	for path, r := range tb.byKey {
		if r.section() == section {
			out = append(out, path[strings.LastIndexByte(path, '.')+1:])
		}
	}
	slices.Sort(out)
	return out
}

// secretIn returns the last secret row of a section that can be set, nil if there is none.
func (tb *Table[T]) secretIn(section *Row[T]) (secret *Row[T]) {
	if !section.Type.isSection() {
		return nil
	}
	for _, r := range tb.rows {
		if r.Secret && r.Type.name != "none" && r.section() == section.Key {
			secret = r
		}
	}
	return secret
}

// find returns the key of a pair in the map at path, which ends with a dot or is empty, and the row of
// the key, nil if there is none. A key with a dot in it is no path.
func (tb *Table[T]) find(path string, p *Pair) (key string, r *Row[T]) {
	key = path + strings.ToLower(p.Key)
	if !strings.Contains(p.Key, ".") {
		r = tb.byKey[key]
	}
	return key, r
}

// unknownHint says what may be meant by a key that is in no row, and whether it must not be
// ignored, because that restricts access. Without search it does not look for similar keys, which
// takes long if there are many unknown ones.
func (tb *Table[T]) unknownHint(p *Pair, path string, search bool) (hint string, refused bool) {
	name := strings.ToLower(p.Key)
	prefix := path[:len(path)-len(name)]
	section := strings.TrimSuffix(prefix, ".")
	if hint, refused, ok := tb.foreign.find(p, path); ok {
		return hint, refused
	}
	if !search {
		return "", false
	}
	if r := tb.byKey[path]; r != nil { // it is written with a dot
		return fmt.Sprintf("it belongs in %q", r.section()), r.Restricts
	}
	if best := nearest(name, tb.names(section)); best != "" {
		return fmt.Sprintf("did you mean %q?", best), tb.byKey[prefix+best].Restricts
	}
	switch r := tb.elsewhere(section, name); {
	case r == nil:
		return "", false
	case r.section() == "":
		return "it belongs outside of all braces", r.Restricts
	default:
		return fmt.Sprintf("it belongs in %q", r.section()), r.Restricts
	}
}

// elsewhere returns the row with this name in another section, nil if there is none. A section
// within this one comes first, then the outermost.
func (tb *Table[T]) elsewhere(section, name string) *Row[T] {
	distance := func(path string) int {
		n := strings.Count(path, ".")
		if section != "" && strings.HasPrefix(path, section+".") {
			n -= maxDepth
		}
		return n
	}
	best := ""
	for _, path := range slices.Sorted(maps.Keys(tb.byKey)) {
		if lastPart(path) == name && (best == "" || distance(path) < distance(best)) {
			best = path
		}
	}
	return tb.byKey[best]
}

// unknownKey is the error about a key that nothing uses. Its value is shown only if the key is like one
// that is known: the file may be one of passwords.
func unknownKey(p *Pair, path, hint string) *Error {
	e := &Error{Pos: p.Pos, Key: path, Msg: "unknown field " + quote(p.Key), Hint: hint}
	if hint == "" && p.Value.Kind != Map && p.Value.Kind != Array {
		e.Pos.src = nil
	}
	return e
}

// nearest returns the name that s is probably a misspelling of, or "".
func nearest(s string, names []string) string {
	if len(s) > 64 {
		return ""
	}
	best, least := "", 1+max(1, len(s)/3)
	for _, name := range names {
		d := distance(normalize(s), normalize(name))
		if len(s) >= minPrefix && strings.HasPrefix(normalize(name), normalize(s)) {
			d = min(d, 1) // abbreviated
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// minPrefix is how long the beginning of a key is at least that stands for it.
const minPrefix = 6

// normalize is a key without its case, and without what may separate its words.
func normalize(s string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", ",", "").Replace(strings.ToLower(s))
}

// distance is the Damerau–Levenshtein distance of a and b (optimal string alignment): how many
// letters to insert, delete, replace or swap.
func distance(a, b string) int {
	prev2, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}
