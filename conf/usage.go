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
