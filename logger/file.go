package logger

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const backupStamp = "2006.01.02.15.04.05.000000000"

// file writes lines to a named file, opened for append, and rotates it when it would exceed a
// limit.
type file struct {
	// set once
	name     string
	maxFiles int // files to keep, the current one included; 0: all
	enc      encoder

	// owned by the queue's goroutine
	limit    int64 // bytes; 0: none
	out      *stream
	f        *os.File
	path     string // the name, or the target if it is a symbolic link
	size     int64
	rotateAt int64     // size at which it is rotated; 0: never
	rotated  time.Time // in the name of the last backup
	unsaid   []byte    // lines about the file itself that could not be written
}

// maxUnsaid is how many bytes of such lines are kept; above it the older ones are lost.
const maxUnsaid = 4 << 10

// newFile opens the file of a log.
func newFile(name string, enc encoder, o Options) (*file, error) {
	s := &file{name: name, limit: o.SizeLimit, maxFiles: o.MaxFiles, enc: enc}
	f, err := openAppend(name)
	if err != nil {
		return nil, err
	}
	return s, s.use(f)
}

// openAppend opens a log file, which it creates if it does not exist.
func openAppend(name string) (*os.File, error) {
	f, err := openAppendOnly(name)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return f, nil
}

// use makes f the file that is written to, and closes it if it cannot be.
func (s *file) use(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log file: %w", err)
	}
	s.f, s.out, s.size, s.rotateAt = f, &stream{w: f}, st.Size(), 0
	s.path = target(s.name)
	if st.Mode().IsRegular() { // /dev/stderr must not be renamed
		s.rotateAt = s.limit
	}
	return nil
}

// setLimit changes the limit, from the file in use on.
func (s *file) setLimit(limit int64) error {
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	s.limit = limit
	if st.Mode().IsRegular() {
		s.rotateAt = limit
	}
	return nil
}

// target returns the target of a symbolic link, or the name itself.
func target(name string) string {
	st, err := os.Lstat(name)
	if err != nil || st.Mode()&os.ModeSymlink == 0 {
		return name
	}
	if path, err := filepath.EvalSymlinks(name); err == nil {
		return path
	}
	return name
}

func (s *file) write(buf []byte, recs []record) (int, error) {
	s.say()
	done := 0
	for done < len(recs) {
		n := s.fit(recs[done:])
		if n == 0 {
			s.rotate()
			n = max(1, s.fit(recs[done:]))
		}
		part := recs[done : done+n]
		stored, err := s.out.write(buf, part)
		done += stored
		s.size += int64(part[n-1].to - part[0].from)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// fit returns how many of the records fit into the current file. An empty file takes at least one.
func (s *file) fit(recs []record) int {
	if s.rotateAt <= 0 {
		return len(recs)
	}
	room := s.rotateAt - s.size + int64(recs[0].from)
	n := 0
	for n < len(recs) && int64(recs[n].to) <= room {
		n++
	}
	if n == 0 && s.size == 0 {
		return 1
	}
	return n
}

// rotate renames the file and opens a new one. If that fails the old one is used for as many bytes
// again.
func (s *file) rotate() {
	backup := s.backup(time.Now())
	if err := s.replace(backup); err != nil {
		s.rotateAt = s.size + s.limit
		s.line(failure, fmt.Sprintf("Log file not rotated, still writing to %q: %v", s.path, err))
		return
	}
	s.line(notice, fmt.Sprintf("Rotated log, backup saved as %q", backup))
	if err := s.purge(); err != nil {
		s.line(failure, fmt.Sprintf("Old log files not removed: %v", err))
	}
}

// backup returns the name of the next backup, which no file has, and which sorts behind those
// before: clocks may be coarse, or be set back.
func (s *file) backup(now time.Time) string {
	now = now.Round(0) // what the name shows
	if !now.After(s.rotated) {
		now = s.rotated.Add(time.Nanosecond)
	}
	for {
		s.rotated = now
		name := s.path + "." + now.Format(backupStamp)
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		now = now.Add(time.Nanosecond)
	}
}

// replace renames the current file to backup and opens a new one.
func (s *file) replace(backup string) error {
	old := s.f
	defer func() {
		if s.f != old {
			old.Close()
		}
	}()
	err := os.Rename(s.path, backup)
	f, oerr := openAppend(s.path)
	if oerr == nil {
		oerr = s.use(f)
	}
	if oerr != nil && err == nil {
		os.Rename(backup, s.path) // undo: the old file stays in use
	}
	return cmp.Or(err, oerr)
}

// purge removes the oldest backups. Files whose names are not exactly those of backups are kept.
func (s *file) purge() error {
	if s.maxFiles <= 0 {
		return nil
	}
	dir := filepath.Dir(s.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var backups []string
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(s.path)+".")
		if _, err := time.Parse(backupStamp, stamp); ok && err == nil && e.Type().IsRegular() {
			backups = append(backups, e.Name())
		}
	}
	slices.Sort(backups) // by time: the stamp has fixed width
	for _, b := range backups[:max(0, len(backups)-(s.maxFiles-1))] {
		if rerr := os.Remove(filepath.Join(dir, b)); rerr != nil {
			err = rerr
		}
	}
	return err
}

// reopen opens the file by its name again, for it may have been renamed. If that fails the old one
// stays in use.
func (s *file) reopen() error {
	f, err := openAppend(s.name)
	if err != nil {
		return err
	}
	old := s.f
	if err := s.use(f); err != nil {
		return err
	}
	s.line(notice, "File log re-opened")
	return old.Close()
}

// line writes a line about the file itself. If that fails it is written before the next line.
func (s *file) line(lv level, text string) {
	if len(s.unsaid) > maxUnsaid {
		s.unsaid = nil
	}
	s.unsaid = s.enc(s.unsaid, time.Now(), lv, []byte(text))
	s.say()
}

// say writes the lines about the file itself that have not been written.
func (s *file) say() {
	if len(s.unsaid) == 0 {
		return
	}
	if _, err := s.out.write(s.unsaid, []record{{to: len(s.unsaid)}}); err == nil {
		s.size += int64(len(s.unsaid))
		s.unsaid = nil
	}
}

func (s *file) end()   {}
func (s *file) abort() {}

func (s *file) close() error {
	s.say()
	return s.f.Close()
}
