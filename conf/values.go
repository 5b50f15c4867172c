package conf

// This file fills a T by applying layers (a file, then flags, then defaults for the rest),
// remembers where each value came from, and compares.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Layer is the kind of place a value came from.
type Layer uint8

// The layers. Each overrides those before it.
const (
	FromDefault Layer = iota
	FromFile
	FromFlag
)

// Origin is where a value came from, in detail.
type Origin struct {
	Layer Layer
	Pos   Pos    // in the file
	Var   string // the variable the file had there
	Flag  string // with its dashes
}

// String is the origin as in "default", "x.conf:3:1" or "flag --port".
func (o Origin) String() string {
	switch o.Layer {
	case FromFile:
		if o.Var != "" {
			return fmt.Sprintf("%s from $%s", o.Pos, o.Var)
		}
		return o.Pos.String()
	case FromFlag:
		return "flag " + o.Flag
	}
	return "default"
}

// Values is a T being filled.
type Values[T any] struct {
	Report
	Target *T

	table   *Table[T]
	matched map[string]bool   // files that a pattern named: each has settings of its own
	origins map[string]Origin // by row
}

// Fill starts to fill t. Values that t has already count as defaults.
func (tb *Table[T]) Fill(t *T) *Values[T] {
	return &Values[T]{Target: t, table: tb, origins: make(map[string]Origin)}
}

// Origin returns where the value of a row came from, by its key.
func (v *Values[T]) Origin(key string) Origin {
	return v.origins[key]
}

// SetOrigin records where the value of a row came from, if it did not come as its own file or flag says.
func (v *Values[T]) SetOrigin(key string, o Origin) { v.origins[key] = o }

// setOrigin records where the value of a row came from, and that of the rows it expands to.
func (v *Values[T]) setOrigin(r *Row[T], o Origin) {
	v.origins[r.id()] = o
	for _, key := range r.Expands {
		v.origins[key] = o
	}
}

// ApplyFile sets the values that a file has. What is wrong goes to the report.
func (v *Values[T]) ApplyFile(root *Node) {
	if root != nil {
		for _, w := range root.Warnings {
			v.fileWarning(w)
		}
		v.matched = root.Matched
		v.pairs(root, "", nil)
	}
}

// fileWarning takes over a warning of the parser. A key that restricts access and has no value, at the
// end of a file that was cut off perhaps, is an error. One that is not known is not shown: it may be all
// that a file with a secret has.
func (v *Values[T]) fileWarning(w *Error) {
	if !w.valueless {
		v.Warnings = append(v.Warnings, w)
		return
	}
	key := strings.ToLower(w.Key)
	_, refused := v.table.unknownHint(&Pair{Key: lastPart(key), Value: &Node{}}, key, true)
	r := v.table.byKey[key]
	switch {
	case r != nil && r.Restricts || r == nil && refused:
		v.Errors.add(&Error{Pos: w.Pos, Key: w.Key, Msg: "it has no value: it restricts access, and would have no effect"})
	case r != nil:
		v.Unknown.add(w)
	default:
		hidden := *w
		hidden.Pos.src, hidden.Key = nil, strings.TrimSuffix(w.Key[:len(w.Key)-len(lastPart(w.Key))], ".")
		hidden.Msg = "a key without a value is unknown, and not shown: it may be a secret"
		v.Unknown.add(&hidden)
	}
}

// pairs sets the values of a map. path is that of the map, followed by a dot.
func (v *Values[T]) pairs(m *Node, path string, section *SectionType[T]) {
	counts := v.table.counting(m, path)
	for _, p := range m.Pairs {
		if _, r := v.table.find(path, p); r != nil && counts[r] != p {
			v.replaced(r, p, counts[r])
		}
	}
	for p := range m.Effective() {
		key, r := v.table.find(path, p)
		switch {
		case r != nil && counts[r] != p:
		case r != nil:
			v.pair(r, p)
		case p.Used || v.Errors.full():
		default:
			v.unknown(p, key, section)
		}
	}
}

