package conf

// This file holds the types of settings: how a value is read from a file and from the command line,
// what its bounds are, and how it is written.

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a row: how a value gets into a T and out of it. [Int], [Text] and the other
// functions of this package make one.
type Type[T any] struct {
	// name is the type in the documentation.
	name string
	// read sets the value from a file and reports to c what is wrong with it.
	read func(c *Check, n *Node, t *T)
	// parse sets the value from a command line; nil for rows without flags.
	parse func(s string, t *T) error
	// early reports that parse can check a text while the flags are read. Package flag then
	// shows the text in the error.
	early bool
	// isSwitch reports that a flag of this type needs no value.
	isSwitch bool
	// text is the value as in a file, with its secrets only if show is set; empty if there is
	// nothing to write.
	text func(t *T, show bool) string
	// print is the value as in a file that can be read again, perhaps in several lines, with
	// variables for its secrets; nil means like text.
	print func(t *T, p *Printer) string
	// plain is the value as package fmt prints it; nil means like text.
	plain   func(t *T) string
	zero    func(t *T) bool
	copy    func(dst, src *T)
	bounds  Bounds   // of whole numbers
	clamped bool     // a greater number is taken for the greatest
	words   []string // all values; nil if there are others
	// section is set for sections, and nothing else is.
	section *SectionType[T]
}

func (ty Type[T]) isSection() bool { return ty.section != nil }

// Bounds are the least and the greatest value of a setting.
type Bounds struct{ Min, Max int64 }

// Between returns bounds on both sides.
func Between(least, most int64) Bounds { return Bounds{least, most} }

// AtLeast returns a lower bound.
func AtLeast(least int64) Bounds { return Bounds{least, math.MaxInt64} }

// Unbounded returns no bounds.
func Unbounded() Bounds { return Bounds{math.MinInt64, math.MaxInt64} }

func (b Bounds) contain(n int64) bool { return n >= b.Min && n <= b.Max }

// describe says what the bounds allow; what is the thing bounded.
func (b Bounds) describe(what string, write func(int64) string) string {
	switch {
	case b == Unbounded():
		return what
	case b.Max == math.MaxInt64:
		return fmt.Sprintf("%s of at least %s", what, write(b.Min))
	}
	return fmt.Sprintf("%s from %s to %s", what, write(b.Min), write(b.Max))
}

var (
	errSyntax = errors.New("parse error")
	errRange  = errors.New("value out of range")
)

// field is a type for one comparable field.
func field[T any, V comparable](name string, get func(*T) *V, read func(*Check, *Node) (V, bool), parse func(string) (V, error), text func(V) string) Type[T] {
	return Type[T]{
		name: name,
		read: func(c *Check, n *Node, t *T) {
			if v, ok := read(c, n); ok {
				*get(t) = v
			}
		},
		parse: func(s string, t *T) error {
			v, err := parse(s)
			if err == nil {
				*get(t) = v
			}
			return err
		},
		text:  func(t *T, _ bool) string { return text(*get(t)) },
		plain: func(t *T) string { return fmt.Sprint(*get(t)) },
		zero:  func(t *T) bool { var zero V; return *get(t) == zero },
		copy:  func(dst, src *T) { *get(dst) = *get(src) },
	}
}

// Int is a whole number.
func Int[T any, V int | int64](get func(*T) *V, bounds Bounds) Type[T] {
	write := func(n int64) string { return strconv.FormatInt(n, 10) }
	return whole("integer", get, bounds, bounds.describe("an integer", write), write)
}

// Size is a number of bytes, which may have a suffix as in 64KB.
func Size[T any, V int | int64](get func(*T) *V, bounds Bounds) Type[T] {
	return whole("size", get, bounds, bounds.describe("a size", formatSize), formatSize)
}

// AtMost returns a type for whole numbers that takes most for a greater value in a file, with a
// warning.
func AtMost[T any](ty Type[T], most int64) Type[T] {
	read := ty.read
	ty.clamped = true
	ty.read = func(c *Check, n *Node, t *T) {
		if n.Kind == Integer && n.Int > most {
			c.Warnf(n.Pos, "%s is more than the largest value, which is used: %d", n.Raw, most)
			n = &Node{Kind: Integer, Pos: n.Pos, Raw: n.Raw, Int: most, Var: n.Var}
		}
		read(c, n, t)
	}
	return ty
}

// whole is a type for whole numbers. want describes them in errors.
func whole[T any, V int | int64](name string, get func(*T) *V, bounds Bounds, want string, write func(int64) string) Type[T] {
	fits := func(n int64) bool { return bounds.contain(n) && int64(V(n)) == n }
	ty := field(name, get,
		func(c *Check, n *Node) (V, bool) {
			if n.Kind != Integer || !fits(n.Int) {
				c.Want(n, want)
				return 0, false
			}
			return V(n.Int), true
		},
		func(s string) (V, error) {
			n, err := parseWhole(s)
			if err == nil && !fits(n) {
				err = errors.New("want " + want)
			}
			return V(n), err
		},
		func(v V) string { return write(int64(v)) })
	ty.early, ty.bounds = true, bounds
	return ty
}

// parseWhole reads an integer in Go's notation, or with a suffix as in a file.
func parseWhole(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, strconv.ErrRange) {
		return 0, errRange
	}
	if v, err := literal(s); err == nil && v.Kind == Integer && v.Raw == s {
		return v.Int, nil
	}
	return 0, errSyntax
}

