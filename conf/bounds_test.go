package conf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// filesOf is a source of made-up files and variables.
func filesOf(files, env map[string]string) Source {
	return Source{
		Read: func(path string, _ bool) ([]byte, error) {
			if text, ok := files[filepath.ToSlash(path)]; ok {
				return []byte(text), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
		Env: func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		},
	}
}

func TestNoInputExhaustsTheProcess(t *testing.T) {
	t.Parallel()
	doubling := func(form string, levels int) string { // each level holds the one before twice
		var b strings.Builder
		b.WriteString("v0 = [1,2,3,4]\n")
		for i := range levels {
			fmt.Fprintf(&b, form+"\n", i+1, i)
		}
		return b.String()
	}
	chain := make(map[string]string)
	tree := make(map[string]string)
	for i := range 40 {
		chain[fmt.Sprintf("f%d", i)] = fmt.Sprintf("include f%d", i+1)
		tree[fmt.Sprintf("f%d", i)] = fmt.Sprintf("include f%d\ninclude f%d", i+1, i+1)
	}
	tree["f15"] = ""
	pingPong := map[string]string{"f0": "include f1", "f1": "m { include f0 }"}
	big := map[string]string{"f0": strings.Repeat("include f1\n", 20), "f1": strings.Repeat("#", 1<<20)}
	env := make(map[string]string)
	envTwice := map[string]string{"E18": "[1,2,3,4]"}
	for i := range 40 {
		env[fmt.Sprintf("E%d", i)] = fmt.Sprintf("$E%d", i+1)
	}
	envMaps := make(map[string]string)
	for i := range 20 {
		var b strings.Builder
		for j := range 20 {
			fmt.Fprintf(&b, "e%d=$E%d\n", j, j)
		}
		envMaps[fmt.Sprintf("E%d", i)] = "{" + b.String() + "}"
	}
	for i := range 18 {
		envTwice[fmt.Sprintf("E%d", i)] = fmt.Sprintf("[$E%d,$E%d]", i+1, i+1)
	}
	var manyKeys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&manyKeys, "key_%d=1\n", i)
	}
	const longest = 2 * time.Minute // with the race detector, beside other tests; without bounds some take for ever
	for _, tc := range []struct {
		name  string
		files map[string]string
		env   map[string]string
		want  string // in the error; empty if there is none
	}{
		{"arrays open without end", map[string]string{"f0": "a=" + strings.Repeat("[", 1<<20)}, nil, "nested more than 200 deep"},
		{"maps open without end", map[string]string{"f0": strings.Repeat("a {", 1<<20)}, nil, "nested more than 200 deep"},
		{"maps open line by line", map[string]string{"f0": strings.Repeat("a {\n", 1<<18)}, nil, "nested more than 200 deep"},
		{"variables double as maps", map[string]string{"f0": doubling("v%d = {a=$v%d, b=$v%[2]d}", 40)}, nil, "variables expand to more than"},
		{"variables double as arrays", map[string]string{"f0": doubling("v%d = [$v%d, $v%[2]d]", 40)}, nil, "variables expand to more than"},
		{"variables nest", map[string]string{"f0": doubling("v%d = "+strings.Repeat("[", 150)+"$v%d"+strings.Repeat("]", 150), 1000)}, nil, "nested more than 200 deep"},
		{"a long string is meant often", map[string]string{"f0": "s='" + strings.Repeat("x", 1<<16) + "'\na=[" + strings.Repeat("$s,", 1000) + "]"}, nil, "variables expand to more than"},
		{"a file includes itself", map[string]string{"f0": "include f0"}, nil, "includes itself"},
		{"two files include each other", pingPong, nil, "includes itself"},
		{"files include one another in a chain", chain, nil, "more than 20 deep"},
		{"each file includes two", tree, nil, "more than 1000 files"},
		{"included files are large together", big, nil, "larger than 16777216 bytes together"},
		{"variables of the environment chain", map[string]string{"f0": "a=$E0"}, env, "more than 20 deep"},
		{"variables of the environment double", map[string]string{"f0": "a=$E0\nb=$E0\nc=$E0\nd=$E0"}, envTwice, "variables expand to more than"},
		{"variables of the environment are maps of one another", map[string]string{"f0": "a=$E0"}, envMaps, "refers to itself"},
		{"there are too many values", map[string]string{"f0": "a=[" + strings.Repeat("1,", 600_000) + "]"}, nil, "more than 500000 values"},
		{"errors have no end", map[string]string{"f0": strings.Repeat("a=1 2\n", 100_000)}, nil, "too many errors"},
		{"quotes have no end", map[string]string{"f0": "a=1 " + strings.Repeat(`"" '' `, 1<<19)}, nil, "Expected a top-level value"},
		{"quotes are never closed", map[string]string{"f0": strings.Repeat("a='x\nb=\"y\nc (\n", 1) + strings.Repeat("\n", 1<<20)}, nil, "never closed"},
		{"many values on one line", map[string]string{"f0": strings.Repeat("a=1;", 200_000)}, nil, ""},
		{"many secrets on one line", map[string]string{"f0": strings.Repeat("pass=1;", 200_000)}, nil, ""},
		{"many quoted secrets on one line", map[string]string{"f0": strings.Repeat(`"pass":"1","x":2,`, 100_000)}, nil, ""},
		{"many keys", map[string]string{"f0": manyKeys.String()}, nil, ""},
		{"the same variable is used often", map[string]string{"f0": "v=1\n" + strings.Repeat("a=$v;", 100_000)}, nil, ""},
		{"braces close without end", map[string]string{"f0": strings.Repeat("}", 1<<20)}, nil, "too many errors"},
		{"braces open without end", map[string]string{"f0": strings.Repeat("{", 1<<20)}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := filesOf(tc.files, tc.env).File("f0")
			if took := time.Since(start); took > longest {
				t.Errorf("took %v", took)
			}
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("got %v, want no error", shorten(err.Error()))
			case tc.want != "" && err == nil:
				t.Fatalf("got no error, want %q", tc.want)
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Fatalf("got %.300s, want %q", err.Error(), tc.want)
			}
			if err != nil {
				lampTable().Explain(err)
			}
		})
	}
}

