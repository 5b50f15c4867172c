//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file decides which call fails, and how.

// call is a system call that is stopped.
type call struct {
	nr   uint32
	name string
	on   operand
	// errors that the call has on sockets, and on anything else; a call without any never fails
	socket, file []unix.Errno
}

// operand says where the object of a call is.
type operand uint8

const (
	ofDescriptor operand = iota // the first argument is a descriptor
	ofPath                      // the second argument is a path
	ofThird                     // the third argument is a descriptor (epoll_ctl)
	ofNothing
)

// partly stands among the errors for no error: only a part of the bytes is read or written.
const partly = unix.Errno(1 << 20)

var (
	readErrors  = []unix.Errno{unix.ECONNRESET, unix.EIO, partly, unix.EINTR, unix.ETIMEDOUT, unix.ENOMEM}
	writeErrors = []unix.Errno{unix.EPIPE, partly, unix.EIO, unix.ECONNRESET, unix.EINTR, unix.ENOBUFS}
	fileErrors  = []unix.Errno{unix.EIO, unix.EACCES, unix.ENOENT}
)

// calls are those that are stopped. Those that the Go runtime cannot do without are none of them:
// memory, threads, timers, and making an epoll instance.
var calls = []call{
	{unix.SYS_READ, "read", ofDescriptor, readErrors, []unix.Errno{unix.EIO, partly, unix.EINTR, unix.EISDIR}},
	{unix.SYS_WRITE, "write", ofDescriptor, writeErrors, []unix.Errno{unix.ENOSPC, partly, unix.EIO, unix.EINTR, unix.EDQUOT}},
	{unix.SYS_WRITEV, "writev", ofDescriptor, writeErrors, nil},
	{unix.SYS_PREAD64, "pread", ofDescriptor, nil, []unix.Errno{unix.EIO}},
	{unix.SYS_RECVFROM, "recvfrom", ofDescriptor, []unix.Errno{unix.ENOBUFS, unix.EIO}, nil},
	{unix.SYS_SENDTO, "sendto", ofDescriptor, []unix.Errno{unix.ENOBUFS, unix.EPERM}, nil},
	{unix.SYS_ACCEPT4, "accept", ofDescriptor, []unix.Errno{unix.EMFILE, unix.EPERM, unix.ECONNABORTED, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EPROTO, unix.EINTR}, nil},
	{unix.SYS_SOCKET, "socket", ofNothing, nil, []unix.Errno{unix.EMFILE, unix.ENOBUFS, unix.EAFNOSUPPORT, unix.EACCES}},
	{unix.SYS_CONNECT, "connect", ofDescriptor, []unix.Errno{unix.ECONNREFUSED, unix.ENETUNREACH, unix.EADDRNOTAVAIL, unix.EINTR, unix.EPERM, unix.EAGAIN}, nil},
	{unix.SYS_BIND, "bind", ofDescriptor, []unix.Errno{unix.EADDRINUSE, unix.EACCES}, nil},
	{unix.SYS_LISTEN, "listen", ofDescriptor, []unix.Errno{unix.EADDRINUSE}, nil},
	{unix.SYS_GETSOCKNAME, "getsockname", ofDescriptor, []unix.Errno{unix.ENOBUFS}, nil},
	{unix.SYS_GETPEERNAME, "getpeername", ofDescriptor, []unix.Errno{unix.ENOTCONN}, nil},
	{unix.SYS_GETSOCKOPT, "getsockopt", ofDescriptor, []unix.Errno{unix.ENOBUFS, unix.EINVAL}, nil},
	{unix.SYS_SETSOCKOPT, "setsockopt", ofDescriptor, []unix.Errno{unix.ENOBUFS, unix.EINVAL}, nil},
	{unix.SYS_SHUTDOWN, "shutdown", ofDescriptor, []unix.Errno{unix.ENOTCONN}, nil},
	{unix.SYS_IOCTL, "ioctl", ofDescriptor, []unix.Errno{unix.EINVAL}, nil},
	{unix.SYS_EPOLL_CTL, "epoll_ctl", ofThird, []unix.Errno{unix.ENOSPC, unix.ENOMEM}, nil},
	{unix.SYS_OPENAT, "open", ofPath, nil, []unix.Errno{unix.EMFILE, unix.EACCES, unix.EIO, unix.ENOSPC, unix.EINTR, unix.ENFILE}},
	{unix.SYS_RENAMEAT, "rename", ofPath, nil, []unix.Errno{unix.EIO, unix.EXDEV, unix.ENOSPC, unix.EACCES}},
	{unix.SYS_RENAMEAT2, "rename", ofPath, nil, []unix.Errno{unix.EIO, unix.EXDEV, unix.ENOSPC, unix.EACCES}},
	{unix.SYS_UNLINKAT, "unlink", ofPath, nil, []unix.Errno{unix.EIO, unix.EACCES, unix.EBUSY}},
	{unix.SYS_MKDIRAT, "mkdir", ofPath, nil, []unix.Errno{unix.ENOSPC}},
	{unix.SYS_FSYNC, "fsync", ofDescriptor, nil, []unix.Errno{unix.EIO, unix.ENOSPC, unix.EINTR}},
	{unix.SYS_FDATASYNC, "fsync", ofDescriptor, nil, []unix.Errno{unix.EIO, unix.ENOSPC, unix.EINTR}},
	{unix.SYS_FTRUNCATE, "truncate", ofDescriptor, nil, []unix.Errno{unix.EIO}},
	{unix.SYS_FCHMOD, "fchmod", ofDescriptor, nil, []unix.Errno{unix.EPERM}},
	{unix.SYS_FLOCK, "flock", ofDescriptor, nil, []unix.Errno{unix.ENOLCK}},
	{unix.SYS_LSEEK, "lseek", ofDescriptor, nil, []unix.Errno{unix.EIO}},
	{unix.SYS_FSTAT, "fstat", ofDescriptor, []unix.Errno{unix.EIO}, []unix.Errno{unix.EIO, unix.ENOMEM}},
	{unix.SYS_NEWFSTATAT, "stat", ofPath, nil, fileErrors},
	{unix.SYS_READLINKAT, "readlink", ofPath, nil, fileErrors},
	{unix.SYS_GETDENTS64, "readdir", ofDescriptor, nil, []unix.Errno{unix.EIO, unix.ENOENT}},
}

