package conf

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the .want files instead of comparing")

// testSource reads files of the system and a made-up environment.
func testSource() Source {
	env := map[string]string{
		"ENV_INT": "5", "ENV_FLOAT": "1.5", "ENV_BOOL": "true", "ENV_SIZE": "1mb",
		"ENV_QUOTED": `"a b"`, "ENV_ARRAY": "[1,2]", "ENV_MAP": "{x=1}", "ENV_OTHER": "$ENV_INT",
		"ENV_EMPTY": "", "ENV_FIRST": "1,2", "ENV_HASH": "$2a$11$abc",
		"ENV_SELF": "$ENV_SELF", "ENV_PING": "[$ENV_PONG]", "ENV_PONG": "{x=$ENV_PING}",
		"ENV_BAD": "S3cr3t value", "ENV_BADMAP": "{a=1 2}",
	}
	return Source{Read: readFile, Env: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
}

// dump writes a tree as text: places, kinds and values.
func dump(b *strings.Builder, n *Node, indent string) {
	via := ""
	if n.Var != "" {
		via = " via $" + n.Var
	}
	at := fmt.Sprintf(" @%d:%d%s", n.Pos.Line, n.Pos.Col, via)
	switch n.Kind {
	case Map:
		b.WriteString("map" + at + "\n")
		for _, p := range n.Pairs {
			note := ""
			if p.Used {
				note += " used"
			}
			if n.Lookup(p.Key) != p {
				note += " replaced"
			}
			fmt.Fprintf(b, "%s  %q %s:%d:%d%s = ", indent, p.Key, filepath.Base(p.Pos.File), p.Pos.Line, p.Pos.Col, note)
			dump(b, p.Value, indent+"  ")
		}
	case Array:
		b.WriteString("array" + at + "\n")
		for _, e := range n.Elems {
			b.WriteString(indent + "  - ")
			dump(b, e, indent+"  ")
		}
	case String:
		fmt.Fprintf(b, "string%s %q\n", at, n.Str)
	case Integer:
		fmt.Fprintf(b, "integer%s %d\n", at, n.Int)
	case Float:
		fmt.Fprintf(b, "float%s %v\n", at, n.Float)
	case Boolean:
		fmt.Fprintf(b, "boolean%s %v\n", at, n.Bool)
	case Time:
		fmt.Fprintf(b, "time%s %s\n", at, n.Time.Format(time.RFC3339))
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	file = strings.TrimSuffix(file, ".conf") + ".want"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func corpus(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	return files
}

func TestGoodFilesBecomeTheseTrees(t *testing.T) {
	t.Parallel()
	for _, file := range corpus(t, "testdata/good/*.conf") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			root, err := testSource().File(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			dump(&b, root, "")
			compareGolden(t, file, b.String())
		})
	}
}

func TestBrokenFilesAreExplained(t *testing.T) {
	t.Parallel()
	table := NewTable([]Row[lamp]{{Key: "authorization", Type: Section(SectionType[lamp]{})}}, nil)
	files := corpus(t, "testdata/broken/*.conf")
	if len(files) < 60 {
		t.Errorf("the corpus shrank to %d files", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, err := testSource().File(file)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(table.Explain(err), filepath.ToSlash("testdata/broken/"), "")
			if strings.Contains(got, "S3cr3t") || strings.Contains(got, "hush") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("got %T, want Errors", err)
			}
			for _, e := range es {
				if e.Pos.Line == 0 || e.Pos.Col == 0 {
					t.Errorf("error without a place: %v", e)
				}
			}
			compareGolden(t, file, got+"\n")
		})
	}
}
