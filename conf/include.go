package conf

// This file reads files: the first one and those that it includes.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// Source provides files and environment variables.
type Source struct {
	// Read returns the content of a file. included is false for the first one, which may be a
	// pipe.
	Read func(path string, included bool) ([]byte, error)
	// Glob returns the files that a pattern matches, in order; an error if its directory cannot be
	// read. If it is nil there are no patterns.
	Glob func(pattern string) ([]string, error)
	// Env returns the value of an environment variable.
	Env func(name string) (string, bool)

	public func(path string) bool // reports that the value of a key is not secret; nil if that is not known
}

// System returns the file system and the environment of the process.
func System() Source {
	return Source{Read: readFile, Glob: glob, Env: os.LookupEnv}
}

// File reads the configuration in a file. With an error the node has the pairs that could be read,
// or is nil if the file could not be.
func (s Source) File(path string) (*Node, error) {
	text, err := s.Read(path, false)
	if err != nil {
		return nil, fmt.Errorf("error opening config file: %w", err)
	}
	return s.read(path, string(text), absolute(path))
}

// Read is [Source.File] for a file that is to be applied to v: its table says which values are secret.
func (v *Values[T]) Read(s Source, file string) (*Node, error) {
	s.public = func(path string) bool {
		r := v.table.byKey[path]
		return r != nil && v.table.rowSensitivity(r) == public
	}
	return s.File(file)
}

// Text reads a configuration; name is its name in errors. Files it includes are relative to the
// directory of that name, if it has one, or else to the working directory.
func (s Source) Text(name, text string) (*Node, error) {
	return s.read(name, text, name)
}

// read reads a text; file is its absolute path.
func (s Source) read(name, text, file string) (*Node, error) {
	p := parser{
		lexer:   newLexer(name, text),
		session: &session{source: s, files: []string{file}, size: len(text)},
	}
	root := p.file()
	if root != nil {
		root.Warnings, root.Matched = p.warnings, p.matched
	}
	return root, p.errs.err()
}

// absolute is a path that identifies a file.
func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	return abs
}

// readFile reads a file of bounded size. An included one must be a regular file: a pipe without a
// writer would block the start.
func readFile(path string, included bool) ([]byte, error) {
	if included {
		info, err := os.Stat(path)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
		}
		if !info.Mode().IsRegular() {
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(text) > maxSize {
		err = &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", maxSize)}
	}
	return text, err
}

// glob returns the files that a pattern matches, in the order of their names. As in a shell, a
// wildcard at the beginning of a name does not match a dot: such files are those of editors.
// Directories are left out.
func glob(pattern string) ([]string, error) {
	fixed := filepath.Dir(pattern)
	for isPattern(fixed) {
		fixed = filepath.Dir(fixed)
	}
	if _, err := os.ReadDir(fixed); err != nil { // filepath.Glob ignores it
		return nil, err
	}
	found, err := globFiles(pattern)
	if err != nil {
		return nil, &os.PathError{Op: "glob", Path: pattern, Err: err}
	}
	hidden := strings.HasPrefix(filepath.Base(pattern), ".")
	found = slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir() || !hidden && strings.HasPrefix(filepath.Base(path), ".")
	})
	slices.Sort(found)
	return found, nil
}

// globFiles is filepath.Glob, but ignores the case of names where the system does.
func globFiles(pattern string) (found []string, err error) {
	if runtime.GOOS != "windows" {
		return filepath.Glob(pattern)
	}
	last := strings.ToLower(filepath.Base(pattern))
	if _, err := filepath.Match(last, ""); err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Dir(pattern))
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir) // filepath.Glob ignores the error, too
		for _, e := range entries {
			if ok, _ := filepath.Match(last, strings.ToLower(e.Name())); ok {
				found = append(found, filepath.Join(dir, e.Name()))
			}
		}
	}
	return found, err
}

// isPattern reports whether a path has a wildcard.
func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

// include reads the rest of an include pair and sets the pairs of the file in m.
func (p *parser) include(m *Node, in context) *Error {
	p.path = p.path[:len(p.path)-1] // include is not a setting
	p.skipBlanks()
	at := p.pos()
	path, err := p.includePath()
	if err == nil && path == "" {
		err = errorAt(at, "the name of the file to include is empty")
	}
	if err != nil {
		return err
	}
	roots, err := p.readIncludes(path, at)
	if err != nil {
		m.Partial, p.partial = true, true
		return err
	}
	for _, root := range roots {
		for _, pair := range root.Pairs {
			m.set(pair)
		}
	}
	return p.terminator(in)
}

// readIncludes reads the file of an include or, of a pattern, all that it matches.
func (p *parser) readIncludes(path string, at Pos) (roots []*Node, err *Error) {
	if p.source.Glob == nil || !isPattern(path) {
		root, err := p.readIncluded(path, at)
		return appendRoot(nil, root), err
	}
	files, failed := p.matches(path)
	switch {
	case failed != nil:
		return nil, errorAt(at, "%s%s", includePrefix(path), Printable(failed.Error()))
	case len(files) == 0:
		root, err := p.readIncluded(path, at)
		if err == nil { // a file with such a name
			return appendRoot(nil, root), nil
		}
		p.warnings.add(&Error{Pos: at, Msg: fmt.Sprintf("include '%s' matches no file", shortenTo(path, maxShownText))})
		return nil, nil
	}
	for _, file := range files {
		root, err := p.readMatched(file, at)
		if err != nil {
			return nil, err
		}
		roots = appendRoot(roots, root)
	}
	return roots, nil
}

func appendRoot(list []*Node, root *Node) []*Node {
	if root == nil {
		return list
	}
	return append(list, root)
}

