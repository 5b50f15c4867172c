package conf

// This file writes settings as a file that can be read again, without its secrets: variables stand
// for them.

import (
	"fmt"
	"slices"
	"strings"
)

// Printer is what a value is written with that has secrets in it.
type Printer struct {
	prefix    string
	key       string // of the row
	variables []string
}

// Secret returns what stands for a secret: the variable that the file has there or, if written is "",
// one whose name is made of the key and of parts, in upper case. It never is the secret.
func (p *Printer) Secret(written string, parts ...string) string {
	name, text := written, "$"+written
	if !isVariableName(written) {
		name = p.prefix + strings.ToUpper(strings.Join(append([]string{strings.ReplaceAll(p.key, ".", "_")}, parts...), "_"))
		text = `"${` + name + `}"` // of any text, also one that looks like a number
	}
	if !slices.Contains(p.variables, name) {
		p.variables = append(p.variables, name)
	}
	return text
}

// isVariableName reports whether a name is one that an environment can have, rather than, perhaps, a
// password that begins with a dollar sign.
func isVariableName(name string) bool {
	return name != "" && !isDigit(rune(name[0])) && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// Print returns the settings in force as a file that would set them, each with where it came from.
// Variables stand for secrets: those that the file has, or others whose names begin with prefix. The
// first line has their names.
func (v *Values[T]) Print(prefix string) string {
	var b strings.Builder
	p := &Printer{prefix: prefix}
	v.printSection(&b, p, "", "")
	if len(p.variables) == 0 {
		return b.String()
	}
	return "# Variables stand for secrets. To read this file set " + strings.Join(p.variables, ", ") + "\n" + b.String()
}

func (v *Values[T]) printSection(b *strings.Builder, p *Printer, section, indent string) {
	for _, r := range v.table.rows {
		if r.section() != section || r.Key == "" {
			continue
		}
		switch {
		case r.Type.isSection():
			v.printMap(b, p, r, indent)
		case r.HoldsValue():
			v.printRow(b, p, r, indent)
		}
	}
}

func (v *Values[T]) printMap(b *strings.Builder, p *Printer, r *Row[T], indent string) {
	if !r.Type.section.on(v.Target) && !v.setWithin(r) {
		fmt.Fprintf(b, "%s# %s: off\n", indent, r.name())
		return
	}
	fmt.Fprintf(b, "%s%s {\n", indent, r.name())
	v.printSection(b, p, r.Key, indent+"  ")
	fmt.Fprintf(b, "%s}\n", indent)
}

// setWithin reports whether a section that is off has a row that was set, and is written all the
// same: it has an effect, and being there does not turn the section on.
func (v *Values[T]) setWithin(section *Row[T]) bool {
	rules := section.Type.section
	return !rules.Bare && rules.Opened == nil && slices.ContainsFunc(v.table.rows, func(r *Row[T]) bool {
		return r.section() == section.Key && r.HoldsValue() && v.Origin(r.id()).Layer != FromDefault
	})
}

func (v *Values[T]) printRow(b *strings.Builder, p *Printer, r *Row[T], indent string) {
	origin := v.Origin(r.id())
	text := v.printed(p, r, origin)
	if text == "" || origin.Layer == FromDefault && text == Quote("") {
		fmt.Fprintf(b, "%s# %s: not set\n", indent, r.name())
		return
	}
	const column = 40
	first, rest, several := strings.Cut(text, "\n")
	line := indent + r.name() + ": " + first
	fmt.Fprintf(b, "%-*s # %s\n", column, line, origin)
	if several {
		fmt.Fprintf(b, "%s%s\n", indent, strings.ReplaceAll(rest, "\n", "\n"+indent))
	}
}

// printed returns the value of a row as a file has it, with variables for its secrets.
func (v *Values[T]) printed(p *Printer, r *Row[T], origin Origin) string {
	p.key = r.Key
	switch {
	case r.Secret && r.Type.zero(v.Target):
		return ""
	case r.Secret && origin.Layer == FromFile:
		return p.Secret(origin.Var)
	case r.Secret:
		return p.Secret("")
	case r.Type.print != nil:
		return r.Type.print(v.Target, p)
	}
	return r.Shown(v.Target)
}

// PrintLines returns a list of elements, one a line.
func PrintLines(elements []string) string {
	if len(elements) == 0 {
		return "[]"
	}
	var b strings.Builder
	b.WriteString("[\n")
	for _, e := range elements {
		b.WriteString("  " + strings.ReplaceAll(e, "\n", "\n  ") + "\n")
	}
	return b.String() + "]"
}
