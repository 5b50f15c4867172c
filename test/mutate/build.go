package main

// This file compiles tests with all mutants of a package in them.

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// switchSource is the file that a package with mutants has in addition.
//
//go:embed switch.go.txt
var switchSource string

// listed is what the go command says of a package.
type listed struct {
	Dir, ImportPath, Name, Export string
	GoFiles                       []string
}

// source is a package with mutants in it.
type source struct {
	dir     string // of the package
	overlay string // the file for the go command that names the changed files
	mutants []*mutant
}

// instrument finds the mutants in files of the package, those whose names match one of the
// patterns, and writes their sources with all mutants into a directory.
func instrument(root, pkg string, patterns []string, into string) (*source, error) {
	packages, err := list(root, pkg)
	if err != nil {
		return nil, err
	}
	self := packages[len(packages)-1] // what a package imports is listed before it
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range self.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(self.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", exports(packages))}
	checked, err := config.Check(self.ImportPath, fset, files, info)
	if err != nil {
		return nil, err
	}
	f := &finder{fset: fset, info: info, pkg: checked, names: map[string]int{}}
	replace := map[string]string{}
	write := func(name string, src []byte) error {
		changed := filepath.Join(into, name)
		replace[filepath.Join(self.Dir, name)] = changed
		return os.WriteFile(changed, src, 0o600)
	}
	for i, name := range self.GoFiles {
		if !matches(name, patterns) {
			continue
		}
		src, err := os.ReadFile(filepath.Join(self.Dir, name))
		if err != nil {
			return nil, err
		}
		path, err := filepath.Rel(root, filepath.Join(self.Dir, name))
		if err != nil {
			return nil, err
		}
		if err := write(name, f.mutateFile(filepath.ToSlash(path), files[i], src)); err != nil {
			return nil, err
		}
	}
	if err := write("mutant_switch.go", []byte(strings.Replace(switchSource, "PACKAGE", self.Name, 1))); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(into, "overlay.json")
	return &source{dir: self.Dir, overlay: name, mutants: f.mutants}, os.WriteFile(name, overlay, 0o600)
}

// matches reports whether a file is one of those that are to be changed.
func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if ok, err := filepath.Match(p, name); ok && err == nil {
			return true
		}
	}
	return len(patterns) == 0
}

// list returns a package, and all that it imports before it.
func list(root, pkg string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=Dir,ImportPath,Name,Export,GoFiles", pkg)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", pkg, err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// exports finds what the compiler wrote of the packages that are imported.
func exports(packages []listed) func(path string) (io.ReadCloser, error) {
	files := map[string]string{}
	for _, p := range packages {
		files[p.ImportPath] = p.Export
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}

// compileTests compiles the tests of a package.
func compileTests(root, pkg, binary string, args ...string) error {
	args = append([]string{"test", "-c", "-vet=off", "-o", binary}, append(args, pkg)...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
