package process

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryCounters is PROCESS_MEMORY_COUNTERS of psapi.h.
type memoryCounters struct {
	size           uint32
	pageFaults     uint32
	peakWorkingSet uintptr
	workingSet     uintptr
	_              [4]uintptr // pool quotas
	committed      uintptr    // of the page file
	_              uintptr
}

// procGetProcessMemoryInfo is GetProcessMemoryInfo, which golang.org/x/sys/windows does not wrap.
var procGetProcessMemoryInfo = windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")

// readUsage returns the CPU time of this process and its working set in bytes.
func readUsage() (cpu time.Duration, rss int64, err error) {
	var created, exited, kernel, user windows.Filetime
	self := windows.CurrentProcess()
	if err := windows.GetProcessTimes(self, &created, &exited, &kernel, &user); err != nil {
		return 0, 0, fmt.Errorf("read own CPU time: %w", err)
	}
	memory, err := readMemory()
	if err != nil {
		return 0, 0, fmt.Errorf("read own memory: %w", err)
	}
	return filetimeDuration(kernel) + filetimeDuration(user), int64(memory.workingSet), nil
}

// readMemory returns the memory of this process.
func readMemory() (memory memoryCounters, err error) {
	memory.size = uint32(unsafe.Sizeof(memory))
	ok, _, err := procGetProcessMemoryInfo.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&memory)), uintptr(memory.size))
	if ok == 0 {
		return memory, err
	}
	return memory, nil
}

// filetimeDuration is a Filetime that counts a time span, in units of 100 ns.
func filetimeDuration(ft windows.Filetime) time.Duration {
	return time.Duration(int64(ft.HighDateTime)<<32|int64(ft.LowDateTime)) * 100
}
