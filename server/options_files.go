package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gnatsd/conf"
)

// readFiles are files that settings or certificates were loaded from, and a digest of their
// contents. It includes files that could not be read: they may be created later.
type readFiles struct {
	names []string // in the order they were read; a pattern begins with patternMark
	sum   hash.Hash
	empty map[string]bool // of the files that could be read: whether they are

	included []string // that the first one includes, and that could be read
}

// source returns a source that reads from s and adds what it reads to f.
func (f *readFiles) source(s conf.Source) conf.Source {
	read := s.Read
	s.Read = func(path string, included bool) ([]byte, error) {
		content, err := read(path, included)
		f.note(path, content, err)
		if included && err == nil {
			f.included = append(f.included, path)
		}
		return content, err
	}
	glob := s.Glob
	if glob == nil {
		return s
	}
	s.Glob = func(pattern string) ([]string, error) {
		found, err := glob(pattern)
		f.note(patternMark+pattern, fmt.Appendf(nil, "%q", found), err)
		return found, err
	}
	return s
}

// patternMark marks a pattern among the names of files, where no path has this byte.
const patternMark = "\x00"

// note adds a file to the digest. All errors count alike.
func (f *readFiles) note(path string, content []byte, err error) {
	if f.sum == nil {
		f.sum, f.empty = sha256.New(), map[string]bool{}
	}
	if err == nil {
		f.empty[path] = len(bytes.TrimSpace(content)) == 0
	}
	f.names = append(f.names, path)
	fmt.Fprintf(f.sum, "%q %v %d\n", path, err != nil, len(content)) // never fails
	f.sum.Write(content)
}

// digest returns a hash of the contents of the files; "" if none was read.
func (f *readFiles) digest() string {
	if f.sum == nil {
		return ""
	}
	return string(f.sum.Sum(nil))
}

// emptied returns one of the files that is empty and was not before; "" if there is none.
func (f *readFiles) emptied(before *readFiles) string {
	for _, name := range f.names {
		if was, read := before.empty[name]; f.empty[name] && read && !was {
			return name
		}
	}
	return ""
}

// reread reads the files again.
func (f *readFiles) reread() *readFiles {
	again := &readFiles{}
	s := again.source(onlyRegular(conf.System()))
	for i, name := range f.names {
		// An error is part of the digest.
		if pattern, ok := strings.CutPrefix(name, patternMark); ok {
			_, _ = s.Glob(pattern)
		} else {
			_, _ = s.Read(name, i > 0)
		}
	}
	return again
}

// onlyRegular returns a source that reads only regular files of s. A reload must not hang: a pipe,
// which the configuration may have been read from at start, cannot be read again.
func onlyRegular(s conf.Source) conf.Source {
	read := s.Read
	s.Read = func(path string, included bool) ([]byte, error) {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.Mode().IsRegular():
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("cannot be read again: not a regular file")}
		case err != nil && !slices.ContainsFunc([]error{fs.ErrNotExist, fs.ErrPermission}, func(e error) bool { return errors.Is(err, e) }):
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
		}
		return read(path, included)
	}
	return s
}
