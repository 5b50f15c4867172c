package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// read reads what the system says.
func (r *Resources) read() {
	r.MaxOpenFiles = softLimit(syscall.RLIMIT_NOFILE)
	r.MaxVirtual = softLimit(syscall.RLIMIT_AS)
	r.OpenFiles = countOpenFiles("/dev/fd")
	if self, err := unix.SysctlKinfoProc("kern.proc.pid", os.Getpid()); err == nil {
		r.Start = float64(self.Proc.P_starttime.Nano()) / 1e9
	}
}
