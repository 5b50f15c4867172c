package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// troubleshooting is the heading of the table of log lines.
const troubleshooting = "Troubleshooting"

// loggedFormats are the formats of lines that the broker logs as a warning or worse, as the code
// has them, with a letter for what is filled in. Those that are put together elsewhere are not
// among them.
func loggedFormats(t *testing.T) (formats []string) {
	t.Helper()
	eachSource(t, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if text, ok := literal(loggedArgs(n)); ok {
					formats = append(formats, text)
				}
			case *ast.CompositeLit: // a row with its line and its level
				if text, ok := loggedRow(n); ok {
					formats = append(formats, text)
				}
			}
			return true
		})
	})
	verb := regexp.MustCompile(`%[+#]?[a-z]`)
	for i, f := range formats {
		formats[i] = verb.ReplaceAllString(f, "x")
	}
	slices.Sort(formats)
	return slices.DeleteFunc(slices.Compact(formats), func(f string) bool { return strings.Trim(f, "x") == "" })
}

// eachSource parses what the broker is made of.
func eachSource(t *testing.T, visit func(*ast.File)) {
	t.Helper()
	eachSourceIn(t, "../server", visit)
}

// eachSourceIn calls visit with every file below a directory that is not a test.
func eachSourceIn(t *testing.T, dir string, visit func(*ast.File)) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(file)
		}
		return err
	}))
}

// literal is the first of the arguments, if it is a string.
func literal(args []ast.Expr) (text string, ok bool) {
	if len(args) == 0 {
		return "", false
	}
	lit, ok := args[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// loggedArgs are the format of a call that logs a warning or worse, and what follows it; nil for any
// other call.
func loggedArgs(call *ast.CallExpr) []ast.Expr {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if of, ok := sel.X.(*ast.Ident); ok && of.Name == "fmt" {
		return nil
	}
	switch sel.Sel.Name {
	case "Warnf", "Errorf", "Fatalf", "warnf", "errorf", "fatalf":
		return call.Args
	case "logf", "limitedf": // the level comes first
		if level, ok := call.Args[0].(*ast.Ident); ok && (level.Name == "levelError" || level.Name == "levelWarn") {
			return call.Args[1:]
		}
	}
	return nil
}

// loggedRow is the line of a composite literal that has a log line and the level of an error or a
// warning.
func loggedRow(row *ast.CompositeLit) (text string, ok bool) {
	loud := false
	for _, e := range row.Elts {
		kv, isPair := e.(*ast.KeyValueExpr)
		if !isPair {
			return "", false
		}
		key, _ := kv.Key.(*ast.Ident)
		value, _ := kv.Value.(*ast.Ident)
		switch {
		case key == nil:
		case key.Name == "log":
			text, ok = literal([]ast.Expr{kv.Value})
		case key.Name == "level" && value != nil:
			loud = value.Name == "levelError" || value.Name == "levelWarn"
		}
	}
	return text, ok && loud
}

// TestEveryWarningIsExplained looks whether the table of log lines has each warning and each error
// of the code.
func TestEveryWarningIsExplained(t *testing.T) {
	t.Parallel()
	rows := logRows(t)
	for _, format := range loggedFormats(t) {
		if !slices.ContainsFunc(rows, func(row *regexp.Regexp) bool { return row.MatchString(format) }) {
			t.Errorf("util/README.md says nothing about the log line %q", format)
		}
	}
}

// TestExplainedLinesAreLogged looks whether the texts of the table are in the code, word by word.
func TestExplainedLinesAreLogged(t *testing.T) {
	t.Parallel()
	var all []string
	collect := func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if text, ok := literal([]ast.Expr{lit}); ok {
					all = append(all, text)
				}
			}
			return true
		})
	}
	eachSourceIn(t, "../server", collect)
	eachSourceIn(t, "../conf", collect)
	source := strings.Join(all, "\n")
	for _, line := range logLines(t) {
		for part := range strings.SplitSeq(line, "...") {
			if part = strings.Trim(part, `"' ()[],:`); !strings.Contains(source, part) {
				t.Errorf("util/README.md explains %q: the code has no %q", line, part)
			}
		}
	}
}

// logLines are the lines in the first column of the table, without their level.
func logLines(t *testing.T) (lines []string) {
	t.Helper()
	text := readPage(t, "util/README.md").prose
	_, table, ok := strings.Cut(text, "## "+troubleshooting+"\n")
	if !ok {
		t.Fatalf("util/README.md has no heading %q", troubleshooting)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| (?:WRN|ERR|FTL|INF) \\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		lines = append(lines, strings.ReplaceAll(m[1], `\|`, "|"))
	}
	return lines
}

func logRows(t *testing.T) (rows []*regexp.Regexp) {
	t.Helper()
	for _, line := range logLines(t) {
		rows = append(rows, regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*")+"$"))
	}
	return rows
}
