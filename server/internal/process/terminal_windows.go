package process

import (
	"os"

	"golang.org/x/sys/windows"
)

// escapes has a console understand escape sequences, which it shows as they are otherwise. It
// reports whether it does: a version of Windows before 10 does not.
func escapes(f *os.File) bool {
	console := windows.Handle(f.Fd())
	var mode uint32
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
