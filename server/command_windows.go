package server

import "gnatsd/server/internal/process"

// SetServiceName changes the name of the Windows service, "gnatsd" unless changed. Programs that
// embed a Server and are services themselves use it.
func SetServiceName(name string) { process.SetName(name) }
