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

var updateIndex = flag.Bool("update-index", false, "write the places of tests into the pages that name them")

// indexedTest finds a test in the index: its name, and the file that the link leads to.
var indexedTest = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)\]\(([^)]+)\)`)

// indexPages are the pages that name tests.
var indexPages = []string{"test/README.md", "server/README.md"}

// TestIndexNamesTestsThatExist looks whether each test that a page names is in the file it links to.
// After tests have been moved:
//
//	go test ./test -run TestIndex -update-index
func TestIndexNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	places := testPlaces(t)
	for _, page := range indexPages {
		path := filepath.Join("..", page)
		text, err := os.ReadFile(path)
		must(t, err)
		updated := indexedTest.ReplaceAllStringFunc(string(text), func(link string) string {
			m := indexedTest.FindStringSubmatch(link)
			var files []string // from the folder of the page
			for _, file := range places[m[1]] {
				from, err := filepath.Rel(filepath.Dir(path), file)
				must(t, err)
				files = append(files, filepath.ToSlash(from))
			}
			if len(files) == 0 {
				t.Errorf("%s names %s: there is no such test", page, m[1])
				return link
			}
			if slices.Contains(files, m[2]) {
				return link
			}
			if !*updateIndex {
				t.Errorf("%s has %s in %s: it is in %s (go test ./test -run TestIndex -update-index)", page, m[1], m[2], files[0])
			}
			return "[" + m[1] + "](" + files[0] + ")"
		})
		if *updateIndex {
			must(t, os.WriteFile(path, []byte(updated), 0o644))
		}
	}
}

// overloads are what the overload contract is about, with a word of its heading for each.
var overloads = []string{"connections at once", "Publishers", "Subscribers", "subscriptions", "receivers", "descriptors", "disk", "clock", "GOMEMLIMIT"}

// TestEverySentenceOfTheOverloadContractHasItsTests looks at the section of server/README.md: every
// row of its tables is a sentence and names tests, and nothing is promised outside of tables.
func TestEverySentenceOfTheOverloadContractHasItsTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../server/README.md")
	must(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Overload contract\n")
	if !ok {
		t.Fatal("server/README.md has no section Overload contract")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, section, _ = strings.Cut(section, "\n### ")
	parts := strings.Split(section, "\n### ")
	if len(parts) != len(overloads) {
		t.Errorf("%d parts, want one for each of %q", len(parts), overloads)
	}
	for i, part := range parts[:min(len(parts), len(overloads))] {
		lines := strings.Split(strings.TrimSpace(part), "\n")
		if !strings.Contains(lines[0], overloads[i]) {
			t.Errorf("part %d is about %q, want %q", i+1, lines[0], overloads[i])
		}
		rows := 0
		for _, line := range lines[1:] {
			cells := strings.Split(line, "|")
			switch {
			case line == "" || line == "|---|---|" || line == "| Promise | Tests |":
			case len(cells) != 4 || !strings.HasSuffix(cells[1], ". "):
				t.Errorf("%s: %q is no row with a sentence", lines[0], line)
			case !indexedTest.MatchString(cells[2]):
				t.Errorf("%s: %q has no test", lines[0], cells[1])
			default:
				rows++
			}
		}
		if rows == 0 {
			t.Errorf("%s: nothing is promised", lines[0])
		}
	}
}

// testPlaces are the files of every test and fuzz target, from this folder by way of the top.
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
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			places[m[1]] = append(places[m[1]], path)
		}
		return err
	}))
	return places
}
