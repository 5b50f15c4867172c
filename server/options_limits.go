package server

// This file has the limits of users: how they are written, and what package access makes of them.

import (
	"fmt"
	"strings"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
)

// UserLimits are the limits of a user, of all its connections together. A field that is 0 or "" has
// the default of all users; without one, and if it is negative, there is no limit.
type UserLimits struct {
	MaxConnections    int
	MaxSubscriptions  int
	MaxPayload        int    // bytes of a message
	MaxMsgsPerSecond  int64  // that the user publishes
	MaxBytesPerSecond int64  // of the messages that the user publishes
	SlowConsumer      string // "disconnect", "drop_new" or "drop_old"
}

// limitNumber is one of the limits that are numbers.
type limitNumber struct {
	key     string
	aliases []string
	get     func(*UserLimits) int64
	set     func(*UserLimits, int64)
}

var limitNumbers = []limitNumber{
	{"max_connections", []string{"max_conn"},
		func(l *UserLimits) int64 { return int64(l.MaxConnections) }, func(l *UserLimits, n int64) { l.MaxConnections = int(n) }},
	{"max_subscriptions", []string{"max_subs", "subs"},
		func(l *UserLimits) int64 { return int64(l.MaxSubscriptions) }, func(l *UserLimits, n int64) { l.MaxSubscriptions = int(n) }},
	{"max_payload", []string{"max_pay", "payload"},
		func(l *UserLimits) int64 { return int64(l.MaxPayload) }, func(l *UserLimits, n int64) { l.MaxPayload = int(n) }},
	{"max_msgs_per_second", nil,
		func(l *UserLimits) int64 { return l.MaxMsgsPerSecond }, func(l *UserLimits, n int64) { l.MaxMsgsPerSecond = n }},
	{"max_bytes_per_second", nil,
		func(l *UserLimits) int64 { return l.MaxBytesPerSecond }, func(l *UserLimits, n int64) { l.MaxBytesPerSecond = n }},
}

// limitKey returns the first of the spellings of a key of limits.
func limitKey(key string) string {
	key = strings.ToLower(key)
	for _, n := range limitNumbers {
		for _, alias := range n.aliases {
			if key == alias {
				return n.key
			}
		}
	}
	return key
}

// maxLimit bounds the numbers: all of them fit an int, and no sum of them overflows.
const maxLimit = 1 << 30

// readLimits reads the limits of a user.
func readLimits(c *conf.Check, n *conf.Node) *UserLimits {
	if n.Kind != conf.Map {
		c.Want(n, "a map of limits")
		return nil
	}
	l := &UserLimits{}
	c.Repeated(n, limitKey)
	for p := range n.Effective() {
		key := limitKey(p.Key)
		c := c.In(key)
		if key == "slow_consumer" {
			l.SlowConsumer = readSlowConsumer(c, p.Value)
			continue
		}
		if !readLimitNumber(c, key, p.Value, l) && !p.Used {
			c.Errorf(p.Pos, "unknown field %q parsing limits", p.Key)
		}
	}
	return l
}

// readLimitNumber reads a limit that is a number. It reports false if there is no such key.
func readLimitNumber(c *conf.Check, key string, n *conf.Node, l *UserLimits) (known bool) {
	for _, row := range limitNumbers {
		if row.key != key {
			continue
		}
		most := int64(maxLimit)
		if key == "max_bytes_per_second" {
			most <<= 20
		}
		if n.Kind != conf.Integer || n.Int < -1 || n.Int == 0 || n.Int > most {
			c.Want(n, fmt.Sprintf("a number from 1 to %d, or -1 for no limit", most))
			return true
		}
		row.set(l, n.Int)
		return true
	}
	return false
}

func readSlowConsumer(c *conf.Check, n *conf.Node) string {
	if n.Kind == conf.String {
		if policy, ok := access.ParseSlowConsumer(n.Str); ok {
			return policy.String()
		}
	}
	c.Want(n, `"disconnect", "drop_new" or "drop_old"`)
	return ""
}

// text formats the limits as in a file.
func (l *UserLimits) text() string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, row := range limitNumbers {
		if n := row.get(l); n != 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", row.key, n))
		}
	}
	if l.SlowConsumer != "" {
		parts = append(parts, "slow_consumer: "+l.SlowConsumer)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (l *UserLimits) clone() *UserLimits {
	if l == nil {
		return nil
	}
	c := *l
	return &c
}

// limitsType is the type of a setting that holds limits.
func limitsType(get func(*Options) **UserLimits) conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: "map",
		Read: func(c *conf.Check, n *conf.Node, o *Options) { *get(o) = readLimits(c, n) },
		Text: func(o *Options, _ bool) string { return (*get(o)).text() },
		Zero: func(o *Options) bool { return *get(o) == nil },
		Copy: func(dst, src *Options) { *get(dst) = (*get(src)).clone() },
	})
}

// check returns an error for limits of a program that mean nothing.
func (l *UserLimits) check() error {
	if l == nil {
		return nil
	}
	if _, ok := access.ParseSlowConsumer(l.SlowConsumer); !ok && l.SlowConsumer != "" {
		return fmt.Errorf("unknown SlowConsumer %q", l.SlowConsumer)
	}
	return nil
}

// limits returns the limits as package access takes them, those of defaults where l says nothing.
func (l *UserLimits) limits(defaults *UserLimits) *access.Limits {
	if l == nil && defaults == nil {
		return nil
	}
	var all UserLimits
	for _, from := range []*UserLimits{defaults, l} {
		if from != nil {
			all.override(from)
		}
	}
	limits := &access.Limits{
		MaxConnections: all.MaxConnections, MaxSubscriptions: all.MaxSubscriptions, MaxPayload: all.MaxPayload,
		MaxMsgsPerSecond: all.MaxMsgsPerSecond, MaxBytesPerSecond: all.MaxBytesPerSecond,
	}
	limits.SlowConsumer, _ = access.ParseSlowConsumer(all.SlowConsumer)
	return limits
}

// override replaces what by says.
func (l *UserLimits) override(by *UserLimits) {
	for _, row := range limitNumbers {
		if n := row.get(by); n != 0 {
			row.set(l, n)
		}
	}
	if by.SlowConsumer != "" {
		l.SlowConsumer = by.SlowConsumer
	}
}

// checkLimits returns an error for limits that a program has set and that mean nothing.
func (o *Options) checkLimits() error {
	users, _, _ := o.loginUsers()
	for _, u := range users {
		if err := u.Limits.check(); err != nil {
			return fmt.Errorf("limits of user %q: %w", u.id(), err)
		}
	}
	return nil
}
