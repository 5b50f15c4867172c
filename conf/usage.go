package conf

// This file prints a table: the usage text, the table of options in the documentation, and the
// settings in force.

import (
	"fmt"
	"slices"
	"strings"
)

// usageColumn is where descriptions start in the usage text, counted from 0.
const usageColumn = 37

// UsageGroup returns the lines of the usage text under one heading.
func (tb *Table[T]) UsageGroup(group string) string {
	var b strings.Builder
	for _, r := range tb.rows {
		for _, f := range r.Flags {
			if f.Group == group {
				b.WriteString(f.usageLine())
			}
		}
	}
	return b.String()
}

// usageLine is the line of a flag with its line end.
func (f Flag) usageLine() string {
	names := "-" + f.Names[0]
	switch {
	case len(f.Names) == 2 && len(f.Names[0]) == 2: // -ms,--https_port has no room for a space
		names += ",--" + f.Names[1]
	case len(f.Names) == 2:
		names += ", --" + f.Names[1]
	case len(f.Names[0]) > 2:
		names = "    --" + f.Names[0]
	}
	if f.Arg != "" {
		names += f.argSeparator() + f.Arg
	}
	names = "    " + names
	if len(names) >= usageColumn {
		names += " "
	}
	indent := strings.Repeat(" ", usageColumn)
	usage := strings.ReplaceAll(f.Usage, "\n", "\n"+indent)
	return fmt.Sprintf("%-*s%s\n", usageColumn, names, usage)
}

func (f Flag) argSeparator() string {
	if strings.HasPrefix(f.Arg, "[") || strings.HasPrefix(f.Arg, "=") {
		return ""
	}
	return " "
}

// Markdown returns the table of the keys of a section, for the documentation.
func (tb *Table[T]) Markdown(section string) string {
	var b strings.Builder
	b.WriteString("| Key | Flags | Type | Default | Reload | Meaning |\n|---|---|---|---|---|---|\n")
	for _, r := range tb.rows {
		if r.section() != section || r.Key == "" && (section != "" || r.Type.name == "command") {
			continue
		}
		keys := "`" + r.name() + "`"
		if r.Key == "" {
			keys = ""
		}
		for _, a := range r.Aliases {
			keys += ", `" + a + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n",
			keys, r.flagNames(), r.Type.name, code(r.Default), r.reloadWord(), strings.ReplaceAll(r.Doc, "|", `\|`))
	}
	return b.String()
}

func (r *Row[T]) flagNames() string {
	var names []string
	for _, f := range r.Flags {
		for _, n := range slices.Concat(f.Names, f.Hidden) {
			names = append(names, code(Flag{Names: []string{n}}.Name()))
		}
	}
	return strings.Join(names, ", ")
}

func (r *Row[T]) reloadWord() string {
	switch r.Reload {
	case "":
		return ""
	case Fixed:
		return "no"
	}
	return "yes"
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// Print returns the settings in force as a file that would set them, each with where it came from.
// Secrets are redacted.
func (v *Values[T]) Print() string {
	var b strings.Builder
	v.printSection(&b, "", "")
	return b.String()
}

func (v *Values[T]) printSection(b *strings.Builder, section, indent string) {
	for _, r := range v.table.rows {
		if r.section() != section || r.Key == "" {
			continue
		}
		switch {
		case r.Type.isSection():
			v.printMap(b, r, indent)
		case r.HoldsValue():
			v.printRow(b, r, indent)
		}
	}
}

func (v *Values[T]) printMap(b *strings.Builder, r *Row[T], indent string) {
	if !r.Type.section.on(v.Target) {
		fmt.Fprintf(b, "%s# %s: off\n", indent, r.name())
		return
	}
	fmt.Fprintf(b, "%s%s {\n", indent, r.name())
	v.printSection(b, r.Key, indent+"  ")
	fmt.Fprintf(b, "%s}\n", indent)
}

func (v *Values[T]) printRow(b *strings.Builder, r *Row[T], indent string) {
	origin := v.Origin(r.id())
	text := r.Shown(v.Target)
	if text == "" || origin.Layer == FromDefault && text == Quote("") {
		fmt.Fprintf(b, "%s# %s: not set\n", indent, r.name())
		return
	}
	const column = 40
	line := indent + r.name() + ": " + text
	fmt.Fprintf(b, "%-*s # %s\n", column, line, origin)
}