// literal reads one value written as in a file, without variables.
func literal(s string) (*Node, error) {
	none := Source{Env: func(string) (string, bool) { return "", false }}
	root, err := none.Text("", "v="+s)
	if err != nil {
		return nil, err
	}
	if len(root.Pairs) != 1 {
		return nil, errSyntax
	}
	return root.Pairs[0].Value, nil
}

// formatSize writes a number of bytes with the largest suffix that divides it.
func formatSize(n int64) string {
	for _, u := range []string{"TB", "GB", "MB", "KB"} {
		if unit := units[strings.ToLower(u)]; n != 0 && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + u
		}
	}
	return strconv.FormatInt(n, 10)
}

// Bool is a switch.
func Bool[T any](get func(*T) *bool) Type[T] {
	ty := field("boolean", get,
		func(c *Check, n *Node) (bool, bool) {
			if n.Kind != Boolean {
				c.Want(n, "a boolean (true or false)")
			}
			return n.Bool, n.Kind == Boolean
		},
		ParseSwitch, strconv.FormatBool)
	ty.early, ty.isSwitch = true, true
	return ty
}

// ParseSwitch reads the text of a flag that is on or off, in Go's notation.
func ParseSwitch(s string) (bool, error) {
	v, err := strconv.ParseBool(s)
	if err != nil {
		err = errSyntax
	}
	return v, err
}

// Text is a string that passes the checks. A row with checks cannot be secret: their errors may
// show the text.
func Text[T any](get func(*T) *string, checks ...func(string) error) Type[T] {
	check := func(s string) error {
		for _, f := range checks {
			if err := f(s); err != nil {
				return err
			}
		}
		return nil
	}
	ty := field("string", get,
		func(c *Check, n *Node) (string, bool) {
			s, ok := c.String(n)
			if !ok {
				return "", false
			}
			if err := check(s); err != nil {
				c.Errorf(n.Pos, "%v", err)
				return "", false
			}
			if windowsPath().MatchString(s) {
				c.ErrorHint(n.Pos, errors.New(`\t, \n and \r are a tab and line ends in double quotes`), backslashHint)
				return "", false
			}
			return s, true
		},
		func(s string) (string, error) { return s, check(s) },
		Quote)
	ty.early = len(checks) > 0
	return ty
}

// windowsPath matches a path such as C:\temp with a character that was meant to be a backslash and a
// letter.
var windowsPath = pattern(`^[A-Za-z]:[^\t\n\r]*[\t\n\r]`)

// Enum is one of a few words, in any case.
func Enum[T any](get func(*T) *string, words ...string) Type[T] {
	want := `"` + strings.Join(words, `" or "`) + `"`
	find := func(s string) (string, error) {
		i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, s) })
		if i < 0 {
			return "", errors.New("want " + want)
		}
		return words[i], nil
	}
	ty := field(want, get,
		func(c *Check, n *Node) (string, bool) {
			s, err := find(cmp.Or(n.Str, n.Raw)) // a word may look like a number
			if err != nil {
				c.Want(n, want)
			}
			return s, err == nil
		},
		find, Quote)
	ty.early, ty.words = true, words
	return ty
}

// CustomType are the parts of a [Type], for what the other functions do not provide. Parse may be
// nil for rows without flags, and Read for rows without a key.
type CustomType[T any] struct {
	Name  string
	Read  func(c *Check, n *Node, t *T)
	Parse func(s string, t *T) error
	// Text is the value as in a file, in one line, with its secrets only if show is set.
	Text func(t *T, show bool) string
	// Print is the value as in a file that can be read again, perhaps in several lines, with
	// variables for its secrets; nil means like Text.
	Print func(t *T, p *Printer) string
	Zero  func(t *T) bool
	Copy  func(dst, src *T)
	// Switch reports that a flag of this type needs no value.
	Switch bool
}

// Custom makes a type of its parts.
func Custom[T any](p CustomType[T]) Type[T] {
	return Type[T]{
		name: p.Name, read: p.Read, parse: p.Parse, text: p.Text, print: p.Print, zero: p.Zero, copy: p.Copy,
		isSwitch: p.Switch, early: p.Switch,
	}
}

// SectionType is the type of a map with other rows in it.
type SectionType[T any] struct {
	// Opened, if not nil, is called if the file has the map.
	Opened func(*T)
	// On reports whether the settings in it have an effect; nil means always.
	On func(*T) bool
	// Bare sections have no defaults while they are off.
	Bare bool
	// Strict, if not nil, returns the error for a key that is neither in a row nor known from
	// related programs. Otherwise such keys are reported as unknown.
	Strict func(name string) string
}

func (s *SectionType[T]) on(t *T) bool { return s.On == nil || s.On(t) }

// Section is a map with other rows in it.
func Section[T any](s SectionType[T]) Type[T] {
	return Type[T]{name: "map", section: &s}
}

// Command is the type of flags that start an action and set nothing. isSwitch reports that they
// need no value.
func Command[T any](isSwitch bool) Type[T] {
	ty := Type[T]{name: "command", isSwitch: isSwitch, early: true, parse: func(string, *T) error { return nil }}
	if isSwitch {
		ty.parse = func(s string, _ *T) error {
			_, err := ParseSwitch(s)
			return err
		}
	}
	return ty
}

// OptionalCommand is a [Command] whose value is optional, as in --flag and --flag=value.
func OptionalCommand[T any]() Type[T] {
	return Type[T]{name: "command", isSwitch: true, parse: func(string, *T) error { return nil }}
}

// Quote returns a string as in a file.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f || c == '$' && strings.HasPrefix(s[i:], "${"): // the latter would be a variable
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
