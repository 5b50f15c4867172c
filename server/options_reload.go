package server

import (
	"crypto/tls"
	"errors"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
)

// settingError is an error about a setting. key is that of its row or section.
type settingError struct {
	key string
	err error
}

// Error returns the text of the error, without the key.
func (e *settingError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *settingError) Unwrap() error { return e.err }

// tlsByProgram is what a program has done to a TLS configuration after it was made from files. It
// takes precedence over the files.
type tlsByProgram struct {
	own    bool        // it is another one
	loaded *tls.Config // as it was made from the files, if only settings of it have been changed; else nil
}

// compareTLS returns what a program has made of a configuration that was loaded from files.
func compareTLS(loaded, now *tls.Config) tlsByProgram {
	switch {
	case !tlsfiles.Same(loaded, now):
		return tlsByProgram{own: true}
	case !tlsfiles.SameSettings(loaded, now):
		return tlsByProgram{loaded: loaded}
	}
	return tlsByProgram{}
}

// remade returns the configuration at a reload, for which files were loaded again, and what the program
// has done to that.
func (by tlsByProgram) remade(files, now *tls.Config) (*tls.Config, tlsByProgram) {
	switch {
	case by.own, files == nil: // they cannot be loaded
		return now, by
	case by.loaded == nil:
		return files, by
	}
	return tlsfiles.Edited(files, by.loaded, now), tlsByProgram{loaded: files}
}

// noteTLS stores what a program has done to the TLS configurations after it loaded the options.
func (o *Options) noteTLS() {
	if o.loaded == nil {
		return
	}
	if o.tlsFiles != nil {
		if o.tlsBy = compareTLS(o.loaded.result.TLSConfig, o.TLSConfig); o.tlsBy.own {
			o.tlsFiles = nil
		}
	}
	if o.Cluster.tlsOn {
		o.Cluster.tlsBy = compareTLS(o.loaded.result.Cluster.TLSConfig, o.Cluster.TLSConfig)
	}
}

// noteOverrides stores which rows a program has set after it loaded the options: they take
// precedence over the file at a reload, as flags do. It must be called before fill.
func (o *Options) noteOverrides() {
	if o.loaded == nil {
		o.overrides = optionTable().Set(o)
		return
	}
	o.overrides = nil
	for _, c := range optionTable().Compare(o.loaded.result, o) {
		o.overrides = append(o.overrides, c.Row)
	}
}

// loadedResult returns the options as they were loaded, empty options if they were not loaded.
func (o *Options) loadedResult() *Options {
	if o.loaded == nil {
		return &Options{}
	}
	return o.loaded.result
}

// reloaded reads the file again, and applies the flags and overrides of o, which do not change. If
// the file has errors next is nil; if only certificates cannot be loaded, next has those in use. It
// adds what it reads to files.
func (o *Options) reloaded(files *readFiles) (next *Options, problems []error) {
	l := &loading{base: &Options{}, files: files}
	if o.loaded != nil {
		l.base, l.flags = o.loaded.base, o.loaded.flags
	}
	n := l.base.Clone()
	if err := n.applyLayers(l, o.ConfigFile, files.source(onlyRegular(conf.System()))); err != nil {
		return nil, split(err)
	}
	optionTable().CopyRows(o.overrides, n, o)
	n.carryOver(o)
	problems = n.remakeTLS(o, l)
	l.result = n.Clone()
	n.loaded, n.overrides = l, o.overrides
	n.fill()
	return n, problems
}

// replacedBy returns opts, which a program has set, as the options of a server that has had o.
func (o *Options) replacedBy(opts *Options) (next *Options, problems []error) {
	n := opts.Clone()
	n.network, n.identity = o.network, o.identity
	if err := n.complete(); err != nil {
		return nil, []error{err}
	}
	return n, nil
}

// complete prepares the options of a program for use: it notes what the program has set, fills in
// the defaults, and loads certificates.
func (o *Options) complete() error {
	if err := o.checkNil(); err != nil {
		return err
	}
	o.noteOverrides()
	o.noteTLS()
	o.clientHook, o.routerHook = newHookRef(o.CustomClientAuthentication), newHookRef(o.CustomRouterAuthentication)
	if err := o.checkOverrides(); err != nil {
		return err
	}
	o.fill()
	if err := o.check(); err != nil {
		return err
	}
	return o.readTLS()
}

// carryOver copies from o what cannot be set in a file.
func (n *Options) carryOver(o *Options) {
	n.NoLog, n.NoSigs, n.DontListen, n.Nkeys = o.NoLog, o.NoSigs, o.DontListen, o.Nkeys
	n.DisableShortFirstPing = o.DisableShortFirstPing
	n.CustomClientAuthentication, n.CustomRouterAuthentication = o.CustomClientAuthentication, o.CustomRouterAuthentication
	n.clientHook, n.routerHook = o.clientHook, o.routerHook
	n.network, n.identity = o.network, o.identity
	if o.TLS != o.loadedResult().TLS {
		n.TLS = o.TLS
	}
}

// remakeTLS makes the TLS configurations that n asks for. A configuration that a program made stays
// unless the file turns TLS on.
func (n *Options) remakeTLS(o *Options, l *loading) (problems []error) {
	at := func(key string) conf.Pos { return l.values.Origin(key).Pos }
	if err := n.makeClientTLS(at); err != nil {
		problems = append(problems, err)
		n.TLSConfig, n.tlsFiles = o.TLSConfig, o.tlsFiles // so that the other settings can be checked
	}
	switch {
	case o.tlsBy.own:
		n.TLSConfig, n.tlsFiles, n.tlsBy = o.TLSConfig, nil, o.tlsBy
	case !n.TLS && o.tlsFiles == nil:
		n.TLSConfig = o.TLSConfig
	case n.tlsFiles != nil:
		n.TLSConfig, n.tlsBy = o.tlsBy.remade(n.TLSConfig, o.TLSConfig)
	}
	if err := n.makeRouteTLS(at); err != nil {
		problems = append(problems, err)
	}
	switch {
	case !n.Cluster.tlsOn && !o.Cluster.tlsOn:
		n.Cluster.TLSConfig = o.Cluster.TLSConfig
	case n.Cluster.tlsOn:
		n.Cluster.TLSConfig, n.Cluster.tlsBy = o.Cluster.tlsBy.remade(n.Cluster.TLSConfig, o.Cluster.TLSConfig)
	}
	return problems
}

// split returns the errors that err consists of.
func split(err error) []error {
	var all conf.Errors
	if errors.As(err, &all) {
		return all.Unwrap()
	}
	return []error{err}
}
