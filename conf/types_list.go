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
	set := func(s string, t *T) error {
		h, p, err := splitAddress(s)
		if err == nil {
			*host(t), *port(t) = h, p
		}
		return err
	}
	return Type[T]{
		name: "port or host:port",
		read: func(c *Check, n *Node, t *T) {
			if h, p, ok := readAddress(c, n); ok {
				*host(t), *port(t) = h, p
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

// ports bounds a port; -1 is any free one.
var ports = Between(-1, math.MaxUint16)

// splitAddress splits host:port.
func splitAddress(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil || strings.IndexByte(s, '@') >= 0 {
		return "", 0, fmt.Errorf("could not parse address string %q", shorten(s))
	}
	port, err = strconv.Atoi(text)
	if err != nil || !ports.contain(int64(port)) {
		return "", 0, fmt.Errorf("could not parse port %q", shorten(text))
	}
	return host, port, nil
}

// readAddress reads host:port, or a port alone, from a file.
func readAddress(c *Check, n *Node) (host string, port int, ok bool) {
	switch n.Kind {
	case String:
		hint := ""
		if strings.Count(n.Str, ":") > 1 && !strings.Contains(n.Str, "]:") && !strings.Contains(n.Str, "//") {
			hint = `an IPv6 address is written as in "[::1]:4222"`
		}
		host, port, err := splitAddress(n.Str)
		if err != nil {
			c.ErrorHint(n.Pos, err, hint)
		}
		return host, port, err == nil
	case Integer:
		if !ports.contain(n.Int) {
			c.Want(n, "a port from -1 to 65535")
		}
		return "", int(n.Int), ports.contain(n.Int)
	}
	c.Want(n, "host:port or a port")
	return "", 0, false
}

// Addresses is an [Address], or a list of them: the first is host and port, the others are also.
func Addresses[T any](host func(*T) *string, port func(*T) *int, also func(*T) *[]string) Type[T] {
	ty, others := Address(host, port), AlsoAddresses(also)
	one := ty.read
	ty.name = "port or host:port, or a list of them"
	ty.read = func(c *Check, n *Node, t *T) {
		switch {
		case n.Kind != Array:
			*also(t) = nil
			one(c, n, t)
		case len(n.Elems) == 0:
			c.Errorf(n.Pos, "the list of addresses is empty")
		default:
			list := readAddresses(c, n)
			if len(list) < len(n.Elems) {
				return
			}
			*host(t), *port(t), _ = splitAddress(list[0])
			*also(t) = slices.Clip(list[1:])
		}
	}
	text, zero, duplicate := ty.text, ty.zero, ty.copy
	ty.text = func(t *T, show bool) string { return text(t, show) + others.text(t, show) }
	ty.zero = func(t *T) bool { return zero(t) && others.zero(t) }
	ty.copy = func(dst, src *T) { duplicate(dst, src); others.copy(dst, src) }
	return ty
}

// AlsoAddresses is a list of addresses, host:port, beside another one.
func AlsoAddresses[T any](get func(*T) *[]string) Type[T] {
	ty := List("list of host:port", get, func(s string) (string, error) {
		_, _, err := splitAddress(s)
		return s, err
	}, func(s string, _ bool) string { return Quote(s) })
	ty.read = func(c *Check, n *Node, t *T) {
		if n.Kind != Array {
			c.Want(n, "an array of addresses, host:port")
			return
		}
		*get(t) = readAddresses(c, n)
	}
	return ty
}

// readAddresses reads the elements of a list. What is wrong is reported and left out.
func readAddresses(c *Check, n *Node) (list []string) {
	for _, e := range n.Elems {
		host, port, ok := readAddress(c, e)
		if !ok {
			continue
		}
		if port == 0 {
			c.Errorf(e.Pos, "port 0 in a list of addresses: give the port, or -1 for any free one")
			continue
		}
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		if i := slices.IndexFunc(list, func(other string) bool { return Overlap(addr, other) }); i >= 0 {
			c.Errorf(e.Pos, "%s overlaps with %s: only one of them can be listened on", addr, list[i])
			continue
		}
		list = append(list, addr)
	}
	return list
}

// Overlap reports whether two addresses, host:port, cannot both be listened on: they have the same
// port, and the same host, or one of them is that of all interfaces. Names are not looked up.
func Overlap(a, b string) bool {
	hostA, portA, errA := splitAddress(a)
	hostB, portB, errB := splitAddress(b)
	if errA != nil || errB != nil || portA != portB || portA <= 0 {
		return false
	}
	ipA, ipB := net.ParseIP(hostA), net.ParseIP(hostB)
	all := func(host string, ip net.IP) bool { return host == "" || ip != nil && ip.IsUnspecified() }
	switch {
	case all(hostA, ipA), all(hostB, ipB):
		return true
	case ipA != nil && ipB != nil:
		return ipA.Equal(ipB)
	}
	return strings.EqualFold(hostA, hostB)
}

// URLs is a list of URLs. what is what they are for, in errors. Passwords in them are not shown.
func URLs[T any](get func(*T) *[]*url.URL, what string, check func(*url.URL) error) Type[T] {
	ty := List("list of URLs", get,
		func(s string) (*url.URL, error) {
			u, err := ParseURL(s)
			switch {
			case err == nil:
				err = check(u)
			case strings.HasPrefix(err.Error(), "first path segment"):
				err = errors.New("the scheme is missing, as in nats-route://host:port")
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
	ty.print = func(t *T, p *Printer) string {
		if len(*get(t)) == 0 {
			return ""
		}
		var list []string
		for i, u := range *get(t) {
			text := u.String()
			if at := strings.LastIndexByte(text, '@'); u.User != nil && at >= 0 {
				user := strings.Trim(p.Secret("", strconv.Itoa(i+1)), `"`)
				start := schemeLength(text[:at])
				list = append(list, strings.TrimSuffix(Quote(text[:start]), `"`)+user+strings.TrimPrefix(Quote(text[at:]), `"`))
				continue
			}
			list = append(list, Quote(text))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return ty
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
