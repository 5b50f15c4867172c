package logger

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// eventWriter is a Windows event log.
type eventWriter interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
	Close() error
}

// eventEncoder encodes the text of an event.
func eventEncoder(pid int) encoder {
	prefix := "pid[" + strconv.Itoa(pid) + "]["
	return func(dst []byte, _ time.Time, lv level, text []byte) []byte {
		dst = append(dst, prefix...)
		dst = append(dst, levelNames[lv].tag...)
		dst = append(dst, "]: "...)
		dst = append(dst, text...)
		return append(dst, '\n')
	}
}

// events writes each line as an event. An event text ends at a NUL, so those are shown as \x00.
type events struct{ w eventWriter }

func (s events) write(buf []byte, recs []record) (int, error) {
	for i, r := range recs {
		text := string(bytes.TrimSuffix(buf[r.from:r.to], []byte{'\n'}))
		if err := s.put(r.lv, strings.ReplaceAll(text, "\x00", `\x00`)); err != nil {
			return i, err
		}
	}
	return len(recs), nil
}

// put writes one event.
func (s events) put(lv level, text string) error {
	id := levelNames[lv].event
	switch lv {
	case failure, fatal:
		return s.w.Error(id, text)
	case warning:
		return s.w.Warning(id, text)
	}
	return s.w.Info(id, text)
}

func (s events) end()         {}
func (s events) abort()       {}
func (s events) close() error { return s.w.Close() }
