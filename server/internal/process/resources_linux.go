package process

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// clockTick is what times in /proc are counted in, 10 ms: USER_HZ is 100 on all systems of Go.
const clockTick = 0.01

// bootTime returns when the system started, as the kernel reports it first. It reports one that moves
// by a second with its clock, and the start of the process should not.
var bootTime = sync.OnceValue(func() float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(stat, []byte("\nbtime "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	seconds, _ := strconv.ParseFloat(string(line), 64)
	return seconds
})

// read reads what /proc says.
func (r *Resources) read() {
	r.MaxOpenFiles = softLimit(syscall.RLIMIT_NOFILE)
	r.MaxVirtual = softLimit(syscall.RLIMIT_AS)
	r.OpenFiles = countOpenFiles("/proc/self/fd")
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		if start, virtual, ok := parseStat(stat); ok {
			r.Virtual = virtual
			if boot := bootTime(); boot > 0 {
				r.Start = boot + start
			}
		}
	}
	if stat, err := os.ReadFile("/proc/self/net/netstat"); err == nil {
		r.ReceivedBytes, r.SentBytes = parseNetstat(stat)
	}
}

// parseStat takes from /proc/PID/stat the start, in seconds since that of the system, and the virtual
// memory in bytes. The name of the program, in parentheses, may have spaces and parentheses itself.
func parseStat(stat []byte) (start, virtual float64, ok bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[end+1:]) // from the third on
	if len(fields) < 21 {
		return 0, 0, false
	}
	ticks, err := strconv.ParseFloat(string(fields[19]), 64)
	bytes, err2 := strconv.ParseFloat(string(fields[20]), 64)
	return ticks * clockTick, bytes, err == nil && err2 == nil
}

// parseNetstat takes InOctets and OutOctets of IpExt from /proc/net/netstat, where a line of names
// precedes a line of values. One that is not there is 0.
func parseNetstat(stat []byte) (in, out float64) {
	var names [][]byte
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) == 0 || string(fields[0]) != "IpExt:":
		case names == nil:
			names = fields
		default:
			for i, name := range names[:min(len(names), len(fields))] {
				v, _ := strconv.ParseFloat(string(fields[i]), 64)
				switch string(name) {
				case "InOctets":
					in = v
				case "OutOctets":
					out = v
				}
			}
			return in, out
		}
	}
	return in, out
}
