package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// residentMemory is the resident memory of this process, in bytes.
func residentMemory() (int64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	return parseStatm(statm, os.Getpagesize())
}

// parseStatm takes the resident memory from /proc/PID/statm, whose second number counts its pages.
func parseStatm(statm []byte, pageSize int) (int64, error) {
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: want at least two numbers, have %q", statm)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("statm: %w", err)
	}
	return pages * int64(pageSize), nil
}
