package server

import "gnatsd/server/internal/process"

// SetServiceName sets the name of the Windows service. The default is "gnatsd". Programs that embed
// a Server and are services themselves use it.
func SetServiceName(name string) { process.SetName(name) }
