package server

// This file copies and merges options.

import "net/url"

// MergeOptions returns a copy of fileOpts in which the settings of flagOpts that are not zero
// replace those of fileOpts. Either may be nil.
func MergeOptions(fileOpts, flagOpts *Options) *Options {
	switch {
	case fileOpts == nil:
		return flagOpts
	case flagOpts == nil:
		return fileOpts
	}
	o := fileOpts.Clone()
	optionTable().Merge(o, flagOpts)
	override(&o.ConfigFile, flagOpts.ConfigFile)
	override(&o.RoutesStr, flagOpts.RoutesStr)
	override(&o.NoLog, flagOpts.NoLog)
	override(&o.NoSigs, flagOpts.NoSigs)
	override(&o.TLS, flagOpts.TLS)
	override(&o.TLSConfig, flagOpts.TLSConfig)
	override(&o.tlsFiles, flagOpts.tlsFiles)
	override(&o.Cluster.ListenStr, flagOpts.Cluster.ListenStr)
	override(&o.Cluster.TLSConfig, flagOpts.Cluster.TLSConfig)
	override(&o.Cluster.tlsOn, flagOpts.Cluster.tlsOn)
	override(&o.DontListen, flagOpts.DontListen)
	override(&o.RQSubsSweep, flagOpts.RQSubsSweep)
	override(&o.NoSystemAccount, flagOpts.NoSystemAccount)
	override(&o.DisableShortFirstPing, flagOpts.DisableShortFirstPing)
	if flagOpts.Nkeys != nil {
		o.Nkeys = cloneNkeys(flagOpts.Nkeys)
	}
	override(&o.network, flagOpts.network)
	override(&o.CustomClientAuthentication, flagOpts.CustomClientAuthentication)
	override(&o.CustomRouterAuthentication, flagOpts.CustomRouterAuthentication)
	return o
}

// override sets *to to by, unless by is zero.
func override[V comparable](to *V, by V) {
	var zero V
	if by != zero {
		*to = by
	}
}

// Clone returns a deep copy, nil of nil.
func (o *Options) Clone() *Options {
	if o == nil {
		return nil
	}
	c := *o
	optionTable().Copy(&c, o) // deep copies of lists, users and permissions
	for i, u := range o.Routes {
		c.Routes[i] = cloneURL(u)
	}
	if o.defaultPermissions != nil {
		c.shareDefaults(o)
	}
	c.Nkeys = cloneNkeys(o.Nkeys)
	if o.TLSConfig != nil {
		c.TLSConfig = o.TLSConfig.Clone()
	}
	if o.Cluster.TLSConfig != nil {
		c.Cluster.TLSConfig = o.Cluster.TLSConfig.Clone()
	}
	if o.tlsFiles != nil {
		files := *o.tlsFiles
		c.tlsFiles = &files
	}
	return &c
}

// shareDefaults gives users of c the default permissions of c where those of o have the default
// permissions of o.
func (c *Options) shareDefaults(o *Options) {
	for i, u := range o.Users {
		if u != nil && u.Permissions == o.defaultPermissions {
			c.Users[i].Permissions = c.defaultPermissions
		}
	}
}

func cloneURL(u *url.URL) *url.URL {
	if u == nil {
		return nil
	}
	c := *u
	if u.User != nil {
		user := *u.User
		c.User = &user
	}
	return &c
}
