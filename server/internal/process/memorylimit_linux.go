package process

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// MemoryLimit returns how many bytes the control group of this process, or one around it, may use
// at most; 0 if there is no limit, or it is not known.
func MemoryLimit() int64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	return memoryLimitIn(string(groups), "/sys/fs/cgroup")
}

// memoryLimitIn is MemoryLimit for the groups of a process, as /proc/self/cgroup lists them, under
// the directory where they are mounted.
func memoryLimitIn(groups, root string) int64 {
	lowest := int64(math.MaxInt64)
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(f) < 3 {
			continue
		}
		dir, file := root, "memory.max"
		if f[1] != "" {
			dir, file = root+"/memory", "memory.limit_in_bytes"
			if !strings.Contains(","+f[1]+",", ",memory,") {
				continue
			}
		}
		for at := path.Clean("/" + f[2]); ; at = path.Dir(at) { // a container may not see the lower ones
			if text, err := os.ReadFile(path.Join(dir, at, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // or it is "max"
					lowest = min(lowest, n)
				}
			}
			if at == "/" {
				break
			}
		}
	}
	if lowest >= unlimitedMemory {
		return 0
	}
	return lowest
}

// unlimitedMemory is more than any machine has: version 1 of control groups has such a number where
// there is no limit.
const unlimitedMemory = 1 << 60
