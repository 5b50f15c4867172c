package server

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocNamesEveryFile looks whether every file of the package, and every package below
// server/internal, is named in doc.go, and whether the files that it names are there.
func TestDocNamesEveryFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"doc.go": true}
	for _, name := range regexp.MustCompile(`\b\w+\.go\b`).FindAllString(string(text), -1) {
		named[name] = true
		if _, err := os.Stat(name); err != nil {
			t.Errorf("doc.go names a file that is not there: %v", err)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 50 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") && !named[file] {
			t.Errorf("doc.go does not name %s: say in one line what it is for", file)
		}
	}
	packages, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if !regexp.MustCompile(`(?i)package ` + p.Name() + `\b|internal/` + p.Name() + `\b|\b` + p.Name() + `\.[A-Z]`).Match(text) {
			t.Errorf("doc.go does not name package %s", p.Name())
		}
	}
}
