package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// recordName is the name of the memory that holds the record of a broker.
const recordName = "gnatsd-settings"

// recordTries is how often the record is looked for: a reload replaces it.
const recordTries = 3

// NewSettingsRecord returns a record that nothing is published in yet.
func NewSettingsRecord() *SettingsRecord { return &SettingsRecord{} }

// publish keeps a text in memory as long as the file is open.
func publish(text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(recordName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	memory := os.NewFile(uintptr(fd), recordName)
	err = memory.Chmod(0o600)
	if err == nil {
		_, err = memory.Write(text)
	}
	if err != nil {
		memory.Close()
		return nil, err
	}
	return memory, nil
}

// published is the text that a process has published.
func published(pid int) (text []byte, err error) {
	for range recordTries {
		if text, err = procFS("/proc").published(strconv.Itoa(pid)); err == nil {
			break
		}
	}
	return text, err
}

// published is the text that the process with this directory has published. While it is replaced
// there may be two, the new one not complete.
func (fs procFS) published(dir string) ([]byte, error) {
	files := path.Join(string(fs), dir, "fd")
	entries, err := os.ReadDir(files)
	if err != nil {
		return nil, fmt.Errorf("look at process %s: %w", dir, reason(err))
	}
	for _, e := range entries {
		file := path.Join(files, e.Name())
		target, err := os.Readlink(file)
		if err != nil || !strings.HasPrefix(target, "/memfd:"+recordName) {
			continue
		}
		if text, err := os.ReadFile(file); err == nil && json.Valid(text) {
			return text, nil
		}
	}
	return nil, fmt.Errorf("process %s does not publish its settings", dir)
}

// reason is what the system said of a file, without the path.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// commandLine returns the arguments and the environment of a process, as far as they may be read.
func commandLine(pid int) (args, env []string) {
	split := func(file string) []string {
		text := string(procFS("/proc").read(strconv.Itoa(pid), file))
		if text == "" {
			return nil
		}
		return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	}
	if args = split("cmdline"); len(args) > 0 {
		args = args[1:]
	}
	return args, split("environ")
}
