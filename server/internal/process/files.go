package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Permissions of the files about this process, before the umask.
const (
	pidFilePerm   = 0o660
	portsFilePerm = 0o666
)

// Files are the pid and ports files of this process. The zero value has none. It is not safe for
// concurrent use.
type Files struct {
	pids  []string // a reload may have added some
	ports string
}

// WritePid writes a pid file; the path may be empty. The error is that of opening the path: callers
// add what they were doing.
func (f *Files) WritePid(path string) error {
	if path == "" {
		return nil
	}
	if err := writePid(path); err != nil {
		return err
	}
	if written, err := filepath.EvalSymlinks(path); err == nil {
		path = written // a link stays, and what it leads to is removed at the end
	}
	if !slices.Contains(f.pids, path) {
		f.pids = append(f.pids, path)
	}
	return nil
}

// WritePorts writes the ports file to dir, and returns its path also with an error. The base name
// of the command and the pid make it different from those of other processes.
func (f *Files) WritePorts(dir string, content []byte) (path string, err error) {
	name := fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid())
	path = filepath.Join(dir, name)
	if err := replaceFile(path, content, portsFilePerm, false); err != nil {
		return path, err
	}
	f.ports = path
	return path, nil
}

// RemovePorts removes the ports file, if there is one, before another is written. One that is gone
// is fine.
func (f *Files) RemovePorts() error {
	path := f.ports
	f.ports = ""
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		//lint:ignore ST1005 a log line of the classic broker
		return fmt.Errorf("Error cleaning up ports file %s: %w", path, err)
	}
	return nil
}

// Remove removes all the files.
func (f *Files) Remove() (failures []error) {
	for _, path := range f.pids {
		if err := removePid(path); err != nil {
			//lint:ignore ST1005 a log line of the classic broker
			err = fmt.Errorf("Error cleaning up pid file %s: %w", path, err)
			failures = append(failures, err)
		}
	}
	f.pids = nil
	if err := f.RemovePorts(); err != nil {
		failures = append(failures, err)
	}
	return failures
}

// writePid writes the pid of this process to a file, in decimal, without a newline. Where it can,
// it replaces the file in one step, so that a reader never sees half a pid. Where only the file
// itself may be written, or the path is no regular file, it overwrites it; not where that would fail
// as well, and leave less than there was.
func writePid(path string) error {
	pid := []byte(strconv.Itoa(os.Getpid()))
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
		if err := replaceFile(path, pid, pidFilePerm, true); err == nil || exhausted(err) {
			return err
		}
	}
	return overwrite(path, pid, pidFilePerm)
}

// exhausted reports whether an error is that of a device or of resources, so that another way to
// write the same file has it, too.
func exhausted(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE,
		syscall.ENFILE, syscall.ENOMEM}, errno)
}

// overwrite writes content to a file. One that cannot be written in full is left empty, or is
// removed: a part of a pid would be another pid.
func overwrite(path string, content []byte, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, perm) // a pipe may have no reader
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err != nil {
		_ = f.Truncate(0) // what is no regular file cannot be
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		if info, statErr := os.Lstat(path); statErr == nil && info.Mode().IsRegular() {
			_ = os.Remove(path) // the file is mounted, or may not be removed
		}
	}
	return err
}

// removePid removes a pid file at the end of an orderly stop. One that has come to hold another pid
// belongs to another process and stays, and one that is gone is fine. So does what is no file, a pipe
// for instance: reading it might never end.
func removePid(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(content)) != strconv.Itoa(os.Getpid()) {
		return nil
	}
	return os.Remove(path)
}

// replaceFile puts a new file in the place of path in one step, so that readers see the old content
// or the new one, also after a power failure if it is to be durable. The new file is hidden until
// then, and removed if anything fails.
func replaceFile(path string, content []byte, perm os.FileMode, durable bool) (err error) {
	dir, name := filepath.Split(path)
	temp := filepath.Join(dir, "."+name+"."+strconv.Itoa(os.Getpid())+".tmp")
	defer func() {
		if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == temp {
			err = &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
		}
		if e, ok := errors.AsType[*os.LinkError](err); ok {
			err = &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
		}
	}()
	os.Remove(temp) // left by a crash: in a container the pid is always the same
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && durable {
		err = makeDurable(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// makeDurable writes a file to its device, where the file system can.
func makeDurable(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
