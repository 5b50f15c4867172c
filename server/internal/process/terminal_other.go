//go:build !windows

package process

import "os"

// escapes reports whether a terminal understands escape sequences: all do.
func escapes(*os.File) bool { return true }