// unknown reports a key that is in no row: as an error if it must not be ignored.
func (v *Values[T]) unknown(p *Pair, key string, section *SectionType[T]) {
	hint, refused := v.table.unknownHint(p, key, !v.Unknown.full())
	e := unknownKey(p, key, hint)
	_, foreign := v.table.foreign[key]
	if section != nil && section.Strict != nil && (refused || !foreign) {
		e.Msg, refused = section.Strict(p.Key), true
	}
	v.addUnknown(e, refused)
}

func (v *Values[T]) pair(r *Row[T], p *Pair) {
	c := &Check{report: &v.Report, path: r.Key, secret: r.Secret, url: r.HoldsURL, typeError: r.TypeError, foreign: v.table.foreign}
	if i := strings.LastIndexByte(r.Key, '.'); !strings.EqualFold(r.name(), p.Key) {
		c.path = r.Key[:i+1] + strings.ToLower(p.Key) // as the file spells it
	}
	v.setOrigin(r, Origin{Layer: FromFile, Pos: p.Pos, Var: p.Value.Var})
	if !r.Type.isSection() {
		before := len(v.Errors)
		r.Type.read(c, p.Value, v.Target)
		if len(v.Errors) == before && r.isDefault(v.Target) {
			c.Warnf(p.Value.Pos, "%s means the default, %s", p.Value.written(), r.Default)
		}
		return
	}
	if p.Value.Kind != Map {
		v.notASection(c, r, p.Value)
		return
	}
	if r.Type.section.Opened != nil {
		r.Type.section.Opened(v.Target)
	}
	v.pairs(p.Value, r.Key+".", r.Type.section)
}

// notASection reports a value in the place of a map, which may be one of the secrets that belong in it.
func (v *Values[T]) notASection(c *Check, r *Row[T], n *Node) {
	secret := v.table.secretIn(r)
	if secret == nil {
		c.Want(n, "a map")
		return
	}
	at := n.Pos
	at.src = nil
	c.ErrorHint(at, fmt.Errorf("want a map, have %s", c.Secret().Have(n)), fmt.Sprintf("write %s { %s: ... }", r.name(), secret.name()))
}

// isDefault reports whether the value of t in a row stands for a default that is another one.
func (r *Row[T]) isDefault(t *T) bool {
	return r.Default != "" && r.Expands == nil && !r.Type.isSwitch && r.Type.zero(t)
}

// ApplyFlags sets the values of the flags that were given, the late ones last. Text that could be
// checked while the flags were read was: errors are about the rest.
func (v *Values[T]) ApplyFlags(f *Flags[T]) error {
	if f == nil {
		return nil
	}
	for _, late := range []bool{false, true} {
		for _, t := range f.typed {
			if t.flag.Late != late {
				continue
			}
			if err := t.row.Type.parse(t.text, v.Target); err != nil {
				if t.row.HoldsURL && strings.Contains(t.text, ",") && !strings.Contains(err.Error(), "@") && beginsURL(t.text) {
					err = errCutURL
				}
				return fmt.Errorf("%s: %w", t.flag.Name(), err)
			}
			v.setOrigin(t.row, Origin{Layer: FromFlag, Flag: t.flag.Name()})
		}
	}
	return nil
}

// Defaults gives rows of t that are zero their default, but not those of sections that are not in
// force. Switches keep what they have: off is a value.
func (tb *Table[T]) Defaults(t *T) {
	for _, r := range tb.rows {
		if r.Default == "" || r.Type.isSwitch || r.Expands != nil || !r.Type.zero(t) || !tb.takesDefault(r, t) {
			continue
		}
		var report Report
		r.Type.read(&Check{report: &report, path: r.Key}, tb.defaults()[r], t)
		if err := report.Err(); err != nil {
			panic(fmt.Sprintf("conf: default of %s: %v", r.id(), err)) // the table's test finds it
		}
	}
}

// readDefaults reads the texts of all defaults.
func (tb *Table[T]) readDefaults() map[*Row[T]]*Node {
	nodes := map[*Row[T]]*Node{}
	for _, r := range tb.rows {
		if r.Default == "" {
			continue
		}
		n, err := literal(r.Default)
		if err != nil {
			panic(fmt.Sprintf("conf: default of %s: %v", r.id(), err)) // the table's test finds it
		}
		nodes[r] = n
	}
	return nodes
}

