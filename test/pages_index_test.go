package test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateIndex = flag.Bool("update-index", false, "write the places of tests into test/README.md")

// indexedTest finds a test in the index: its name, and the file that the link leads to.
var indexedTest = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)\]\(([^)]+)\)`)

// TestIndexNamesTestsThatExist looks whether each test that test/README.md names is in the file it
// links to. After tests have been moved:
//
//	go test ./test -run TestIndex -update-index
func TestIndexNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	places := testPlaces(t)
	text, err := os.ReadFile("README.md")
	must(t, err)
	updated := indexedTest.ReplaceAllStringFunc(string(text), func(link string) string {
		m := indexedTest.FindStringSubmatch(link)
		files := places[m[1]]
		if len(files) == 0 {
			t.Errorf("test/README.md names %s: there is no such test", m[1])
			return link
		}
		if slices.Contains(files, m[2]) {
			return link
		}
		if !*updateIndex {
			t.Errorf("test/README.md has %s in %s: it is in %s (go test ./test -run TestIndex -update-index)", m[1], m[2], files[0])
		}
		return "[" + m[1] + "](" + files[0] + ")"
	})
	if *updateIndex {
		must(t, os.WriteFile("README.md", []byte(updated), 0o644))
	}
}

// testPlaces are the files of every test and fuzz target, from this folder.
func testPlaces(t *testing.T) map[string][]string {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	places := map[string][]string{}
	must(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(".", path)
		if rest, here := strings.CutPrefix(filepath.ToSlash(from), "../test/"); here {
			from = rest
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			places[m[1]] = append(places[m[1]], filepath.ToSlash(from))
		}
		return err
	}))
	return places
}
