package process

import (
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// startedByManager takes the place of the function of that name: services of Wine are not in session
// 0, which svc.IsWindowsService looks for.
func startedByManager() bool {
	list, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return false
	}
	defer windows.CloseHandle(list)
	names, parent := map[uint32]string{}, uint32(0)
	p := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(list, &p); err == nil; err = windows.Process32Next(list, &p) {
		names[p.ProcessID] = windows.UTF16ToString(p.ExeFile[:])
		if p.ProcessID == uint32(os.Getpid()) {
			parent = p.ParentProcessID
		}
	}
	return strings.EqualFold(names[parent], "services.exe")
}
