package netio

import (
	"os"
	"path/filepath"
	"testing"
)

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
			okay(t, os.MkdirAll(filepath.Dir(file), 0o700))
			okay(t, os.WriteFile(file, []byte(c.text), 0o600))
			if got := quotaIn(c.groups, root); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
