package test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateExported = flag.Bool("update-exported", false, "write the lists of exported names in testdata/exported instead of comparing")

// TestExportedNamesStay compares what packages server and test export with the lists in
// testdata/exported: every name, field, method, signature, type, struct tag and constant. Programs
// that embed the broker rely on them. After a change on purpose:
//
//	go test ./test -run TestExportedNamesStay -update-exported
func TestExportedNamesStay(t *testing.T) {
	t.Parallel()
	paths := []string{"gnatsd/server", "gnatsd/test"}
	packages := compiledPackages(t, paths)
	for _, path := range paths {
		got := exportedLines(packages[path])
		file := filepath.Join("testdata", "exported", filepath.Base(path)+".txt")
		if *updateExported {
			must(t, os.WriteFile(file, []byte(strings.Join(got, "\n")+"\n"), 0o644))
			continue
		}
		text, err := os.ReadFile(file)
		must(t, err)
		want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		for _, line := range without(want, got) {
			t.Errorf("package %s no longer exports\n\t%s", path, line)
		}
		for _, line := range without(got, want) {
			t.Errorf("package %s exports what %s does not list\n\t%s", path, file, line)
		}
	}
	if t.Failed() {
		t.Log("if that is on purpose: go test ./test -run TestExportedNamesStay -update-exported")
	}
}

// without returns the lines of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
}

// compiledPackages returns the types of packages as the compiler wrote them to its cache. It
// compiles without cgo, as the tests build the binary, so that most of the work is done once.
func compiledPackages(t *testing.T, paths []string) map[string]*types.Package {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, paths...)...)
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	exports := map[string]string{}
	for in := json.NewDecoder(bytes.NewReader(out)); in.More(); {
		var p struct{ ImportPath, Export string }
		must(t, in.Decode(&p))
		exports[p.ImportPath] = p.Export
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	packages := map[string]*types.Package{}
	for _, path := range paths {
		p, err := from.Import(path)
		must(t, err)
		packages[path] = p
	}
	return packages
}

// exportedLines describes each exported object of a package, and each exported field and method of
// its types, in a line.
func exportedLines(p *types.Package) (lines []string) {
	l := exportedList{types.RelativeTo(p), &lines}
	for _, name := range p.Scope().Names() {
		if object := p.Scope().Lookup(name); object.Exported() {
			l.object(object)
		}
	}
	return lines
}

// exportedList collects lines in which the names of other packages are qualified.
type exportedList struct {
	qualifier types.Qualifier
	lines     *[]string
}

func (l exportedList) add(format string, v ...any) {
	*l.lines = append(*l.lines, fmt.Sprintf(format, v...))
}

// text is a type in Go syntax, without names of parameters, which a caller does not depend on.
func (l exportedList) text(typ types.Type) string {
	return types.TypeString(nameless(typ), l.qualifier)
}

func (l exportedList) object(object types.Object) {
	switch o := object.(type) {
	case *types.Const:
		l.add("const %s %s = %s", o.Name(), l.text(o.Type()), o.Val().ExactString())
	case *types.Var:
		l.add("var %s %s", o.Name(), l.text(o.Type()))
	case *types.Func:
		l.add("func %s%s", o.Name(), strings.TrimPrefix(l.text(o.Type()), "func"))
	case *types.TypeName:
		if o.IsAlias() {
			l.add("type %s = %s", o.Name(), l.text(types.Unalias(o.Type())))
			return
		}
		l.named(o)
	}
}

func (l exportedList) named(o *types.TypeName) {
	switch under := o.Type().Underlying().(type) {
	case *types.Struct:
		l.add("type %s struct", o.Name())
		l.fields(o.Name(), under)
	case *types.Interface:
		l.add("type %s interface", o.Name())
		for i := range under.NumMethods() {
			m := under.Method(i)
			l.add("type %s interface, %s%s", o.Name(), m.Name(), strings.TrimPrefix(l.text(m.Type()), "func"))
		}
		return
	default:
		l.add("type %s %s", o.Name(), l.text(under))
	}
	values := types.NewMethodSet(o.Type())
	methods := types.NewMethodSet(types.NewPointer(o.Type()))
	for i := range methods.Len() {
		m := methods.At(i).Obj()
		if !m.Exported() {
			continue
		}
		receiver := "*" + o.Name()
		if values.Lookup(m.Pkg(), m.Name()) != nil {
			receiver = o.Name()
		}
		l.add("method (%s) %s%s", receiver, m.Name(), strings.TrimPrefix(l.text(m.Type()), "func"))
	}
}

// fields lists the fields of a struct, those of embedded structs that are not exported themselves
// included.
func (l exportedList) fields(owner string, s *types.Struct) {
	for i := range s.NumFields() {
		f, tag := s.Field(i), s.Tag(i)
		if tag != "" {
			tag = " `" + tag + "`"
		}
		switch embedded, isStruct := f.Type().Underlying().(*types.Struct); {
		case f.Exported() && f.Embedded():
			l.add("field %s, embedded %s%s", owner, l.text(f.Type()), tag)
		case f.Exported():
			l.add("field %s.%s %s%s", owner, f.Name(), l.text(f.Type()), tag)
		case f.Embedded() && isStruct:
			l.fields(owner, embedded)
		}
	}
}

// nameless returns the type of a function without the names of parameters and results, and any
// other type as it is.
func nameless(typ types.Type) types.Type {
	if f, ok := typ.(*types.Signature); ok {
		return types.NewSignatureType(nil, nil, nil, namelessVars(f.Params()), namelessVars(f.Results()), f.Variadic())
	}
	return typ
}

func namelessVars(vars *types.Tuple) *types.Tuple {
	var list []*types.Var
	for i := range vars.Len() {
		list = append(list, types.NewParam(token.NoPos, nil, "", nameless(vars.At(i).Type())))
	}
	return types.NewTuple(list...)
}
