package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelpAndMistakesMakeNoDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		arg       string
		status    int
		out, errs string
	}{
		{"-h", 0, usage, ""},
		{"--help", 0, usage, ""},
		{"-x", 2, "", "mkcerts: flag provided but not defined: -x\n" + usage},
	} {
		var out, errs strings.Builder
		if status := run([]string{c.arg}, &out, &errs); status != c.status || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("%s: got status %d, output %q, errors %q", c.arg, status, out.String(), errs.String())
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("got %v, %v; want an empty directory", made, err)
	}
}

func TestDirectories(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ args, want []string }{
		{nil, []string{"./test/configs/certs"}},
		{[]string{"one", "two/three"}, []string{"one", "two/three"}},
	} {
		var out, errs strings.Builder
		status := run(c.args, &out, &errs)
		if want := "wrote " + strings.Join(c.want, "\nwrote ") + "\n"; status != 0 || out.String() != want || errs.String() != "" {
			t.Errorf("%q: got status %d, output %q, errors %q", c.args, status, out.String(), errs.String())
		}
		for _, dir := range c.want {
			for _, name := range []string{"ca", "server-cert", "server-key", "client-cert", "client-key", "srva-cert", "srva-key", "srvb-cert", "srvb-key"} {
				if _, err := os.Stat(filepath.Join(dir, name+".pem")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if status := run([]string{"file"}, &out, &errs); status != 1 || !strings.HasPrefix(errs.String(), "mkcerts: ") {
		t.Errorf("a file instead of a directory: got status %d, errors %q", status, errs.String())
	}
}
