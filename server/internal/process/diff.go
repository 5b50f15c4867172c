package process

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// This file is `--diff`: what a reload would change in a running broker. The broker does nothing
// for it but keep a record of its settings in memory, which others find in /proc if they run as the
// same user or as root: so it needs no port, no path, and no cleaning up. All the work is done by
// the process that compares.

// A Setting is one setting of a broker.
type Setting struct {
	Key     string
	Value   string // as in a file, with its secrets
	Shown   string // as in a file, secrets hidden
	Default string // as in a file
	Set     bool   // by a file, a flag or a program; else it is a default or follows from others
	Fixed   bool   // a change needs a restart
	Origin  string // of the value
}

// A record is what a broker publishes of its settings: those that are set or not at their defaults.
// It holds no secrets; values are compared by digests.
type record struct {
	Key      []byte                   `json:"key"` // of the digests; another for each record
	Settings map[string]recordedValue `json:"settings"`

	Listening Listening `json:"listening"`
}

// recordedValue is a setting in a record.
type recordedValue struct {
	Shown  string `json:"shown"`
	Digest []byte `json:"digest"`
	Set    bool   `json:"set"`
}

// newRecord makes a record of settings.
func newRecord(settings []Setting) *record {
	r := &record{Key: make([]byte, 32), Settings: map[string]recordedValue{}}
	rand.Read(r.Key) // never fails
	for _, s := range settings {
		if s.Set || s.Value != s.Default {
			r.Settings[s.Key] = recordedValue{s.Shown, r.digest(s.Value), s.Set}
		}
	}
	return r
}

// digest identifies a value without showing it.
func (r *record) digest(value string) []byte {
	mac := hmac.New(sha256.New, r.Key)
	mac.Write([]byte(value)) // never fails
	return mac.Sum(nil)
}

// A SettingsRecord publishes the settings of this process to `gnatsd --diff`, and where it listens
// to `gnatsd --health`.
type SettingsRecord struct {
	memory *os.File // nil before Publish
}

// Publish replaces what was published before. That it cannot is of no importance to a broker.
func (p *SettingsRecord) Publish(settings []Setting, at Listening) {
	r := newRecord(settings)
	r.Listening = at
	text, err := json.Marshal(r)
	if err != nil {
		panic("settings cannot be encoded: " + err.Error()) // they are strings
	}
	memory, err := publish(text)
	if err != nil {
		return
	}
	p.Close()
	p.memory = memory
}

// Close ends the publication.
func (p *SettingsRecord) Close() {
	if p != nil && p.memory != nil {
		p.memory.Close()
	}
}

// A Running is a broker whose settings others are compared with.
type Running struct {
	name   string
	record *record
	args   []string
	env    []string
}

// IsTarget reports whether target names a process, as -sl takes it: it is a pid, a pid file, or
// empty.
func IsTarget(target string) bool {
	_, err := targetPid(target)
	return target == "" || err == nil
}

// FindRunning returns the broker that target names: by its pid, by a pid file, or if target is
// empty by being the only one here.
func FindRunning(target string) (*Running, error) {
	pid, err := runningPid(target)
	if err != nil {
		return nil, err
	}
	text, err := published(pid)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no such process: %d", pid)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; compare with the file it runs with, --diff=FILE", err)
	}
	r := &Running{name: "process " + strconv.Itoa(pid), record: &record{}}
	if err := json.Unmarshal(text, r.record); err != nil {
		return nil, fmt.Errorf("read the settings of %s: %w", r.name, err)
	}
	r.args, r.env = commandLine(pid)
	return r, nil
}

// RunningWith returns a broker that would run with these settings.
func RunningWith(name string, settings []Setting) *Running {
	return &Running{name: name, record: newRecord(settings)}
}

// Args are the arguments of the broker's command line.
func (r *Running) Args() []string { return r.args }

// LookupEnv is os.LookupEnv with the environment of the broker, or with ours if that may not be
// read.
func (r *Running) LookupEnv(name string) (value string, ok bool) {
	if len(r.env) == 0 {
		return os.LookupEnv(name)
	}
	for _, pair := range r.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// Diff says what a reload with these settings would change, and whether it would be refused because
// some of that needs a restart.
func (r *Running) Diff(settings []Setting) (text string, refused bool) {
	var live, fixed []string
	for _, s := range settings {
		line := r.record.change(s)
		switch {
		case line == "":
		case s.Fixed:
			fixed = append(fixed, line)
		default:
			live = append(live, line)
		}
	}
	return diffText(r.name, live, fixed), len(fixed) > 0
}

// change is the line about a setting, empty if it stays as it is. A setting that is not in the
// record is at its default.
func (r *record) change(s Setting) string {
	old, recorded := r.Settings[s.Key]
	if !recorded {
		old = recordedValue{Shown: s.Default, Digest: r.digest(s.Default)}
	}
	switch {
	case !old.Set && !s.Set: // or else it follows from another, which is listed
		return ""
	case hmac.Equal(old.Digest, r.digest(s.Value)):
		return ""
	case old.Shown == s.Shown: // but for a secret in it
		return fmt.Sprintf("%s: changed, to %s (%s)", s.Key, s.Shown, s.Origin)
	}
	return fmt.Sprintf("%s: %s -> %s (%s)", s.Key, orNothing(old.Shown), orNothing(s.Shown), s.Origin)
}

// orNothing is a value for a line, as a word if it is empty.
func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// diffText says what a reload of a broker would do. live and fixed are the lines about what would
// change, and about what needs a restart.
func diffText(name string, live, fixed []string) string {
	var b strings.Builder
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("A reload of "+name+" would change", live)
	switch {
	case len(live)+len(fixed) == 0:
		return fmt.Sprintf("A reload of %s would change nothing.\n", name)
	case len(live) == 0:
		list("A reload of "+name+" would be refused, because this needs a restart", fixed)
	default:
		list("but it would be refused, because this needs a restart", fixed)
	}
	return b.String()
}
