package process

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxHandles is how many handles a process may have.
const maxHandles = 16 << 20

// procGetProcessHandleCount is GetProcessHandleCount, which golang.org/x/sys/windows does not wrap.
var procGetProcessHandleCount = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetProcessHandleCount")

// read reads what the system says.
func (r *Resources) read() {
	self := windows.CurrentProcess()
	r.MaxOpenFiles = maxHandles
	if memory, err := readMemory(); err == nil {
		r.Virtual = float64(memory.committed)
	}
	var handles uint32
	if ok, _, _ := procGetProcessHandleCount.Call(uintptr(self), uintptr(unsafe.Pointer(&handles))); ok != 0 {
		r.OpenFiles = float64(handles)
	}
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(self, &created, &exited, &kernel, &user) == nil {
		r.Start = float64(created.Nanoseconds()) / 1e9
	}
}
