//go:build linux && (amd64 || arm64)

package torture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file starts a program under a filter that stops it at some system calls, and answers for
// them. The program is executed by this test binary itself, run again (runFiltered), which installs
// the filter for its own thread and hands the descriptor of the filter to the test.

// filtered names the environment variable that makes the test binary run a program filtered.
const filtered = "GNATSD_TORTURE_FILTERED"

// notification is struct seccomp_notif of linux/seccomp.h: a call at which the program is stopped.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// handover is struct seccomp_notif_addfd: the program gets a descriptor of the test.
type handover struct {
	id       uint64
	flags    uint32
	from     uint32
	to       uint32
	newFlags uint32
}

// instructions are the filter: calls of this architecture with one of the numbers are notified, all
// others are made.
func instructions(numbers []uint32) []unix.SockFilter {
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	const numberAt, archAt = 0, 4 // in struct seccomp_data
	n := uint8(len(numbers))
	f := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: archAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jf: n + 1},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: numberAt},
	}
	for i, nr := range numbers {
		f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: n - uint8(i)})
	}
	return append(f,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
}

// init keeps the main goroutine on the first thread, which the filter is for. Were the program executed
// by another one, the first would have ended for a moment, and with it what /proc and pidfds show of it.
func init() {
	if os.Getenv(filtered) != "" {
		runtime.LockOSThread()
	}
}

// runFiltered installs the filter, sends its descriptor over descriptor 3, and executes the program.
// It does not return.
func runFiltered(args []string) {
	code := instructions(callNumbers())
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fail("no new privileges: %v", err)
	}
	// A signal must not interrupt a call of which the test has been notified: it would be made and
	// counted twice.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		fail("install a filter: %v", errno)
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil { // is not notified
		fail("hand the filter over: %v", err)
	}
	syscall.CloseOnExec(3)
	os.Unsetenv(filtered)
	fail("execute %s: %v", args[0], syscall.Exec(args[0], args, os.Environ()))
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(125)
}

// startFiltered starts a program, by its path. Its calls are answered by s, until it ends. If there is
// an error, the program has ended.
func startFiltered(cmd *exec.Cmd, s *supervisor) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	near, far := os.NewFile(uintptr(pair[0]), "near"), os.NewFile(uintptr(pair[1]), "far")
	defer near.Close()
	cmd.Path, cmd.Args = self, append([]string{self, cmd.Path}, cmd.Args[1:]...)
	cmd.Env = append(os.Environ(), filtered+"=1")
	cmd.ExtraFiles = []*os.File{far}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	far.Close()
	if err != nil {
		return err
	}
	listener, err := receive(pair[0])
	if err == nil {
		s.pid = cmd.Process.Pid
		s.pidfd, err = unix.PidfdOpen(s.pid, 0)
	}
	if err == nil {
		err = s.mayBorrow()
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	s.listener = listener
	go s.serve() // ends with the program
	return nil
}

// receive returns the descriptor that comes over a socket.
func receive(socket int) (int, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) == 0 {
		return -1, errNoFilter
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

var errNoFilter = errors.New("the program could not be started under a filter")

// serve answers for calls until the program has ended.
func (s *supervisor) serve() {
	defer close(s.done)
	defer unix.Close(s.listener)
	defer unix.Close(s.pidfd)
	for {
		p := []unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil && err != unix.EINTR {
			return
		}
		if p[0].Revents&unix.POLLIN == 0 {
			if p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
				return
			}
			continue
		}
		var n notification
		if ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != 0 {
			continue // the call was interrupted, or its thread has ended
		}
		if r := s.answer(&n); r != nil {
			r.id = n.id
			ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r)) // fails if the thread has ended
		}
	}
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return errno
}

// goOn is the answer that lets a call be made.
func goOn() *response { return &response{flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE} }

// memory reads memory of the program.
func (s *supervisor) memory(addr uint64, size int) []byte {
	b := make([]byte, size)
	n, err := unix.ProcessVMReadv(s.pid, []unix.Iovec{{Base: &b[0], Len: uint64(size)}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: size}}, 0)
	if err != nil {
		return nil
	}
	return b[:n]
}

// link returns what a descriptor of the program is, as /proc says.
func (s *supervisor) link(fd int) string {
	to, _ := os.Readlink("/proc/" + strconv.Itoa(s.pid) + "/fd/" + strconv.Itoa(fd))
	return to
}

// borrow calls do with a duplicate of a descriptor of the program.
func (s *supervisor) borrow(fd uint64, do func(fd int)) bool {
	dup, err := unix.PidfdGetfd(s.pidfd, int(fd), 0)
	if err != nil {
		return false
	}
	defer unix.Close(dup)
	do(dup)
	return true
}

// give answers an open with a file of the test. It reports false if it cannot.
func (s *supervisor) give(n *notification, path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := handover{id: n.id, flags: unix.SECCOMP_ADDFD_FLAG_SEND, from: uint32(f.Fd()), newFlags: unix.O_CLOEXEC}
	return ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&h)) == 0
}

// mayBorrow returns an error where descriptors of other processes may not be had.
func (s *supervisor) mayBorrow() error {
	dup, err := unix.PidfdGetfd(s.pidfd, 0, 0)
	if err != nil {
		return fmt.Errorf("take a descriptor of the program: %w", err)
	}
	return unix.Close(dup)
}

// redirect answers a connect with one to another address, over UDP.
func (s *supervisor) redirect(n *notification, to *net.UDPAddr) *response {
	sa := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	err := error(unix.EBADF)
	s.borrow(n.args[0], func(fd int) { err = unix.Connect(fd, sa) })
	if errno, ok := err.(unix.Errno); ok {
		return &response{err: -int32(errno)}
	}
	return &response{}
}
