package conf

// This file holds the types of addresses and lists.

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

// Port is a TCP port; -1 is any free one, 0 the default.
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
		if err != nil || strings.IndexByte(s, '@') >= 0 {
			return fmt.Errorf("could not parse address string %q", shorten(s))
		}
		n, err := strconv.Atoi(p)
		if err != nil || !ports.contain(int64(n)) {
			return fmt.Errorf("could not parse port %q", shorten(p))
		}
		*host(t), *port(t) = h, n
		return nil
	}
	return Type[T]{
		name: "port or host:port",
		read: func(c *Check, n *Node, t *T) {
			switch n.Kind {
			case String:
				hint := ""
				if strings.Count(n.Str, ":") > 1 && !strings.Contains(n.Str, "]:") && !strings.Contains(n.Str, "//") {
					hint = `an IPv6 address is written as in "[::1]:4222"`
				}
				if err := set(n.Str, t); err != nil {
					c.ErrorHint(n.Pos, err, hint)
				}
			case Integer:
				if !ports.contain(n.Int) {
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

// URLs is a list of URLs. what is what they are for, in errors. Passwords in them are not shown.
func URLs[T any](get func(*T) *[]*url.URL, what string, check func(*url.URL) error) Type[T] {
	return List("list of URLs", get,
		func(s string) (*url.URL, error) {
			u, err := ParseURL(s)
			if err == nil {
				err = check(u)
			}
			if err != nil {
				return nil, fmt.Errorf("error parsing %s url [%q]: %w", what, redactPort(RedactURLText(s)), err)
			}
			return u, nil
		},
		func(u *url.URL, show bool) string {
			if show {
				return Quote(u.String())
			}
			return Quote(RedactURLText(u.String()))
		})
}

// redactPort hides what stands for the port in the text of a URL without '@', unless it is a number:
// it may be the first part of a password with a comma in it.
func redactPort(text string) string {
	if strings.IndexByte(text, '@') >= 0 {
		return text
	}
	_, host, found := strings.Cut(text, "://")
	if !found {
		host = text
	}
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.TrimRight(host[i+1:], "0123456789-/") == "" || strings.HasSuffix(host, "]") {
		return text
	}
	return text[:len(text)-len(host)+i+1] + Redacted
}

// errUserInfo is the error about a URL whose user or password cannot be told from the rest.
var errUserInfo = errors.New("special characters of the user and the password must be escaped: %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25 for %, %20 for a blank")

// ParseURL is url.Parse with errors that do not show a user or a password. An '@' must end these.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	at := strings.LastIndexByte(s, '@')
	switch {
	case err == nil && (at < 0 || u.User != nil):
		return u, nil
	case at >= 0:
		start := schemeLength(s[:at])
		if _, rest := url.Parse(s[:start] + s[at+1:]); start > 0 && rest != nil {
			err = rest // not about the user or the password
		} else if start > 0 {
			return nil, errUserInfo
		} else {
			return nil, errors.New("the scheme is missing, as in nats://host")
		}
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if _, ok := errors.AsType[url.EscapeError](err); ok {
		err = errors.New("invalid URL escape")
	}
	if strings.HasPrefix(err.Error(), "invalid port ") && at < 0 {
		err = errors.New("the port is not a number")
	}
	return nil, err
}

// List is a list of values that are written as strings; a string alone is a list of one. Errors of
// parse must not contain secrets. text is a value as in a file, with its secrets only if show is
// set.
func List[T, V any](name string, get func(*T) *[]V, parse func(string) (V, error), text func(v V, show bool) string) Type[T] {
	return Type[T]{
		name: name,
		read: func(c *Check, n *Node, t *T) {
			if n.Kind != Array && n.Kind != String {
				c.Want(n, "an array of strings")
				return
			}
			*get(t) = readList(c, n, parse)
		},
		parse: func(s string, t *T) error {
			list, err := parseList(s, parse)
			if err == nil {
				*get(t) = list
			}
			return err
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

// readList reads the elements of an array, or a string as the only one. What is wrong is reported
// and left out.
func readList[V any](c *Check, n *Node, parse func(string) (V, error)) []V {
	nodes := []*Node{n}
	if n.Kind == Array {
		nodes = n.Elems
	}
	list := []V{}
	for _, e := range nodes {
		s, ok := c.String(e)
		if !ok {
			continue
		}
		v, err := parse(s)
		if err != nil {
			c.Errorf(e.Pos, "%v", err)
			continue
		}
		list = append(list, v)
	}
	return list
}

// parseList reads elements with commas between them. Empty text is no element.
func parseList[V any](s string, parse func(string) (V, error)) (list []V, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		v, err := parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// NonEmpty returns a list type that refuses an empty list with this message.
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
