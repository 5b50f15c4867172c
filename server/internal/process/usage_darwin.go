package process

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of proc_info(2), from sys/proc_info.h.
const (
	procInfoCallPidInfo = 2
	procPidTaskInfo     = 4
)

// taskInfo is struct proc_taskinfo of sys/proc_info.h.
type taskInfo struct {
	virtualSize  uint64
	residentSize uint64
	_            [4]uint64 // times
	_            [12]int32 // policy, faults, messages, threads, priority
}

// residentMemory is the resident memory of this process, in bytes.
func residentMemory() (int64, error) {
	var info taskInfo
	n, _, errno := unix.Syscall6(unix.SYS_PROC_INFO, procInfoCallPidInfo, uintptr(os.Getpid()), procPidTaskInfo, 0,
		uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	if errno != 0 {
		return 0, errno
	}
	if n < unsafe.Sizeof(info) {
		return 0, unix.EINVAL
	}
	return int64(info.residentSize), nil
}
