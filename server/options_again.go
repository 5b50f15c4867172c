package server

// This file makes the settings anew for a reload: what was loaded at the start is
// laid over each other again, in the same order.

import (
	"errors"

	"gnatsd/conf"
)

// settingError is what is wrong with a setting, by the key of its row or section.
type settingError struct {
	key string
	err error
}

// Error is the text of the error, without the key.
func (e *settingError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *settingError) Unwrap() error { return e.err }

// remember notes which rows a program has set by itself, after it loaded the
// others: they are kept as flags are. It must be called before fill.
func (o *Options) remember() {
	if o.loaded == nil {
		o.own = optionTable().Set(o)
		return
	}
	o.own = nil
	for _, c := range optionTable().Compare(o.loaded.result, o) {
		o.own = append(o.own, c.Row)
	}
}

// asLoaded is what loading led to, which is nothing if nobody loaded anything.
func (o *Options) asLoaded() *Options {
	if o.loaded == nil {
		return &Options{}
	}
	return o.loaded.result
}

// again returns the settings as they are now: the file as it reads today, under
// the flags and the settings of a program, both of which stay what they were. What
// is wrong with the file is returned whole, and then there are no settings; a
// certificate that cannot be used is returned with settings that lack it. files
// takes note of what is read.
func (o *Options) again(files *readFiles) (next *Options, problems []error) {
	l := &loading{base: &Options{}, files: files}
	if o.loaded != nil {
		l.base, l.flags = o.loaded.base, o.loaded.flags
	}
	n := l.base.Clone()
	if err := n.lay(l, o.ConfigFile, files.source(onlyRegular(conf.System()))); err != nil {
		return nil, split(err)
	}
	optionTable().CopyRows(o.own, n, o)
	n.keep(o)
	problems = n.makeTLSAgain(o, l)
	l.result = n.Clone()
	n.loaded, n.own = l, o.own
	n.fill()
	return n, problems
}

// keep takes over from o what no file can say.
func (n *Options) keep(o *Options) {
	n.NoLog, n.NoSigs = o.NoLog, o.NoSigs
	n.CustomClientAuthentication, n.CustomRouterAuthentication = o.CustomClientAuthentication, o.CustomRouterAuthentication
	n.network, n.identity = o.network, o.identity
	if o.TLS != o.asLoaded().TLS {
		n.TLS = o.TLS
	}
}

// makeTLSAgain makes the configurations that n asks for. One that a program made
// stays unless the file turns TLS on.
func (n *Options) makeTLSAgain(o *Options, l *loading) (problems []error) {
	at := func(key string) conf.Pos { return l.values.Origin(key).Pos }
	if err := n.makeClientTLS(at); err != nil {
		problems = append(problems, err)
		n.TLSConfig, n.tlsFiles = o.TLSConfig, o.tlsFiles // for what is judged next
	}
	if !n.TLS && o.tlsFiles == nil {
		n.TLSConfig = o.TLSConfig
	}
	if err := n.makeRouteTLS(at); err != nil {
		problems = append(problems, err)
	}
	if !n.Cluster.tlsOn && !o.Cluster.tlsOn {
		n.Cluster.TLSConfig = o.Cluster.TLSConfig
	}
	return problems
}

// split returns the errors that err is made of.
func split(err error) []error {
	var all conf.Errors
	if errors.As(err, &all) {
		return all.Unwrap()
	}
	return []error{err}
}
