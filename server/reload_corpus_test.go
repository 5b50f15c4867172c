package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// alone gives a server a network to itself, where every port is free.
func alone(o *Options) {
	o.network = &simHost{newSimNet(1), "127.0.0.1"}
	o.NoSigs = true
}

// configurations are the files of this repository that a server can run with, and those of the
// classic README.
func configurations(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"../test/testdata/*.conf", "../util/docker/*.conf", "../conf/testdata/good/readme*.conf"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, list...)
	}
	content, err := os.ReadFile("../conf/README.md")
	okay(t, err)
	_, rest, _ := strings.Cut(string(content), "# gnatsd.conf\nlisten: ")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("conf/README.md has no example of a configuration")
	}
	return append(files, writeConfig(t, "listen: "+strings.ReplaceAll(example, "$BERTS_PASSWORD", "secret")))
}

func TestReloadWithoutAChangeIsFineForEveryConfiguration(t *testing.T) {
	t.Parallel()
	for _, file := range configurations(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			o := mustConfigure(t, "", "-c", file, "-P", "", "-l", "")
			alone(o)
			s := runReloader(t, o)
			loaded := s.ConfigTime()
			okay(t, s.Reload())
			got := slices.DeleteFunc(s.lines(), func(l string) bool { return strings.HasPrefix(l, "Error trying to connect to route: ") })
			if !slices.Equal(got, []string{"Reloaded server configuration"}) {
				t.Errorf("got log %q", got)
			}
			if !s.ConfigTime().After(loaded) {
				t.Error("the time of loading has not moved")
			}
		})
	}
}

// TestReloadOfABrokenFileLeavesTheServerAsItWas goes through the corpus of broken files.
func TestReloadOfABrokenFileLeavesTheServerAsItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	okay(t, os.CopyFS(dir, os.DirFS("../conf/testdata/broken")))
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	okay(t, err)
	if len(files) < 60 {
		t.Fatalf("only %d files", len(files))
	}
	file := filepath.Join(dir, "running.conf")
	const text = "max_payload: 77\n"
	okay(t, os.WriteFile(file, []byte(text), 0o600))
	o := mustConfigure(t, "", "-c", file, "-a", "127.0.0.1", "-p", "-1")
	o.NoSigs = true
	s := runReloader(t, o)
	options, guard := s.options(), s.policy.Load()
	client := dialClient(t, s.Server)
	for _, broken := range files {
		content, err := os.ReadFile(broken)
		okay(t, err)
		okay(t, os.WriteFile(file, content, 0o600))
		err = s.Reload()
		if err == nil {
			t.Fatalf("%s was accepted", filepath.Base(broken))
		}
		for _, reason := range reasons(err) {
			if !strings.Contains(reason.Error(), ":") {
				t.Errorf("%s: %v has no place", filepath.Base(broken), reason)
			}
		}
		if s.options() != options || s.policy.Load() != guard {
			t.Fatalf("%s has changed something", filepath.Base(broken))
		}
	}
	client.Drain()
	okay(t, os.WriteFile(file, []byte(text), 0o600))
	okay(t, s.Reload())
}
