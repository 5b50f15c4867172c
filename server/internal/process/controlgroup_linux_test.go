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

func TestCPUQuotasAreSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, groups, file, text string
		want                     bool
	}{
		{"of the group itself", "0::/a/b\n", "a/b/cpu.max", "50000 100000\n", true},
		{"of a group around it", "0::/a/b\n", "a/cpu.max", "150000 100000\n", true},
		{"of a container that does not see its path", "0::/kubepods/x\n", "cpu.max", "50000 100000\n", true},
		{"none", "0::/a\n", "a/cpu.max", "max 100000\n", false},
		{"of another group", "0::/a\n", "b/cpu.max", "50000 100000\n", false},
		{"of version 1", "3:memory:/m\n2:cpu,cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us", "50000\n", true},
		{"none of version 1", "2:cpu,cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us", "-1\n", false},
		{"of a controller that is not cpu", "2:cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us", "50000\n", false},
		{"nothing that can be read", "nonsense\n\n2:cpu:/a\n0::/a\n", "a/cpu.max", "\n", false},
		{"not a number", "2:cpu:/a\n", "cpu/a/cpu.cfs_quota_us", "x\n", false},
		{"empty", "2:cpu:/a\n", "cpu/a/cpu.cfs_quota_us", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			file := filepath.Join(root, c.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := quotaIn(c.groups, root); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
