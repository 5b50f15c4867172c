package process

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimitIsTheLowestOfAllGroups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, groups string
		files        map[string]string
		want         int64
	}{
		{"no limit", "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n"}, 0},
		{"a limit above", "0::/a/b\n", map[string]string{"a/b/memory.max": "5000\n", "a/memory.max": "4000\n"}, 4000},
		{"a container that sees only the top", "0::/../x\n", map[string]string{"memory.max": "7000\n"}, 7000},
		{"version 1", "4:cpu:/a\n3:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "6000\n"}, 6000},
		{"version 1 without a limit", "3:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"nothing that can be read", "nonsense\n", nil, 0},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimitIn(c.groups, root); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
