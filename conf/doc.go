// Package conf reads the configuration language of gnatsd, and holds the
// machinery that turns a table of settings into everything a broker needs to
// know about them.
//
// The language is in lex.go and number.go (tokens), parse.go (pairs, maps,
// arrays), variable.go and include.go; a file becomes a tree of [Node], each of
// which knows where it was written. All errors of a file are found in one pass
// (recover.go) and returned together as [Errors].
//
// The machinery starts from a [Row] per setting: its key, flags, default, type,
// bounds and documentation. A [Table] of rows reads files and command lines,
// says where each value came from, compares, prints and documents. It has never
// heard of a server.
package conf