// callNumbers are the numbers of the calls.
func callNumbers() (list []uint32) {
	for _, c := range calls {
		list = append(list, c.nr)
	}
	return list
}

// fault says which call fails: the n-th at a place.
type fault struct {
	place string // such as "write log"; "" for none
	n     int    // from 1
	errno unix.Errno
	times int // that many calls at the place fail, from the n-th on
}

// supervisor answers for the calls of one program.
type supervisor struct {
	// set once, before the program runs
	fault      fault
	files      map[string]string // what the program reads in place of files, by path
	nameServer *net.UDPAddr      // in place of any other
	listener   int
	pid, pidfd int
	done       chan struct{} // closed when the program has ended

	mu       sync.Mutex // guards what follows
	ports    map[int]string
	sockets  map[string]string // by their links in /proc
	counts   map[string]int    // calls, by place
	possible map[string][]unix.Errno
	struck   []string // the calls that have failed
}

func newSupervisor(f fault) *supervisor {
	return &supervisor{fault: f, done: make(chan struct{}), ports: map[int]string{}, sockets: map[string]string{},
		counts: map[string]int{}, possible: map[string][]unix.Errno{}}
}

// name says what a port is for.
func (s *supervisor) name(port int, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports[port] = what
}

// failed returns the calls that have failed.
func (s *supervisor) failed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.struck)
}

// seen returns how many calls there were, by place.
func (s *supervisor) seen() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// errnos returns how calls at a place may fail.
func (s *supervisor) errnos(place string) []unix.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.possible[place]
}

// answer decides about a call. nil means that it has been answered.
func (s *supervisor) answer(n *notification) *response {
	i := slices.IndexFunc(calls, func(c call) bool { return c.nr == uint32(n.nr) })
	if i < 0 {
		return goOn()
	}
	c := &calls[i]
	path := ""
	if c.on == ofPath {
		path = s.text(n.args[1])
	}
	if object, errnos := s.object(c, n, path); len(errnos) > 0 {
		place := c.name + " " + object
		if errno := s.strike(place, errnos, path); errno == partly {
			if r := s.part(n); r != nil {
				return r
			}
		} else if errno != 0 {
			return &response{err: -int32(errno)}
		}
	}
	return s.arrange(c, n, path)
}

// strike counts a call, and returns the error that it gets, or 0.
func (s *supervisor) strike(place string, errnos []unix.Errno, path string) unix.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[place]++
	s.possible[place] = errnos
	f, n := s.fault, s.counts[place]
	if f.place != place || n < f.n || n >= f.n+f.times {
		return 0
	}
	s.struck = append(s.struck, fmt.Sprintf("%s %s", place, path))
	return f.errno
}

// arrange lets a call be made that may concern the network outside.
func (s *supervisor) arrange(c *call, n *notification, path string) *response {
	switch {
	case c.nr == unix.SYS_OPENAT && s.files[path] != "":
		if s.give(n, s.files[path]) {
			return nil
		}
	case c.nr == unix.SYS_CONNECT && s.nameServer != nil:
		if b := s.memory(n.args[1], 8); len(b) == 8 && *(*uint16)(unsafe.Pointer(&b[0])) == unix.AF_INET && b[2] == 0 && b[3] == 53 {
			return s.redirect(n, s.nameServer)
		}
	}
	return goOn()
}

