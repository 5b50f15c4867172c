package process

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MemoryLimit returns how many bytes the control group of this process, or one around it, may use
// at most; 0 if there is no limit, or it is not known.
func MemoryLimit() int64 {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return memoryLimitIn(string(groups), controlGroups)
}

// HasCPUQuota reports whether the control group of this process, or one around it, may use only a
// part of the time of its processors.
func HasCPUQuota() bool {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return quotaIn(string(groups), controlGroups)
}

const (
	// controlGroups is where control groups are mounted.
	controlGroups = "/sys/fs/cgroup"
	// unlimitedMemory is more than any machine has: version 1 of control groups has such a number where
	// there is no limit.
	unlimitedMemory = 1 << 60
)

func memoryLimitIn(groups, root string) int64 {
	all := append(groupLimits(groups, root, "memory", "memory.max", "memory.limit_in_bytes"), unlimitedMemory)
	if lowest := slices.Min(all); lowest < unlimitedMemory {
		return lowest
	}
	return 0
}

func quotaIn(groups, root string) bool {
	return len(groupLimits(groups, root, "cpu", "cpu.max", "cpu.cfs_quota_us")) > 0
}

// groupLimits returns what a controller says in its file, that of version 2 of control groups or that of
// version 1: the first word, if that is more than 0, for the groups of a process, as /proc/self/cgroup
// lists them, and those around them. Where there is no limit it is "max" or -1. root is where the groups
// are mounted.
func groupLimits(groups, root, controller, file2, file1 string) (limits []int64) {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(f) < 3 {
			continue
		}
		dir, file := root, file2
		if f[1] != "" {
			if !slices.Contains(strings.Split(f[1], ","), controller) {
				continue
			}
			dir, file = path.Join(root, controller), file1
		}
		for at := path.Clean("/" + f[2]); ; at = path.Dir(at) { // a container may not see the lower ones
			text, _ := os.ReadFile(path.Join(dir, at, file))
			first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
			if n, err := strconv.ParseInt(first, 10, 64); err == nil && n > 0 {
				limits = append(limits, n)
			}
			if at == "/" {
				break
			}
		}
	}
	return limits
}
