package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLockPageIsComplete compares the table of locks in doc.go with the mutexes in the code of the
// broker: package.Type.field, without the package for those of this one.
func TestLockPageIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("doc.go")
	okay(t, err)
	_, table, _ := strings.Cut(string(page), "# The order of locks")
	row := regexp.MustCompile(`(?m)^//\t([a-z]*\.?[A-Za-z]+\.[A-Za-z]+)\s`)
	var listed []string
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(listed)
	mutexes := map[string]bool{}
	for dir, files := range goFiles(t) {
		for _, f := range files {
			mutexesOf(f, filepath.Base(dir), mutexes)
		}
	}
	if got := slices.Sorted(maps.Keys(mutexes)); !slices.Equal(got, listed) {
		t.Errorf("mutexes in the code:\n%s\nrows in doc.go:\n%s", strings.Join(got, "\n"), strings.Join(listed, "\n"))
	}
}

// goFiles returns the parsed files of the broker, tests excepted, by directory.
func goFiles(t *testing.T) map[string][]*ast.File {
	t.Helper()
	files := map[string][]*ast.File{}
	set := token.NewFileSet()
	for _, root := range []string{".", "../sublist", "../logger", "../conf"} {
		okay(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			dir := filepath.Dir(path)
			files[dir] = append(files[dir], f)
			return err
		}))
	}
	return files
}

// mutexesOf notes the mutexes in the structs of a file, those that are pointers to another one
// excepted.
func mutexesOf(f *ast.File, pkg string, found map[string]bool) {
	prefix := pkg + "."
	if pkg == "." {
		prefix = ""
	}
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				if v, ok := spec.(*ast.ValueSpec); ok && isMutex(v.Type) {
					found[prefix+v.Names[0].Name] = true
				}
				continue
			}
			ast.Inspect(typ.Type, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok && isMutex(field.Type) {
					for _, name := range field.Names {
						found[prefix+typ.Name.Name+"."+name.Name] = true
					}
				}
				return true
			})
		}
	}
}

func isMutex(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "sync" && (sel.Sel.Name == "Mutex" || sel.Sel.Name == "RWMutex")
}

// underLockNever are methods that log, wait for the network or files, or start goroutines' work of
// others: none may be called between Lock and Unlock.
var underLockNever = map[string]bool{
	"debugf": true, "tracef": true, "errorf": true, "noticef": true, "logf": true,
	"Debugf": true, "Tracef": true, "Errorf": true, "Noticef": true, "Warnf": true, "Fatalf": true,
	"Write": true, "WriteString": true, "Read": true, "Dial": true, "DialTimeout": true, "Listen": true, "Accept": true,
	"push": true, "Push": true, "send": true, "sendErr": true, "slowConsumer": true,
}

// TestNothingIsLoggedOrWrittenUnderALock looks into every function that locks a mutex, and those
// that need one held by their name.
func TestNothingIsLoggedOrWrittenUnderALock(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		if strings.Contains(dir, "logger") {
			continue // its queue's writer is what a log is
		}
		for _, f := range files {
			for _, decl := range f.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				for _, call := range callsUnderLock(fn) {
					if underLockNever[call] {
						t.Errorf("%s: %s calls %s while it holds a lock", dir, fn.Name.Name, call)
					}
				}
			}
		}
	}
}

// callsUnderLock returns the names of what a function calls from its first Lock to the Unlock that
// follows in its text, or to its end if that is deferred. What a closure does is not counted.
func callsUnderLock(fn *ast.FuncDecl) (calls []string) {
	held, always := strings.HasSuffix(fn.Name.Name, "Locked"), strings.HasSuffix(fn.Name.Name, "Locked")
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.DeferStmt:
			if sel, ok := n.Call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Unlock" || sel.Sel.Name == "RUnlock") {
				always = held
			}
			return false
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch name := sel.Sel.Name; {
			case name == "Lock" || name == "RLock":
				held = true
			case name == "Unlock" || name == "RUnlock":
				held = held && always
			case held:
				calls = append(calls, name)
			}
		}
		return true
	})
	return calls
}
