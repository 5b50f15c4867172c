package conf

// This file reads the command line into a record of the flags that were given, which a program
// applies to its settings at the start and at every reload.

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// Flags are the flags that were given on a command line.
type Flags[T any] struct {
	table *Table[T]
	typed []typedFlag[T]
}

// typedFlag is one use of a flag.
type typedFlag[T any] struct {
	row  *Row[T]
	flag Flag
	text string
}

// Define adds the flags of all rows to fs and returns the record that parsing fs will fill.
func (tb *Table[T]) Define(fs *flag.FlagSet) *Flags[T] {
	f := &Flags[T]{table: tb}
	for _, r := range tb.rows {
		for _, fl := range r.Flags {
			for _, name := range slices.Concat(fl.Names, fl.Hidden) {
				fs.Var(&flagValue[T]{f, r, fl}, name, fl.Usage)
			}
		}
	}
	return f
}

// FlagHint says what may be meant by a flag that is not defined, "" if it cannot tell. name has no
// dashes.
func (tb *Table[T]) FlagHint(name string) string {
	name, _, _ = strings.Cut(name, "=")
	var names []string
	for _, r := range tb.rows {
		for _, f := range r.Flags {
			for _, n := range f.Names {
				if len(n) > 2 || len(name) < 3 && strings.EqualFold(n, name) {
					names = append(names, n)
				}
			}
		}
	}
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf("did you mean %s?", Flag{Names: []string{best}}.Name())
	}
	for _, key := range tb.names("") {
		if normalize(key) == normalize(name) {
			return key + " is set in the configuration file, not by a flag"
		}
	}
	return ""
}

// Typed returns the text of the last use of a flag, by any of its names. ok is false if it was not
// given.
func (f *Flags[T]) Typed(name string) (text string, ok bool) {
	if f == nil {
		return "", false
	}
	for _, t := range slices.Backward(f.typed) {
		if slices.Contains(t.flag.Names, name) || slices.Contains(t.flag.Hidden, name) {
			return t.text, true
		}
	}
	return "", false
}

// LastIsSensitive reports whether the flag that was given last has a value that must not be shown, or
// not as a whole. The word that follows it may belong to that value.
func (f *Flags[T]) LastIsSensitive() bool {
	if f == nil || len(f.typed) == 0 {
		return false
	}
	last := f.typed[len(f.typed)-1]
	return last.row.Secret || last.row.HoldsURL || strings.Contains(last.text, "://")
}

// Enabled reports whether the last use of a switch turned it on.
func (f *Flags[T]) Enabled(name string) bool {
	text, ok := f.Typed(name)
	on, err := ParseSwitch(text)
	return ok && err == nil && on
}

// flagValue is one name of a flag in a flag.FlagSet.
type flagValue[T any] struct {
	flags *Flags[T]
	row   *Row[T]
	flag  Flag
}

// Set records the flag, and refuses text that its type refuses early.
func (v *flagValue[T]) Set(text string) error {
	if v.row.Type.early && !v.row.HoldsURL { // package flag shows the text in the error
		var scratch T
		if err := v.row.Type.parse(text, &scratch); err != nil {
			return err
		}
	}
	v.flags.typed = append(v.flags.typed, typedFlag[T]{v.row, v.flag, text})
	return nil
}

// String returns no default: the usage text has it elsewhere.
func (v *flagValue[T]) String() string { return "" }

// IsBoolFlag reports to package flag whether the flag needs no value.
func (v *flagValue[T]) IsBoolFlag() bool { return v.row.Type.isSwitch }
