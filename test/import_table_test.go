package test

import (
	"go/build"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// importRow says what one package of the module may import beside the standard library: packages of
// the module, without "gnatsd/" in front, and modules of others.
type importRow struct {
	imports string
	tests   string // what its tests may import in addition
}

// mayImport has a row for every package of the module.
var mayImport = map[string]importRow{
	"": {imports: "server"},
	"server": {imports: `conf logger sublist server/internal/process server/internal/admission server/internal/tlsfiles
		server/internal/access server/internal/mesh server/internal/netio server/internal/monitor server/internal/system server/internal/spacesaving server/internal/grace
		golang.org/x/sys github.com/nats-io/nuid`,
		tests: "test/certs test/check test/wire github.com/klauspost/compress github.com/nats-io/nats.go github.com/nats-io/nkeys golang.org/x/crypto"},
	"server/internal/process":   {imports: "conf logger golang.org/x/sys"},
	"server/internal/admission": {imports: "server/internal/linked", tests: "test/certs"},
	"server/internal/linked":    {},
	"server/internal/tlsfiles":  {imports: "conf", tests: "test/certs"},
	"server/internal/access": {imports: "sublist server/internal/admission server/internal/linked golang.org/x/crypto github.com/nats-io/nkeys",
		tests: "test/certs"},
	"server/internal/mesh":        {},
	"server/internal/netio":       {imports: "golang.org/x/sys github.com/klauspost/compress", tests: "test/certs"},
	"server/internal/system":      {imports: "github.com/klauspost/compress github.com/nats-io/nuid"},
	"server/internal/monitor":     {imports: "conf server/internal/admission", tests: "github.com/prometheus/client_golang github.com/prometheus/common"},
	"sublist":                     {},
	"conf":                        {},
	"logger":                      {imports: "golang.org/x/sys"},
	"util":                        {},
	"util/release":                {},
	"util/mkpasswd":               {imports: "util/internal/mkpasswd"},
	"util/internal/mkpasswd":      {imports: "golang.org/x/crypto golang.org/x/term", tests: "golang.org/x/sys"},
	"server/internal/grace":       {},
	"server/internal/spacesaving": {},
	"test": {imports: "server",
		tests: "conf logger test/certs test/freeport test/transcript test/wire golang.org/x/sys github.com/nats-io/nats.go github.com/nats-io/nkeys"},
	"test/bench":         {imports: "test/certs test/freeport golang.org/x/sys"},
	"test/certs":         {},
	"test/check":         {imports: "test/wire"},
	"test/certs/mkcerts": {imports: "test/certs"},
	"test/clients":       {imports: "test/freeport github.com/nats-io/nats.go github.com/nats-io/nkeys"},
	"test/faults":        {tests: "test/check golang.org/x/sys github.com/nats-io/nats.go"},
	"test/freeport":      {},
	"test/mutate":        {},
	"test/soak":          {tests: "test/certs test/check test/wire"},
	"test/torture":       {tests: "test/certs test/check golang.org/x/sys"},
	"test/storm":         {tests: "test/certs golang.org/x/crypto"},
	"test/transcript":    {imports: "test/wire"},
	"test/wire":          {},
	"test/windows":       {tests: "test/certs test/wire"},
}

// systems are those whose files of each package are looked at.
var systems = []string{"linux", "darwin", "freebsd", "windows"}

// TestImportsStayInTheTable compares what every package of the module imports, on every system,
// with mayImport.
func TestImportsStayInTheTable(t *testing.T) {
	t.Parallel()
	packages := importsOfModule(t)
	for dir, files := range packages {
		row, ok := mayImport[dir]
		if !ok {
			t.Errorf("package gnatsd/%s has no row in mayImport (import_table_test.go): add what it may import", dir)
			continue
		}
		allowed := strings.Fields(row.imports)
		inTests := append(strings.Fields(row.tests+" "+dir), allowed...) // an external test imports the package itself
		for _, f := range files {
			if f.test && !slices.ContainsFunc(inTests, f.isOf) {
				t.Errorf("gnatsd/%s imports %s: mayImport (import_table_test.go) allows its tests only: %s", path.Join(dir, f.file), f.imports, inTests)
			}
			if !f.test && !slices.ContainsFunc(allowed, f.isOf) {
				t.Errorf("gnatsd/%s imports %s: mayImport (import_table_test.go) allows only: %s", path.Join(dir, f.file), f.imports, allowed)
			}
		}
	}
	for dir := range mayImport {
		if _, ok := packages[dir]; !ok {
			t.Errorf("mayImport (import_table_test.go) has a row for gnatsd/%s, which does not exist", dir)
		}
	}
}

// importing is one import of one file.
type importing struct {
	file    string
	test    bool
	imports string
}

// isOf reports whether what is imported is the package of the module with this path, or belongs to
// this module of others.
func (i importing) isOf(allowed string) bool {
	return i.imports == "gnatsd/"+allowed || strings.HasPrefix(i.imports+"/", allowed+"/")
}

// importsOfModule returns the imports of each package of the module that are not of the standard
// library, by directory.
func importsOfModule(t *testing.T) map[string][]importing {
	t.Helper()
	root := os.DirFS("..")
	dirs := map[string][]importing{}
	must(t, fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if base := entry.Name(); base == "testdata" || name != "." && base[0] == '.' {
			return fs.SkipDir
		}
		if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
			return fs.SkipDir // a module of its own
		}
		if list, ok := importsIn(t, filepath.Join("..", name)); ok {
			dirs[strings.TrimPrefix(name, ".")] = list
		}
		return nil
	}))
	return dirs
}

// importsIn returns the imports of the files in a directory. ok is false if no Go files are there.
func importsIn(t *testing.T, dir string) (list []importing, ok bool) {
	t.Helper()
	found := map[importing]bool{}
	for _, system := range systems {
		context := build.Default
		context.GOOS, context.CgoEnabled = system, false
		p, err := context.ImportDir(dir, 0)
		if _, none := err.(*build.NoGoError); none && len(p.IgnoredGoFiles) == 0 {
			return nil, false
		} else if err != nil && !none {
			t.Fatal(err)
		}
		note := func(imports map[string][]token.Position, test bool) {
			for what, places := range imports {
				if first, _, _ := strings.Cut(what, "/"); !strings.Contains(first, ".") && first != "gnatsd" {
					continue // of the standard library
				}
				for _, at := range places {
					found[importing{filepath.Base(at.Filename), test, what}] = true
				}
			}
		}
		note(p.ImportPos, false)
		note(p.TestImportPos, true)
		note(p.XTestImportPos, true)
	}
	return slices.Collect(maps.Keys(found)), true
}
