package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"slices"

	"gnatsd/conf"
)

// readFiles are files that something was loaded from, such as a configuration and those that it
// includes, and a digest of what was in them. Files that were asked for and do not exist count too:
// they may be created.
type readFiles struct {
	names []string // in the order they were read
	sum   hash.Hash
}

// source is a source that takes note of what is read from s.
func (f *readFiles) source(s conf.Source) conf.Source {
	read := s.Read
	s.Read = func(path string, included bool) ([]byte, error) {
		content, err := read(path, included)
		f.note(path, content, err)
		return content, err
	}
	return s
}

// note adds a file to the digest. Of errors only that there is one counts.
func (f *readFiles) note(path string, content []byte, err error) {
	if f.sum == nil {
		f.sum = sha256.New()
	}
	f.names = append(f.names, path)
	fmt.Fprintf(f.sum, "%q %v %d\n", path, err != nil, len(content)) // never fails
	f.sum.Write(content)
}

// digest is equal for equal contents of the files; "" if none was read.
func (f *readFiles) digest() string {
	if f.sum == nil {
		return ""
	}
	return string(f.sum.Sum(nil))
}

// now reads the files again.
func (f *readFiles) now() *readFiles {
	again := &readFiles{}
	s := again.source(onlyRegular(conf.System()))
	for i, name := range f.names {
		_, _ = s.Read(name, i > 0) // an error is part of the digest
	}
	return again
}

// onlyRegular is s for a running server, which must not hang: a pipe, from which
// it may have been started, cannot be read again.
func onlyRegular(s conf.Source) conf.Source {
	read := s.Read
	s.Read = func(path string, included bool) ([]byte, error) {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.Mode().IsRegular():
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file, it cannot be read again")}
		case err != nil && !slices.ContainsFunc([]error{fs.ErrNotExist, fs.ErrPermission}, func(e error) bool { return errors.Is(err, e) }):
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
		}
		return read(path, included)
	}
	return s
}
