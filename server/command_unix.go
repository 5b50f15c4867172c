//go:build unix

package server

import "gnatsd/server/internal/process"

// SetProcessName sets the process name that ProcessSignal searches for. The default is "gnatsd".
// Programs that embed a Server under another name use it.
func SetProcessName(name string) { process.SetName(name) }
