package netio

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// hasCPUQuota reports whether the control group of this process, or one around it, may use only a
// part of the time of its processors.
func hasCPUQuota() bool {
	groups, err := os.ReadFile("/proc/self/cgroup")
	return err == nil && quotaIn(string(groups), "/sys/fs/cgroup")
}

// quotaIn looks for a quota in the groups of a process, as /proc/self/cgroup lists them, under the
// directory where they are mounted.
func quotaIn(groups, root string) bool {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(f) < 3 {
			continue
		}
		dir, file, limits := root, "cpu.max", limitsV2
		if f[1] != "" {
			if !slices.Contains(strings.Split(f[1], ","), "cpu") {
				continue
			}
			dir, file, limits = root+"/cpu", "cpu.cfs_quota_us", limitsV1
		}
		for at := path.Clean("/" + f[2]); ; at = path.Dir(at) { // a container may not see the lower ones
			if text, err := os.ReadFile(path.Join(dir, at, file)); err == nil && limits(strings.Fields(string(text))) {
				return true
			}
			if at == "/" {
				break
			}
		}
	}
	return false
}

// limitsV2 reads cpu.max: "max 100000", or microseconds instead of max.
func limitsV2(words []string) bool { return len(words) > 0 && words[0] != "max" }

// limitsV1 reads cpu.cfs_quota_us: microseconds, -1 for no limit.
func limitsV1(words []string) bool {
	if len(words) == 0 {
		return false
	}
	quota, err := strconv.Atoi(words[0])
	return err == nil && quota > 0
}
