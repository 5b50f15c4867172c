package netio

import (
	"syscall"
	"unsafe"
)

// maxIovecs is how many segments one system call takes; the kernel allows 1024.
const maxIovecs = 64

// writeSegments writes segments as far as the socket takes them.
func writeSegments(fd int, segs []Segment) (total int, err error) {
	if len(segs) == 1 {
		return writeEach(fd, segs)
	}
	var iov [maxIovecs]syscall.Iovec
	for len(segs) > 0 {
		n, want := 0, 0
		for n < len(segs) && n < maxIovecs {
			b := segs[n].Bytes
			iov[n].Base = &b[0]
			iov[n].SetLen(len(b))
			want += len(b)
			n++
		}
		got, errno := writev(fd, iov[:n])
		if errno == syscall.EINTR {
			continue
		}
		if errno == syscall.EAGAIN {
			return total, ErrWouldBlock
		}
		if errno != 0 {
			return total, errno
		}
		total += got
		if got < want {
			return total, ErrWouldBlock
		}
		segs = segs[n:]
	}
	return total, nil
}

func writev(fd int, iov []syscall.Iovec) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	return int(n), errno
}
