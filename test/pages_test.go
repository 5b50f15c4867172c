package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The pages are the documentation: one for each folder that has something to say to its readers.
// What can be checked of them, is: their links here, and their commands and configurations in
// pages_linux_test.go.

// pagePaths are the pages, from the top of the repository.
var pagePaths = []string{"README.md", "conf/README.md", "server/README.md", "util/README.md", "util/CHANGELOG.md", "test/README.md", "test/bench/RESULTS.md"}

// pageLines is how long the page of those who arrive may be.
const pageLines = 150

// document is a page, cut into its parts.
type document struct {
	path     string // from the top of the repository
	lines    []string
	headings []string // without marks
	anchors  []string // of the headings, as GitHub makes them
	blocks   []pageBlock
	prose    string // what is not in blocks
}

// pageBlock is a fenced block of a page.
type pageBlock struct {
	page    string
	line    int    // of the opening fence, from 1
	heading string // that it stands under
	kind    string // after the fence
	lines   []string
}

// text is the block as one text.
func (b *pageBlock) text() string { return strings.Join(b.lines, "\n") + "\n" }

// readPage reads a page.
func readPage(t *testing.T, path string) *document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	must(t, err)
	p := &document{path: path, lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}
	var open *pageBlock
	heading := ""
	for i, line := range p.lines {
		fence, fenced := strings.CutPrefix(line, "```")
		switch {
		case fenced && open == nil:
			open = &pageBlock{page: path, line: i + 1, heading: heading, kind: fence}
		case fenced:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			p.prose += line + "\n"
			if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
				heading = title
				p.headings = append(p.headings, title)
				p.anchors = append(p.anchors, pageAnchor(title))
			}
		}
	}
	if open != nil {
		t.Errorf("%s:%d: a block that never ends", path, open.line)
	}
	return p
}

// pageAnchor is the anchor of a heading: lower case, without punctuation, with hyphens for blanks.
func pageAnchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-', r == '_', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r > 127:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// TestEveryPageIsListed finds pages that no test here would look at.
func TestEveryPageIsListed(t *testing.T) {
	t.Parallel()
	must(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		if filepath.Ext(path) == ".md" && !slices.Contains(pagePaths, name) {
			t.Errorf("%s is not in pagePaths", name)
		}
		return err
	}))
	if n := len(readPage(t, "README.md").lines); n > pageLines {
		t.Errorf("README.md has %d lines, want %d at most: what is not for those who arrive belongs to the page of a folder", n, pageLines)
	}
}

var (
	// pageLink finds the targets of links and pictures, in Markdown and in HTML.
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	// pageFile finds names in code that look like files of the repository.
	pageFile = regexp.MustCompile("`\\.?/?((?:server|conf|logger|sublist|util|test)/[\\w./-]+)`")
)

// TestLinksOfThePages looks whether every file that a page names is there, and every heading that
// it links to.
func TestLinksOfThePages(t *testing.T) {
	t.Parallel()
	anchors := map[string][]string{}
	for _, path := range pagePaths {
		anchors[path] = readPage(t, path).anchors
	}
	for _, path := range pagePaths {
		p := readPage(t, path)
		for _, m := range pageLink.FindAllStringSubmatch(p.prose, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue // of others: a test must not depend on them
			}
			file, anchor, _ := strings.Cut(target, "#")
			if file != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
			} else {
				file = path
			}
			if _, err := os.Stat(filepath.Join("..", file)); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			} else if anchor != "" && !slices.Contains(anchors[file], anchor) {
				t.Errorf("%s links to %s: %s has only the headings %q", path, target, file, anchors[file])
			}
		}
		for _, m := range pageFile.FindAllStringSubmatch(p.prose, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s: %v", path, m[1], err)
			}
		}
	}
}

// pageFlag finds flags in code: alone, or of the program.
var pageFlag = regexp.MustCompile("`(?:\\./)?(?:gnatsd )?(--?[A-Za-z_][\\w-]*)[^`]*`")

// TestFlagsOfThePages looks whether the program knows every flag that a page names. Flags of other
// programs stand in blocks, or with the program's name in front; the pages of this folder are about
// other programs.
func TestFlagsOfThePages(t *testing.T) {
	t.Parallel()
	for _, path := range pagePaths {
		if strings.HasPrefix(path, "test/") {
			continue
		}
		for _, m := range pageFlag.FindAllStringSubmatch(readPage(t, path).prose, -1) {
			if m[1] == "-ERR" { // of the protocol
				continue
			}
			_, said, _ := run(t, m[1]+"=x", "-v") // flags are read from left to right
			if strings.Contains(said, "flag provided but not defined") {
				t.Errorf("%s: %s", path, said)
			}
		}
	}
}
