package server

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// recordName is the name of the memory that holds the record of a server.
const recordName = "gnatsd-settings"

// settingsTeller keeps the record of a server's settings in memory that other
// processes can find in /proc, if they are of the same user or root. So it needs
// no port, no path, and nobody to remove it. A nil teller tells nothing.
type settingsTeller struct{ memory *os.File }

func newSettingsTeller() *settingsTeller { return &settingsTeller{} }

// settings puts the record of o in the place of the one before. That it cannot is
// of no importance to the server.
func (s *settingsTeller) settings(o *Options) {
	if s == nil {
		return
	}
	fd, err := unix.MemfdCreate(recordName, unix.MFD_CLOEXEC)
	if err != nil {
		return
	}
	old := s.memory
	s.memory = os.NewFile(uintptr(fd), recordName)
	_ = s.memory.Chmod(0o600)
	_, _ = s.memory.Write(newSettingsRecord(o).encode())
	if old != nil {
		old.Close()
	}
}

func (s *settingsTeller) close() {
	if s != nil && s.memory != nil {
		s.memory.Close()
	}
}

// runningSettings is what the process pid runs with: the record of its settings,
// its command line and its environment.
func runningSettings(pid int) (record *settingsRecord, args, env []string, err error) {
	return readSettings(fmt.Sprint(pid))
}

// recordTries is how often the record is looked for: a reload replaces it.
const recordTries = 3

func readSettings(dir string) (record *settingsRecord, args, env []string, err error) {
	var text []byte
	for range recordTries {
		if text, err = readRecord(dir); err == nil {
			break
		}
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if record, err = decodeSettingsRecord(text); err != nil {
		return nil, nil, nil, err
	}
	split := func(file string) []string {
		text, _ := os.ReadFile(path.Join("/proc", dir, file))
		return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	}
	return record, split("cmdline")[1:], split("environ"), nil
}

// readRecord reads the record of a process.
func readRecord(dir string) ([]byte, error) {
	files := path.Join("/proc", dir, "fd")
	entries, err := os.ReadDir(files)
	if err != nil {
		return nil, fmt.Errorf("look at process %s: %w", dir, pathError(err))
	}
	for _, e := range entries {
		name := path.Join(files, e.Name())
		if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, "/memfd:"+recordName) {
			return os.ReadFile(name)
		}
	}
	return nil, errors.New("process " + dir + " does not tell its settings")
}
