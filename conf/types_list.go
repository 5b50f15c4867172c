package conf

// This file holds the types of addresses, and of lists.

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Port bounds a TCP port; -1 asks for any free one, 0 for the default.
func Port[T any](get func(*T) *int) Type[T] {
	ty := Int(get, Between(-1, math.MaxUint16))
	ty.name = "port"
	return ty
}

// Address is host:port, or a port alone, which leaves the host empty.
func Address[T any](host func(*T) *string, port func(*T) *int) Type[T] {
	ports := Between(-1, math.MaxUint16)
	set := func(s string, t *T) error {
		h, p, err := net.SplitHostPort(s)
		if err != nil {
			return fmt.Errorf("could not parse address string %q", cut(s))
		}
		n, err := strconv.Atoi(p)
		if err != nil || !ports.holds(int64(n)) {
			return fmt.Errorf("could not parse port %q", cut(p))
		}
		*host(t), *port(t) = h, n
		return nil
	}
	return Type[T]{
		name: "port or host:port",
		read: func(c *Check, n *Node, t *T) {
			switch n.Kind {
			case String:
				if err := set(n.Str, t); err != nil {
					c.Errorf(n.Pos, "%v", err)
				}
			case Integer:
				if !ports.holds(n.Int) {
					c.Want(n, "a port from -1 to 65535")
					return
				}
				*host(t), *port(t) = "", int(n.Int)
			default:
				c.Want(n, "host:port or a port")
			}
		},
		parse: set,
		text: func(t *T, _ bool) string {
			return Quote(net.JoinHostPort(*host(t), strconv.Itoa(*port(t))))
		},
		zero: func(t *T) bool { return *host(t) == "" && *port(t) == 0 },
		copy: func(dst, src *T) { *host(dst), *port(dst) = *host(src), *port(src) },
	}
}

// Strings is a list of strings; a single one may stand alone.
func Strings[T any](get func(*T) *[]string, checks ...func(string) error) Type[T] {
	return List("list of strings", get,
		func(s string) (string, error) {
			for _, f := range checks {
				if err := f(s); err != nil {
					return "", err
				}
			}
			return s, nil
		},
		func(s string, _ bool) string { return Quote(s) })
}

// URLs is a list of URLs. what says in errors what they are for. Passwords in
// them are not shown.
func URLs[T any](get func(*T) *[]*url.URL, what string, check func(*url.URL) error) Type[T] {
	return List("list of URLs", get,
		func(s string) (*url.URL, error) {
			u, err := ParseURL(s)
			if err != nil {
				return nil, fmt.Errorf("error parsing %s url [%q]: %w", what, Mask(s), err)
			}
			if err := check(u); err != nil {
				return nil, fmt.Errorf("error parsing %s url [%q]: %w", what, Mask(s), err)
			}
			return u, nil
		},
		func(u *url.URL, show bool) string {
			if show {
				return Quote(u.String())
			}
			return Quote(Mask(u.String()))
		})
}

// ParseURL is url.Parse with errors that do not show the text.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var ee url.EscapeError
	if errors.As(err, &ee) {
		err = errors.New("invalid URL escape")
	}
	if err != nil {
		return nil, errors.New(Mask(err.Error()))
	}
	return u, nil
}

// List is a list of things written as strings; a single one may stand alone.
// Errors of parse must not hold secrets. text writes one as in a file, secrets
// within it only if show.
func List[T, V any](name string, get func(*T) *[]V, parse func(string) (V, error), text func(v V, show bool) string) Type[T] {
	elem := func(c *Check, n *Node) (v V, ok bool) {
		s, ok := c.String(n)
		if !ok {
			return v, false
		}
		v, err := parse(s)
		if err != nil {
			c.Errorf(n.Pos, "%v", err)
		}
		return v, err == nil
	}
	return Type[T]{
		name: name,
		read: func(c *Check, n *Node, t *T) {
			nodes := []*Node{n}
			if n.Kind == Array {
				nodes = n.Elems
			} else if n.Kind != String {
				c.Want(n, "an array of strings")
				return
			}
			out := []V{}
			for _, e := range nodes {
				if v, ok := elem(c, e); ok {
					out = append(out, v)
				}
			}
			*get(t) = out
		},
		parse: func(s string, t *T) error {
			var out []V
			for part := range strings.SplitSeq(s, ",") {
				if s == "" {
					break
				}
				v, err := parse(strings.TrimSpace(part))
				if err != nil {
					return err
				}
				out = append(out, v)
			}
			*get(t) = out
			return nil
		},
		text: func(t *T, show bool) string {
			var parts []string
			for _, v := range *get(t) {
				parts = append(parts, text(v, show))
			}
			if parts == nil {
				return ""
			}
			return "[" + strings.Join(parts, ", ") + "]"
		},
		zero: func(t *T) bool { return len(*get(t)) == 0 },
		copy: func(dst, src *T) { *get(dst) = slices.Clone(*get(src)) },
	}
}

// NonEmpty makes a list refuse to be empty, with this message.
func NonEmpty[T any](ty Type[T], message string) Type[T] {
	read := ty.read
	ty.read = func(c *Check, n *Node, t *T) {
		if n.Kind == Array && len(n.Elems) == 0 {
			c.Errorf(n.Pos, "%s", message)
			return
		}
		read(c, n, t)
	}
	return ty
}
