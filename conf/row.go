package conf

// This file holds what a setting is: one row, and the table of all rows.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Effect names what a reload has to do when a row changed. The names belong to
// the program; conf knows only [Fixed].
type Effect string

// Fixed marks a row that cannot change while the program runs.
const Fixed Effect = "fixed"

// Row is one setting of a program whose settings are kept in a T.
type Row[T any] struct {
	// Key is the path in the file, in lower case, as in "cluster.port". Rows that
	// exist as flags only have none.
	Key string
	// Aliases are other spellings of the last part of Key.
	Aliases []string
	Flags   []Flag
	// Default is what holds if nobody sets the row, written as in a file. Empty
	// means the zero value.
	Default string
	Type    Type[T]
	// Of says that the row is a short way to set others, by their keys. Such rows
	// are not compared and not printed.
	Of []string
	// Wrong begins the error about a value of the wrong kind, where there always
	// was a sentence for it.
	Wrong string
	// Field is the name of the T's field, for messages that always had it.
	Field  string
	Reload Effect
	// Secret keeps the value out of everything that is printed.
	Secret bool
	// Doc is one sentence on what the setting does.
	Doc string
}

// Flag is a way to set a row on the command line.
type Flag struct {
	// Names are the short and the long form, or one of them, without dashes.
	Names []string
	// Hidden are further names, which the usage text leaves out.
	Hidden []string
	// Arg stands for the value in the usage text, as in "<port>".
	Arg string
	// Group is the heading of the usage text the flag is listed under. Flags
	// without one are not listed.
	Group string
	// Usage is the description in the usage text. A line end continues it on the
	// next line.
	Usage string
	// Late flags take effect after all others, wherever they were typed.
	Late bool
}

// Name is the flag as a message shows it, with its dashes.
func (f Flag) Name() string {
	name := f.Names[len(f.Names)-1]
	if len(name) <= 2 {
		return "-" + name
	}
	return "--" + name
}

// id names a row in a table: by its key, or by its flag.
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

// Table is all the rows of a program. It does not change once it is made.
type Table[T any] struct {
	rows    []*Row[T]
	byKey   map[string]*Row[T] // every spelling of the path
	byID    map[string]*Row[T]
	foreign map[string]string
}

// NewTable makes a table of rows in the order they are documented in. A map has
// its own row of type [Section], before those in it.
//
// foreign are keys, by path, that files of related programs contain and this one
// does not know, each with a hint for whoever uses it.
//
// A table that contradicts itself is a programming error: NewTable panics.
func NewTable[T any](rows []Row[T], foreign map[string]string) *Table[T] {
	tb := &Table[T]{
		byKey: make(map[string]*Row[T]), byID: make(map[string]*Row[T]),
		foreign: foreign,
	}
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
		for _, key := range r.Of {
			if tb.byID[key] == nil {
				panic(fmt.Sprintf("conf: row %s stands for %s, which is not there", r.id(), key))
			}
		}
	}
	return tb
}

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

// names are all the spellings of keys in a section.
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

// unknown makes the report of a key that is in no row.
func (tb *Table[T]) unknown(p *Pair, path string) *Error {
	return unknownKey(p, path, tb.unknownHint(path))
}

func (tb *Table[T]) unknownHint(path string) string {
	if hint := tb.foreign[path]; hint != "" {
		return hint
	}
	i := strings.LastIndexByte(path, '.')
	section, name := path[:max(i, 0)], path[i+1:]
	if best := nearest(name, tb.names(section)); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	for _, other := range slices.Sorted(maps.Keys(tb.byKey)) {
		j := strings.LastIndexByte(other, '.')
		switch {
		case other[j+1:] != name:
		case j < 0:
			return "it belongs outside of all braces"
		default:
			return fmt.Sprintf("it belongs into %q", other[:j])
		}
	}
	return ""
}

// unknownKey is the report of a key nobody knows.
func unknownKey(p *Pair, path, hint string) *Error {
	return &Error{Pos: p.Pos, Key: path, Msg: "unknown field " + quote(p.Key), Hint: hint}
}

// nearest returns the name that s was probably meant to be, or "".
func nearest(s string, names []string) string {
	if len(s) > 64 {
		return ""
	}
	best, least := "", 1+max(1, len(s)/3)
	for _, name := range names {
		if d := distance(plain(s), plain(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// plain is a key without what people put between words.
func plain(s string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", ",", "").Replace(strings.ToLower(s))
}

// distance counts the letters to insert, delete, replace or swap to get from a
// to b.
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
