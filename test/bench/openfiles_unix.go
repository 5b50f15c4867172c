//go:build unix

package main

import "syscall"

// raiseOpenFiles lifts the soft limit on open files to the hard one, for this process and the
// brokers it starts (which inherit it only if it was set on purpose). A limit that stays too low
// shows up as a failed connection.
func raiseOpenFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	limit.Cur = limit.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // see above
}
