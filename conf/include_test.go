package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes a directory of files, each written as "name: content".
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, content, _ := strings.Cut(f, ": ")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestIncludeOfAPattern reads the keys in the order in which the files of a pattern give them.
func TestIncludeOfAPattern(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files []string
		want  string // keys, warnings, errors; DIR is the directory
	}{
		{"in the order of their names", []string{"main: include \"d/*.conf\"", "d/20.conf: b=1", "d/10.conf: a=1", "d/100.conf: c=1"}, "a c b"},
		{"between the keys around it", []string{"main: x=1\ninclude d/*.conf\ny=1", "d/1.conf: a=1", "d/2.conf: b=1"}, "x a b y"},
		{"not the files of editors, nor directories", []string{"main: include 'd/*.conf'", "d/a.conf: a=1", "d/a.conf~: no=1", "d/.a.conf: no=1", "d/.#b.conf: no=1", "d/a.conf.bak: no=1", "d/#a.conf#: no=1", "d/sub.conf/x: no=1"}, "a"},
		{"hidden files if the pattern says so", []string{"main: include 'd/.*.conf'", "d/.a.conf: a=1"}, "a"},
		{"in a directory with a pattern", []string{"main: include 'd/*/x.conf'", "d/2/x.conf: b=1", "d/1/x.conf: a=1"}, "a b"},
		{"relative to the file that includes", []string{"main: include d/m.conf", "d/m.conf: include 'e/*'", "d/e/f: a=1", "e/f: no=1"}, "a"},
		{"a file whose name looks like a pattern", []string{"main: include 'a[1].conf'", "a[1].conf: a=1"}, "a"},
		{"inside a map", []string{"main: m { include 'd/*.conf' }", "d/1.conf: a=1"}, "m"},
		{"that matches nothing", []string{"main: x=1, include 'd/*.conf'", "d/x: no=1"}, "x warning: DIR/main:1:14: include 'd/*.conf' matches no file"},
		{"in a directory that is missing", []string{"main: include 'd/*.conf'"}, "error: DIR/main:1:9: error parsing include file 'd/*.conf', open DIR/d: no such file or directory"},
		{"that is malformed", []string{"main: include 'd/[a'", "d/a: a=1"}, "error: DIR/main:1:9: error parsing include file 'd/[a', glob DIR/d/[a: syntax error in pattern"},
		{"that matches the file itself", []string{"main.conf: include '*.conf'"}, "error: DIR/main.conf:1:9: error parsing include file 'main.conf', the file includes itself (the pattern matches the file that includes it)"},
		{"with a cycle", []string{"main: include 'd/*.conf'", "d/a.conf: include '*.conf'"}, "error: DIR/d/a.conf:1:9: error parsing include file 'd/a.conf', error parsing include file 'a.conf', the file includes itself (the pattern matches the file that includes it)"},
		{"with a mistake in one file", []string{"main: include 'd/*.conf'", "d/a.conf: a=1", "d/b.conf: b=[1"}, "a b error: DIR/d/b.conf:1:3: b: error parsing include file 'd/b.conf', Expected "},
		{"a file that ends after a key", []string{"main: x=1, include 'd/*.conf'", "d/a.conf: authorization\n"}, "x warning: DIR/d/a.conf:1:1: authorization: it has no value"},
		{"a missing file is an error", []string{"main: include 'd.conf'"}, "error: DIR/main:1:9: error parsing include file 'd.conf', open DIR/d.conf: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, tt.files...)
			name, _, _ := strings.Cut(tt.files[0], ": ")
			root, err := System().File(filepath.Join(dir, name))
			var got []string
			if root != nil {
				for p := range root.Effective() {
					got = append(got, p.Key)
				}
				for _, w := range root.Warnings {
					got = append(got, "warning: "+w.Error())
				}
			}
			if err != nil {
				got = append(got, "error: "+err.Error())
			}
			text := strings.ReplaceAll(strings.Join(got, " "), dir, "DIR")
			if !strings.HasPrefix(text, tt.want) || !strings.Contains(tt.want, "error:") && text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

// TestFilesOfAPatternAreBounded includes more files than there may be.
func TestFilesOfAPatternAreBounded(t *testing.T) {
	t.Parallel()
	source := Source{
		Read: func(path string, _ bool) ([]byte, error) { return []byte("include '*'"), nil },
		Glob: func(string) ([]string, error) {
			var list []string
			for i := range 2 * maxIncludes {
				list = append(list, fmt.Sprint(i))
			}
			return list, nil
		},
	}
	if _, err := source.File("main"); err == nil || len(err.Error()) > 1<<20 {
		t.Errorf("got %v", err)
	}
}
