package conf

// This file prints a table for a page of the manual, in the macros of man(7).

import (
	"fmt"
	"strings"
)

// ManFlags returns the flags under one heading of the usage text.
func (tb *Table[T]) ManFlags(group string) string {
	var b strings.Builder
	for _, r := range tb.rows {
		for _, f := range r.Flags {
			if f.Group != group {
				continue
			}
			b.WriteString(".TP\n")
			for i, name := range f.Names {
				if i > 0 {
					b.WriteString(", ")
				}
				b.WriteString(`\fB` + roff(Flag{Names: []string{name}}.Name()) + `\fR`)
			}
			if f.Arg != "" {
				b.WriteString(roff(f.argSeparator() + f.Arg))
			}
			b.WriteString("\n" + roff(strings.ReplaceAll(f.Usage, "\n", " ")) + ".\n")
		}
	}
	return b.String()
}

// ManKeys returns the keys of a section of the configuration file.
func (tb *Table[T]) ManKeys(section string) string {
	var b strings.Builder
	for _, r := range tb.rows {
		if r.Key == "" || r.section() != section {
			continue
		}
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR", roff(r.name()))
		for _, a := range r.Aliases {
			fmt.Fprintf(&b, ", \\fB%s\\fR", roff(a))
		}
		fmt.Fprintf(&b, " (%s)\n%s\n", roff(r.Type.name), roffText(r.Doc))
		if r.Default != "" {
			fmt.Fprintf(&b, "The default is %s.\n", roff(r.Default))
		}
		if r.Reload == Fixed {
			b.WriteString("A change needs a restart.\n")
		}
	}
	return b.String()
}

// roff returns text so that it stands for itself.
func roff(text string) string {
	text = roffEscaper.Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

var roffEscaper = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "µ", `\(mc`, "–", `\(en`)

// roffText is roff for a text with code between backticks, which is set in bold.
func roffText(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			part = `\fB` + roff(part) + `\fR`
		} else {
			part = roff(part)
		}
		b.WriteString(part)
	}
	return b.String()
}
