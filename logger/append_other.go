//go:build !windows

package logger

import "os"

// openAppendOnly opens a file to append to it, and creates it if it does not exist.
func openAppendOnly(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o660)
}