// takesDefault reports whether no section around a row is bare and off.
func (tb *Table[T]) takesDefault(r *Row[T], t *T) bool {
	for s := r.section(); s != ""; s = tb.byID[s].section() {
		if rules := tb.byID[s].Type.section; rules.Bare && !rules.on(t) {
			return false
		}
	}
	return true
}

// Merge copies the rows of src that are not zero to dst.
func (tb *Table[T]) Merge(dst, src *T) {
	for _, r := range tb.rows {
		if r.HoldsValue() && !r.Type.zero(src) {
			r.Type.copy(dst, src)
		}
	}
}

// Copy copies every row of src to dst.
func (tb *Table[T]) Copy(dst, src *T) {
	for _, r := range tb.rows {
		if r.HoldsValue() {
			r.Type.copy(dst, src)
		}
	}
}

// CopyRows copies the given rows of src to dst.
func (tb *Table[T]) CopyRows(rows []*Row[T], dst, src *T) {
	for _, r := range rows {
		r.Type.copy(dst, src)
	}
}

// Set returns the rows of t that are not zero.
func (tb *Table[T]) Set(t *T) (rows []*Row[T]) {
	for _, r := range tb.rows {
		if r.HoldsValue() && !r.Type.zero(t) {
			rows = append(rows, r)
		}
	}
	return rows
}

// HoldsValue reports whether the row has a value, other than a section, a command, or a row that
// expands to others.
func (r *Row[T]) HoldsValue() bool { return r.Type.copy != nil && r.Expands == nil }

// Change is a row whose value differs between two Ts. Old and New are as in a file, secrets
// redacted.
type Change[T any] struct {
	Row      *Row[T]
	Old, New string
}

// Check returns an error for the first of the rows whose value in t cannot be in a file: a program has set it.
// Words are brought into their usual form. Zero values are not looked at.
func (tb *Table[T]) Check(rows []*Row[T], t *T) error {
	for _, r := range rows {
		if r.Type.isSection() || r.Type.zero(t) {
			continue
		}
		text := r.Type.text(t, true)
		n, err := literal(text)
		if err != nil {
			continue // it is not written in a file
		}
		var report Report
		read := new(T)
		r.Type.read(&Check{report: &report, secret: r.Secret, url: r.HoldsURL}, n, read)
		if len(report.Errors) > 0 {
			return &Error{Key: cmp.Or(r.Field, r.id()), Msg: report.Errors[0].Msg}
		}
		if r.Type.text(read, true) != text {
			r.Type.copy(t, read)
		}
	}
	return nil
}

// Compare returns the rows whose values differ, in the order of the table.
func (tb *Table[T]) Compare(older, newer *T) []Change[T] {
	var out []Change[T]
	for _, r := range tb.rows {
		if r.HoldsValue() && r.Type.text(older, true) != r.Type.text(newer, true) {
			out = append(out, Change[T]{r, r.Shown(older), r.Shown(newer)})
		}
	}
	return out
}

// Plain is the value of the row as package fmt prints it, secrets redacted.
func (r *Row[T]) Plain(t *T) string {
	if r.Secret || r.Type.plain == nil {
		return r.Shown(t)
	}
	text := r.Type.plain(t)
	switch {
	case !r.HoldsURL:
		return text
	case strings.HasPrefix(text, "["): // a list of URLs that parse
		return RedactURLs(text)
	}
	return RedactURLText(text)
}

// Text is the value of the row as in a file, secrets included.
func (r *Row[T]) Text(t *T) string { return r.Type.text(t, true) }

// Shown is the value of the row as in a file, secrets redacted.
func (r *Row[T]) Shown(t *T) string {
	if r.Secret && !r.Type.zero(t) {
		return Quote(Redacted)
	}
	text := r.Type.text(t, false)
	if r.HoldsURL && strings.HasPrefix(text, `"`) { // a list hides its parts itself
		return RedactURLText(text)
	}
	return text
}

// Sections returns the paths of the sections in the order of the table. The first is that of the
// top level, which is empty.
func (tb *Table[T]) Sections() []string {
	out := []string{""}
	for _, r := range tb.rows {
		if r.Type.isSection() && !slices.Contains(out, r.Key) {
			out = append(out, r.Key)
		}
	}
	return out
}
