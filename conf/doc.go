// Package conf reads the configuration language of gnatsd, and derives from a table of settings all
// that is done with them: reading files and command lines, defaults, comparison, printing and
// documentation.
//
// The language is in lex.go and number.go (tokens), parse.go (pairs, maps, arrays), variable.go and
// include.go. A file becomes a tree of [Node], each with its position. All errors of a file are
// found in one pass (recover.go) and returned together as [Errors].
//
// A [Row] describes a setting: its key, flags, default, type, bounds and documentation. A [Table]
// of rows fills a struct of the program, layer by layer, and records where each value came from
// (values.go). Secrets are redacted in everything that it shows (redact.go).
//
// The package knows nothing of a server: which settings there are, and what they do, is in the
// table of the program.
package conf