// object names what a call is about, and says how it may fail.
func (s *supervisor) object(c *call, n *notification, path string) (string, []unix.Errno) {
	var fd int32
	switch c.on {
	case ofNothing:
		return family(n.args[0]), c.file
	case ofPath:
		if path == "" { // the descriptor itself
			fd = int32(n.args[0])
			break
		}
		return s.file(path), c.file
	case ofThird:
		fd = int32(n.args[2])
		if n.args[1] == unix.EPOLL_CTL_DEL { // this does not fail, and the runtime relies on it
			return "", nil
		}
	default:
		fd = int32(n.args[0])
	}
	switch link := s.link(int(fd)); {
	case strings.HasPrefix(link, "socket:"):
		return s.socket(link, uint64(fd)), c.socket
	case strings.HasPrefix(link, "anon_inode:"): // the runtime's own
		return "", nil
	case strings.HasPrefix(link, "pipe:"):
		return "pipe", c.file
	default:
		return s.file(link), c.file
	}
}

func family(domain uint64) string {
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		return "inet"
	case unix.AF_NETLINK:
		return "netlink"
	}
	return "unix"
}

// file names a file by its purpose.
func (s *supervisor) file(path string) string {
	base := filepath.Base(path)
	for _, suffix := range []string{".log", ".pid", ".ports", ".conf", ".pem", ".out"} {
		if strings.Contains(base, suffix) {
			return suffix[1:]
		}
	}
	if rest, ok := strings.CutPrefix(path, fmt.Sprintf("/proc/%d/", s.pid)); ok {
		return "/proc/self/" + rest
	}
	for _, top := range []string{"/sys/fs/cgroup", "/proc/self/task"} {
		if strings.HasPrefix(path, top) {
			return top
		}
	}
	if strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/sys/") || strings.HasPrefix(path, "/etc/") || strings.HasPrefix(path, "/dev/") {
		return path
	}
	return "other file"
}

// socket names a socket by its purpose.
func (s *supervisor) socket(link string, fd uint64) string {
	s.mu.Lock()
	name := s.sockets[link]
	s.mu.Unlock()
	if name != "" {
		return name
	}
	name, final := "socket", false
	s.borrow(fd, func(fd int) { name, final = s.inspect(fd) })
	if final {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sockets[link] = name
	}
	return name
}

// inspect names a socket, and says whether that is final.
func (s *supervisor) inspect(fd int) (name string, final bool) {
	kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	switch {
	case domain == unix.AF_NETLINK:
		return "netlink", true
	case domain == unix.AF_UNIX:
		return "unix", true
	case kind == unix.SOCK_DGRAM:
		return "dns", true
	}
	listening, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	local, remote := port(unix.Getsockname(fd)), port(unix.Getpeername(fd))
	s.mu.Lock()
	defer s.mu.Unlock()
	name = cmp.Or(s.ports[local], s.ports[remote])
	switch {
	case name == "":
		return "socket", false
	case listening != 0:
		return name + " listener", true
	}
	return name, remote != 0
}

func port(sa unix.Sockaddr, err error) int {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Port
	case *unix.SockaddrInet6:
		return sa.Port
	}
	return 0
}

// text reads a string of the program.
func (s *supervisor) text(addr uint64) string {
	var all []byte
	for len(all) < 4096 {
		page := 4096 - int(addr%4096) // the next page may not exist
		b := s.memory(addr, min(page, 256))
		if len(b) == 0 {
			break
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(all, b[:i]...))
		}
		all, addr = append(all, b...), addr+uint64(len(b))
	}
	return string(all)
}

// part reads or writes a part of the bytes, for the program. nil means that it cannot.
func (s *supervisor) part(n *notification) (r *response) {
	size := int(n.args[2])
	switch uint32(n.nr) {
	case unix.SYS_READ:
		if size < 2 {
			return nil
		}
		s.borrow(n.args[0], func(fd int) {
			b := make([]byte, 1)
			got, err := unix.Read(fd, b)
			if got == 1 {
				unix.ProcessVMWritev(s.pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: uintptr(n.args[1]), Len: 1}}, 0)
			}
			r = result(got, err)
		})
	case unix.SYS_WRITE, unix.SYS_WRITEV:
		addr := n.args[1]
		if uint32(n.nr) == unix.SYS_WRITEV { // a part of its first segment
			v := s.memory(addr, 16)
			if len(v) < 16 {
				return nil
			}
			addr, size = *(*uint64)(unsafe.Pointer(&v[0])), int(*(*uint64)(unsafe.Pointer(&v[8])))
		}
		if size < 2 {
			return nil
		}
		b := s.memory(addr, (size+1)/2)
		if len(b) == 0 {
			return nil
		}
		s.borrow(n.args[0], func(fd int) { r = result(unix.Write(fd, b)) })
	}
	return r
}

// result is the answer that a call has had.
func result(n int, err error) *response {
	if errno, ok := err.(unix.Errno); ok {
		return &response{err: -int32(errno)}
	}
	return &response{val: int64(n)}
}
