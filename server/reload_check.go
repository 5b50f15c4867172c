package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gnatsd/conf"
)

// place adds to an error about a setting the place in the file where it is set.
func (o *Options) place(err error) error {
	s, ok := errors.AsType[*settingError](err)
	if !ok || o.loaded == nil {
		return err
	}
	return placed(err, o.loaded.values.Origin(s.key).Pos, s.key)
}

// where returns, for the end of a message, the place in the file of the first of these settings that
// is from a file: " (FILE:LINE:COLUMN)", or "".
func (o *Options) where(keys ...string) string {
	if o.loaded == nil {
		return ""
	}
	for _, key := range keys {
		if from := o.loaded.values.Origin(key); from.Layer == conf.FromFile {
			return fmt.Sprintf(" (%s)", from)
		}
	}
	return ""
}

// needRestart returns an error for each change that needs a restart.
func (c *change) needRestart() (problems []error) {
	for _, row := range c.rows {
		if row.Row.Reload == conf.Fixed {
			problems = append(problems, fmt.Errorf("config reload not supported for %s: old=%s, new=%s (%s)",
				fixedName(row.Row), conf.Printable(row.Row.Plain(c.old)), conf.Printable(row.Row.Plain(c.new)), c.new.origin(row.Row)))
		}
	}
	if c.old.DontListen != c.new.DontListen {
		problems = append(problems, errors.New("config reload not supported for DontListen"))
	}
	return problems
}

// origin returns where a setting comes from: a program, or what the file or a flag says.
func (o *Options) origin(r *row) string {
	if o.loaded == nil || slices.Contains(o.overrides, r) {
		return "program"
	}
	return o.loaded.values.Origin(r.Key).String()
}

// fixedName returns the name of a row in the error about a change that needs a restart: that of its
// field, as in gnatsd 1.x.
func fixedName(r *row) string {
	if name, of := strings.CutPrefix(r.Field, "Cluster."); of {
		return "cluster " + strings.ToLower(name)
	}
	if r.Field == "" {
		return r.Key
	}
	return r.Field
}

// conflicts returns an error for each setting that a running server cannot apply. At a start most
// of them are found when the ports are opened.
func (o *Options) conflicts() (problems []error) {
	for _, a := range o.advertised() {
		if a.err != nil {
			err := fmt.Errorf("invalid %s value of %s, err=%w", a.field, conf.Printable(a.text), a.err)
			problems = append(problems, o.place(&settingError{a.key, err}))
		}
	}
	if err := o.checkMonitoring(); err != nil {
		problems = append(problems, o.place(&settingError{o.monitoringKey(), monitoringError(err)}))
	}
	return problems
}
