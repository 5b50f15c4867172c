package process

import (
	"net"
	"os"
	"strconv"
)

// firstSocket is the descriptor of the first socket that systemd hands over.
const firstSocket = 3

// maxSockets bounds how many sockets are taken from systemd: no broker has as many ports.
const maxSockets = 64

// InheritedListeners returns the listeners that systemd has opened for this process, as in
// sd_listen_fds(3): it is started by a connection, keeps ports below 1024 without a privilege, and
// refuses no client while it restarts. Sockets that are not listeners of TCP are closed. The
// variables of the environment are removed, so that programs started from here do not take the
// sockets for theirs.
func InheritedListeners() (listeners []*net.TCPListener) {
	n := inheritedSockets(os.Getpid(), os.Getenv)
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	for fd := firstSocket; fd < firstSocket+n; fd++ {
		file := os.NewFile(uintptr(fd), "socket of systemd "+strconv.Itoa(fd))
		l, err := net.FileListener(file) // with a descriptor of its own
		file.Close()
		if err != nil {
			continue
		}
		if tcp, ok := l.(*net.TCPListener); ok && tcp.Addr() != nil {
			listeners = append(listeners, tcp)
		} else {
			l.Close()
		}
	}
	return listeners
}

// inheritedSockets returns how many sockets there are for a process.
func inheritedSockets(pid int, env func(string) string) int {
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return 0
	}
	n, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxSockets {
		return 0
	}
	return n
}
