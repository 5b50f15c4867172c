//go:build unix

package server

import "gnatsd/server/internal/process"

// SetProcessName changes the process name that ProcessSignal searches for, "gnatsd" unless changed.
// Programs that embed a Server under another name use it.
func SetProcessName(name string) { process.SetName(name) }
