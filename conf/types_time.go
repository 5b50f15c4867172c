package conf

// This file holds the types of durations.

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a duration such as "2s". A number without a unit is in seconds; plain is the warning
// about it, if any. The bounds are nanoseconds.
func Duration[T any](get func(*T) *time.Duration, bounds Bounds, plain string) Type[T] {
	want := bounds.describe(`a duration such as "2s"`, func(n int64) string { return formatDuration(time.Duration(n)) })
	ty := field("duration", get,
		func(c *Check, n *Node) (time.Duration, bool) {
			d, isPlain, err := readDuration(n)
			switch {
			case err != nil && n.Kind == String && !c.secret:
				err = fmt.Errorf("error parsing %s: %w", c.path[strings.LastIndexByte(c.path, '.')+1:], err)
				c.ErrorHint(n.Pos, err, `the units are h, m, s and ms, as in "1h30m"`)
				return 0, false
			case err != nil || !bounds.contain(int64(d)):
				c.Want(n, want)
				return 0, false
			case isPlain && plain != "":
				c.Warnf(n.Pos, "%s", plain)
			}
			return d, true
		},
		func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s)
			if err != nil {
				d, _, err = readDuration(&Node{Kind: String, Str: s})
			}
			if err != nil {
				return 0, errSyntax
			}
			if !bounds.contain(int64(d)) {
				return 0, errors.New("want " + want)
			}
			return d, nil
		},
		func(d time.Duration) string {
			if d == 0 {
				return ""
			}
			return Quote(formatDuration(d))
		})
	ty.early = true
	return ty
}

// ReadDuration reads a duration as [Duration] does, for types that accept other values too.
func ReadDuration(n *Node) (time.Duration, error) {
	d, _, err := readDuration(n)
	return d, err
}

// readDuration reads a duration: text, or a number of seconds. An integer with a suffix is a
// duration if it can be read as one: 2m is two minutes, not two million seconds.
func readDuration(n *Node) (d time.Duration, plain bool, err error) {
	switch n.Kind {
	case String:
		d, err = time.ParseDuration(n.Str)
		return d, false, err
	case Integer:
		if d, err := time.ParseDuration(n.Raw); err == nil && n.Int != 0 {
			return d, false, nil
		}
		if strings.TrimLeft(n.Raw, "-0123456789") != "" {
			return 0, false, errSyntax
		}
		d, err = seconds(float64(n.Int))
		return d, true, err
	case Float:
		d, err = seconds(n.Float)
		return d, true, err
	}
	return 0, false, errSyntax
}

// seconds is a number of seconds as a duration.
func seconds(s float64) (time.Duration, error) {
	if math.Abs(s) > float64(math.MaxInt64/time.Second) {
		return 0, errRange
	}
	return time.Duration(s * float64(time.Second)), nil
}

// formatDuration writes a duration without its zero parts: 2m, not 2m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Seconds is a number of seconds, whole or not, or a duration such as "2s".
func Seconds[T any](get func(*T) *float64, bounds Bounds) Type[T] {
	want := bounds.describe("a number of seconds", func(n int64) string { return formatDuration(time.Duration(n)) })
	read := func(n *Node) (float64, bool) {
		d, _, err := readDuration(n)
		return d.Seconds(), err == nil && bounds.contain(int64(d))
	}
	ty := field("seconds", get,
		func(c *Check, n *Node) (float64, bool) {
			s, ok := read(n)
			if !ok {
				c.Want(n, want)
			}
			return s, ok
		},
		func(s string) (float64, error) {
			n, err := literal(s)
			if err != nil {
				return 0, errSyntax
			}
			v, ok := read(n)
			if !ok {
				return 0, errors.New("want " + want)
			}
			return v, nil
		},
		func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) })
	ty.early = true
	return ty
}
