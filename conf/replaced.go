package conf

// This file judges settings that are replaced: a key given again, in any of its spellings, in one file
// or by one that is included. The last one counts. That is a mistake if the earlier one restricts
// access and would have no effect.

import (
	"fmt"
	"slices"
	"strings"
)

// counting returns the pair that counts for each row that a map has: the last one, rather of another
// spelling than the definition of a variable.
func (tb *Table[T]) counting(m *Node, path string) map[*Row[T]]*Pair {
	counts := map[*Row[T]]*Pair{}
	for p := range m.Effective() {
		_, r := tb.find(path, p)
		if r != nil && (counts[r] == nil || r.isDefinition(counts[r]) || !r.isDefinition(p)) {
			counts[r] = p
		}
	}
	return counts
}

// isDefinition reports whether a pair with the key of the row may be there as a variable only. A
// block in lower case is a setting.
func (r *Row[T]) isDefinition(p *Pair) bool {
	return p.Used && !(r.Type.isSection() && p.Key == strings.ToLower(p.Key))
}

// replaced reports what is wrong with p, whose row has another pair that counts. A file may be
// included to be overridden, without a warning; of those that one pattern names, none is meant to be.
func (v *Values[T]) replaced(r *Row[T], p, by *Pair) {
	if r.isDefinition(p) {
		return
	}
	oneFile := p.Pos.File == by.Pos.File || v.matched[p.Pos.File] && v.matched[by.Pos.File]
	switch same := p.Pos.String() == by.Pos.String(); {
	case oneFile && same:
		v.Warnings.add(&Error{Pos: p.Pos, Key: r.Key, Msg: "it is given twice, because its file is included twice"})
		return
	case oneFile && r.Type.isSection() && r.Restricts:
		v.Errors.add(&Error{Pos: p.Pos, Key: r.Key, Msg: "it is given twice, and would have no effect here", Hint: "the other is at " + by.Pos.String()})
		return
	case by.Value.Broken || by.Value.Partial: // it may have what seems to be lost
		return
	}
	if key, lost := v.table.lost(r, p, by, oneFile); lost != nil {
		v.Errors.add(&Error{Pos: lost.Pos, Key: key, Msg: "it restricts access, and would have no effect here",
			Hint: fmt.Sprintf("%s is given again at %s", r.Key, by.Pos)})
		return
	}
	if oneFile {
		v.Warnings.add(&Error{Pos: p.Pos, Key: r.Key, Msg: "it is given twice: " + by.Pos.String() + " counts, this has no effect"})
	}
}

// lost returns the first setting in p that restricts access and has no effect if the pair by takes
// its place, with its key; nil if there is none. by is nil if nothing does.
func (tb *Table[T]) lost(r *Row[T], p, by *Pair, oneFile bool) (key string, lost *Pair) {
	switch {
	case !r.Type.isSection():
		if r.Restricts && !r.Overridable && restricts(p.Value) && !(by != nil && continues(p.Value, by.Value, oneFile)) {
			return r.Key, p
		}
		return "", nil
	case by == nil && r.Restricts && r.Type.section.Opened != nil: // it is on by being there
		return r.Key, p
	}
	old, now := tb.counting(p.Value, r.Key+"."), map[*Row[T]]*Pair{}
	if by != nil {
		now = tb.counting(by.Value, r.Key+".")
	}
	for _, q := range p.Value.Pairs {
		_, inner := tb.find(r.Key+".", q)
		if inner == nil || old[inner] != q || inner.isDefinition(q) || !oneFile && inner.hasInstead(now) {
			continue
		}
		if key, lost := tb.lost(inner, q, now[inner], oneFile); lost != nil {
			return key, lost
		}
	}
	return "", nil
}

// hasInstead reports whether another row of the section, whose pairs are now, restricts as r does.
func (r *Row[T]) hasInstead(now map[*Row[T]]*Pair) bool {
	for other, p := range now {
		if slices.Contains(r.Instead, other.name()) && restricts(p.Value) {
			return true
		}
	}
	return false
}

// restricts reports whether the value of a row that restricts access does so. An empty list does: that
// of the users admits none.
func restricts(n *Node) bool {
	switch n.Kind {
	case String:
		return n.Str != ""
	case Boolean:
		return n.Bool
	case Integer:
		return n.Int > 0
	case Map:
		return len(n.Pairs) > 0
	}
	return true
}

// continues reports whether a restriction stays if the value now takes the place of old: it is the
// same, or restricts as well. Of lists and maps in one file neither is meant to have no effect.
func continues(old, now *Node, oneFile bool) bool {
	container := func(n *Node) bool { return n.Kind == Map || n.Kind == Array }
	if oneFile && (container(old) || container(now)) {
		return equal(old, now)
	}
	return restricts(now) || equal(old, now)
}

// equal reports whether two values are the same.
func equal(a, b *Node) bool {
	pairs := func(p, q *Pair) bool { return strings.EqualFold(p.Key, q.Key) && equal(p.Value, q.Value) }
	return a.Kind == b.Kind && a.Str == b.Str && a.Int == b.Int && a.Float == b.Float && a.Bool == b.Bool && a.Time.Equal(b.Time) &&
		slices.EqualFunc(a.Elems, b.Elems, equal) && slices.EqualFunc(a.Pairs, b.Pairs, pairs)
}
