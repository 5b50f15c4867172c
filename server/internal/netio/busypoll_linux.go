package netio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// epollSource asks the epoll instance that the runtime waits on whether there are events, and
// leaves them to the runtime.
type epollSource struct {
	epoll int32
	begin time.Time
}

// newPollSource returns the source for the runtime that waits for l.
func newPollSource(l net.Listener) (pollSource, error) {
	raw := rawOf(l)
	if raw == nil {
		return nil, errors.New("the listener is not a socket")
	}
	var epoll int
	var found error
	closed := raw.Control(func(fd uintptr) { epoll, found = epollOf(int(fd)) })
	if err := errors.Join(closed, found); err != nil {
		return nil, err
	}
	return &epollSource{int32(epoll), time.Now()}, nil
}

// epollOf returns the epoll instance of this process that waits for a socket. The runtime does not
// export its own; the kernel lists what each waits for.
func epollOf(socket int) (int, error) {
	const dir = "/proc/self/fd/"
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var is unix.Stat_t
	if err := unix.Fstat(socket, &is); err != nil {
		return 0, fmt.Errorf("listener: %w", err)
	}
	for _, f := range files {
		if link, err := os.Readlink(dir + f.Name()); err != nil || link != "anon_inode:[eventpoll]" {
			continue
		}
		if fd, err := strconv.Atoi(f.Name()); err == nil && waitsFor(fd, socket, uint64(is.Ino)) {
			return fd, nil
		}
	}
	return 0, errors.New("the runtime's epoll instance is not in /proc/self/fd")
}

// waitsFor reports whether an epoll instance waits for a socket with an inode. The kernel writes a
// line for each, "tfd:  7 events: 19 data: … pos:0 ino:3a5f sdev:8".
func waitsFor(epoll, socket int, inode uint64) bool {
	text, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(epoll))
	if err != nil {
		return false
	}
	number, ino := strconv.Itoa(socket), "ino:"+strconv.FormatUint(inode, 16)
	for line := range strings.Lines(string(text)) {
		if w := strings.Fields(line); len(w) > 1 && w[0] == "tfd:" && w[1] == number && slices.Contains(w, ino) {
			return true
		}
	}
	return false
}

func (s *epollSource) ready() bool {
	fds := [...]unix.PollFd{{Fd: s.epoll, Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], 0)
	return n != 0 // an error ends the polling as well
}

func (s *epollSource) yield() { syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

func (s *epollSource) now() time.Duration { return time.Since(s.begin) }