func TestPairsThatReadSurviveAnError(t *testing.T) {
	t.Parallel()
	root, err := testSource().Text("x.conf", "a=1\nb=2 3\nm { c=4 5\nd=6 }\ne=7\n")
	var es Errors
	if !errors.As(err, &es) || len(es) != 2 {
		t.Fatalf("got %v, want two errors", err)
	}
	for _, key := range []string{"a", "b", "m", "e"} {
		if root.Lookup(key) == nil {
			t.Errorf("%s is missing", key)
		}
	}
	if root.Lookup("m").Value.Lookup("d") == nil {
		t.Error("m.d is missing")
	}
}

func TestClassicParseReturnsMapsOfAny(t *testing.T) {
	t.Setenv("CONF_TEST_PORT", "4222")
	got, err := Parse("s=x\ni=$CONF_TEST_PORT\nf=1.5\nb=on\nt=2018-03-23T11:46:15Z\nl=[1,{m=2}]\ni2=1\ni2=2\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"s": "x", "i": int64(4222), "f": 1.5, "b": true,
		"t": time.Date(2018, 3, 23, 11, 46, 15, 0, time.UTC),
		"l": []any{int64(1), map[string]any{"m": int64(2)}}, "i2": int64(2),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestClassicParseFileNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ParseFile(filepath.Join(dir, "none.conf")); err == nil || !strings.HasPrefix(err.Error(), "error opening config file: open ") {
		t.Errorf("got %v, want an open error", err)
	}
	file := filepath.Join(dir, "x.conf")
	if err := os.WriteFile(file, []byte("a=1 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseFile(file); err == nil || !strings.HasPrefix(err.Error(), file+":1:5: a: Expected a top-level value to end") {
		t.Errorf("got %v, want the place in the file", err)
	}
}

// randomText writes a value that means n, in one of the ways there are.
func randomText(r *rand.Rand, depth int) (string, any) {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	switch r.IntN(kinds) {
	case 0:
		n := r.Int64() >> r.IntN(64) * int64(1-2*r.IntN(2))
		return strconv.FormatInt(n, 10), n
	case 1:
		n := int64(r.IntN(1000))
		return strconv.FormatInt(n, 10) + pick("mb", "MB", "mib", "Mi"), n << 20
	case 2:
		if r.IntN(2) == 0 {
			return pick("true", "Yes", "ON"), true
		}
		return pick("false", "no", "Off"), false
	case 3:
		f := float64(r.IntN(1e6)) / 64
		s := strconv.FormatFloat(f, 'f', 6, 64)
		return s, f
	case 4:
		s := pick("a b", "", "x\ty", `back\slash`, "#no comment", "ü", "two\nlines", "}", "$v")
		if r.IntN(2) == 0 {
			return "'" + s + "'", s
		}
		return `"` + strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\x0a`).Replace(s) + `"`, s
	case 5:
		var b strings.Builder
		list := []any{}
		b.WriteString("[")
		for range r.IntN(4) {
			text, v := randomText(r, depth-1)
			b.WriteString(pick("", " ", "\n", " # c\n") + text + pick(",", "\n", " ,", " // c\n"))
			list = append(list, v)
		}
		return b.String() + "]", list
	}
	text, m := randomPairs(r, depth-1)
	return "{" + pick("", " ", "\n") + text + "}", m
}

func randomPairs(r *rand.Rand, depth int) (string, map[string]any) {
	var b strings.Builder
	m := map[string]any{}
	for range r.IntN(5) {
		key := string(rune('a' + r.IntN(6)))
		text, v := randomText(r, depth)
		b.WriteString(key + []string{"=", ":", " ", " = ", "\t"}[r.IntN(5)] + text + []string{",", ";", "\n", "\r\n", " # c\n"}[r.IntN(5)])
		m[key] = v
	}
	return b.String(), m
}

func TestRandomTreesReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		text, want := randomPairs(r, 4)
		got, err := Parse(text)
		if err != nil {
			t.Fatalf("%v\nin %s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v\nin %s", got, want, text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "broken"} {
		files, err := filepath.Glob("testdata/" + dir + "/*.conf")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		source := Source{
			Read: func(path string, included bool) ([]byte, error) { // each file is the text itself
				if included && len(path) > 8 {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			},
			Env: func(name string) (string, bool) { return text, name != "" && name[0] == 'E' },
		}
		root, err := source.File("f")
		if err != nil {
			lampTable().Explain(err)
			var es Errors
			if !errors.As(err, &es) || len(es) > maxErrors+1 {
				t.Fatalf("got %T with %d errors", err, len(es))
			}
			for _, e := range es {
				if _, ok := e.Pos.sourceLine(); (!ok || e.Pos.Col < 1) && !isUTF16(text) { // that is an error of the whole file
					t.Fatalf("error without a place: %v", e)
				}
			}
		}
		if root.weight > maxExpansion+maxValues+2*len(text) || root.height > 2*maxDepth+1 {
			t.Fatalf("tree of weight %d and height %d from %d bytes", root.weight, root.height, len(text))
		}
		root.classicMap()
	})
}
