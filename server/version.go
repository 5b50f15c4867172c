package server

import "runtime/debug"

// Version is the version of the broker in INFO, /varz and `gnatsd -v`.
const Version = "1.5.0"

// gitCommit is stamped by the linker (see the Makefile).
var gitCommit string

// Commit returns the git commit the program was built from: the stamped one,
// else that of the build's VCS information, else "".
func Commit() string {
	if gitCommit != "" {
		return gitCommit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return ""
}
