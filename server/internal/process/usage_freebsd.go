package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// residentMemory is the resident memory of this process, in bytes.
func residentMemory() (int64, error) {
	raw, err := unix.SysctlRaw("kern.proc.pid", os.Getpid())
	if err != nil {
		return 0, err
	}
	self, ok := parseKinfo(raw)
	if !ok || len(self) != 1 {
		return 0, errors.New("kern.proc.pid: unknown layout")
	}
	return self[0].pages * int64(os.Getpagesize()), nil
}