// matches returns the files that a pattern matches, which is relative as a path is.
func (p *parser) matches(pattern string) ([]string, error) {
	within, rooted := p.placesOf(pattern)
	files, err := p.source.Glob(within)
	if len(files) == 0 && rooted != "" {
		return p.source.Glob(rooted)
	}
	return files, err
}

// placesOf returns where the path of an include may lead: first from the directory of the including
// file, which goes for absolute paths too, then, if it is absolute, from the root. On Windows a path
// with a drive leads to that alone, and the root is that of the including file's drive.
func (p *parser) placesOf(path string) (within, rooted string) {
	if filepath.VolumeName(path) != "" {
		return filepath.Clean(path), ""
	}
	if path != "" && os.IsPathSeparator(path[0]) {
		rooted = filepath.Clean(filepath.VolumeName(p.src.name) + path)
	}
	return filepath.Join(filepath.Dir(p.src.name), path), rooted
}

// includePrefix begins the errors about an included file.
func includePrefix(path string) string {
	return fmt.Sprintf("error parsing include file '%s', ", shortenTo(path, maxShownText))
}

// readMatched reads a file that a pattern matches.
func (p *parser) readMatched(file string, at Pos) (*Node, *Error) {
	shown := file
	if rel, err := filepath.Rel(filepath.Dir(p.src.name), file); err == nil && len(rel) < len(file) {
		shown = rel // as the path of an include is written
	}
	prefix := includePrefix(shown)
	if err := p.countIncluded(prefix, at); err != nil {
		return nil, err
	}
	content, err := p.source.Read(file, true)
	if err == nil {
		err = p.addSize(len(content))
	}
	if err != nil {
		return nil, errorAt(at, "%s%s", prefix, Printable(err.Error()))
	}
	if p.matched == nil {
		p.matched = map[string]bool{}
	}
	p.matched[file] = true
	root, e := p.parseIncluded(file, string(content), prefix, at)
	if e != nil {
		e.Hint = "the pattern matches the file that includes it"
	}
	return root, e
}

// countIncluded counts an included file. It returns an error if there are too many.
func (p *parser) countIncluded(prefix string, at Pos) *Error {
	if len(p.files) > maxNesting {
		return errorAt(at, "%sfiles include one another more than %d deep", prefix, maxNesting)
	}
	if p.included++; p.included > maxIncludes {
		return errorAt(at, "%smore than %d files are included", prefix, maxIncludes)
	}
	return nil
}

// addSize adds the size of an included file. It returns an error if all are too large together.
func (p *parser) addSize(n int) error {
	if p.size += n; p.size > maxSize {
		return fmt.Errorf("the files are larger than %d bytes together", maxSize)
	}
	return nil
}

// includePath reads the path behind include.
func (p *parser) includePath() (string, *Error) {
	at := p.pos()
	found := ""
	switch r := p.peek(); {
	case r == '\'' || r == '"':
		path, _, err := p.key() // quoted keys and quoted paths are the same
		return path, err
	case isNewline(r) || r == endOfText:
		found = "new line"
	case r == '[':
		found = "start of an array"
	case r == '{':
		found = "start of a map"
	case r == '(':
		found = "start of a block"
	case r == '-' || isDigit(r):
		found = "start of a number"
	case r == '\\':
		found = "escape sequence"
	}
	if found != "" {
		err := errorAt(at, "Expected include value but found %s", found)
		err.Hint = `write include "file"`
		return "", err
	}
	rest := p.text[p.off:]
	end := strings.IndexFunc(rest, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(";}'", r)
	})
	if end < 0 {
		end = len(rest)
	}
	p.off += end
	if p.peek() == '\'' {
		p.next()
	}
	return rest[:end], nil
}

// readIncluded reads an included file by itself: variables of the including file are not visible in
// it.
func (p *parser) readIncluded(path string, at Pos) (*Node, *Error) {
	prefix := includePrefix(path)
	if err := p.countIncluded(prefix, at); err != nil {
		return nil, err
	}
	shown, text, err := p.openIncluded(path)
	if err != nil {
		e := errorAt(at, "%s%s", prefix, Printable(err.Error()))
		if strings.HasPrefix(path, "=") || strings.HasPrefix(path, ":") {
			e.Hint = `write include "file", without a separator`
		}
		return nil, e
	}
	return p.parseIncluded(shown, text, prefix, at)
}

// parseIncluded parses the text of an included file.
func (p *parser) parseIncluded(shown, text, prefix string, at Pos) (*Node, *Error) {
	file := absolute(shown)
	if slices.ContainsFunc(p.files, func(open string) bool { return sameName(open, file) }) {
		return nil, errorAt(at, "%sthe file includes itself", prefix)
	}
	p.files = append(p.files, file)
	inner := parser{
		lexer: newLexer(shown, text), session: p.session,
		path: p.path, hiddenFrom: p.hiddenFrom, inUsers: p.inUsers, depth: p.depth, prefix: p.prefix + prefix,
	}
	root := inner.file()
	p.files = p.files[:len(p.files)-1]
	return root, nil
}

// sameName reports whether two paths name one file. On Windows case does not count.
func sameName(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}

// openIncluded reads a file named relative to the directory of the including one. That goes for
// absolute paths too, unless the file exists only there. It returns the path it read.
func (p *parser) openIncluded(path string) (file, text string, err error) {
	file, rooted := p.placesOf(path)
	content, err := p.source.Read(file, true)
	if err != nil && rooted != "" {
		if asIs, err2 := p.source.Read(rooted, true); err2 == nil {
			file, content, err = rooted, asIs, nil
		} else if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w, and %w", err, err2)
		}
	}
	if err == nil {
		err = p.addSize(len(content))
	}
	return file, string(content), err
}
