package process

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// findProcesses returns the pids of the processes called name, without this one, by reading /proc:
// a container need not have any other program in it.
func findProcesses(name string) ([]int, error) {
	return procFS("/proc").find(name, os.Getpid())
}

// procFS is where a proc file system is mounted. It lists processes only, no threads.
type procFS string

// maxComm is where the kernel cuts the short name of a process, in bytes.
const maxComm = 15

// find returns the pids of live processes called name in the pid namespace of the process self,
// without self. A process is called what its executable is called, or what it was started as
// (argv[0]). Only where there is no such process, the kernel's short name decides, which a script
// and an emulated program have too.
func (fs procFS) find(name string, self int) ([]int, error) {
	entries, err := os.ReadDir(string(fs))
	if err != nil {
		return nil, errNoProcessList
	}
	ours := fs.namespaces("self")
	var named, similar []int
	for _, entry := range entries {
		dir := entry.Name()
		pid, ok := parsePid(dir)
		if !ok || !fs.alive(dir) {
			continue
		}
		theirs := fs.namespaces(dir)
		if !ours.same(theirs) {
			continue
		}
		if theirs.pid != 0 {
			pid = theirs.pid // differs from dir if /proc is that of an outer namespace
		}
		switch {
		case pid == self:
		case fs.executable(dir) == name || fs.argv0(dir) == name:
			named = append(named, pid)
		case fs.comm(dir) == name[:min(len(name), maxComm)]:
			similar = append(similar, pid)
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	return similar, nil
}

// namesOfProcess returns what a process is called, by reading /proc.
func namesOfProcess(pid int) []string {
	fs := procFS("/proc")
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil // it is that of another pid namespace
	}
	return fs.names(strconv.Itoa(pid))
}

// names returns what a process is called: as its executable, as it was started, and by the kernel's
// short name, as far as these can be read.
func (fs procFS) names(dir string) []string {
	all := []string{fs.executable(dir), fs.argv0(dir), fs.comm(dir)}
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// read returns the content of a file of a process, nothing if it cannot be read: processes come and
// go meanwhile.
func (fs procFS) read(dir, file string) []byte {
	content, err := os.ReadFile(path.Join(string(fs), dir, file))
	if err != nil {
		return nil
	}
	return content
}

// executable is the base name of the file that a process executes, empty if that may not be read. A
// file that was replaced since, by an upgrade, still counts.
func (fs procFS) executable(dir string) string {
	target, err := os.Readlink(path.Join(string(fs), dir, "exe"))
	if err != nil {
		return ""
	}
	return path.Base(strings.TrimSuffix(target, " (deleted)"))
}

// argv0 is the base name of what a process was started as, empty for a zombie or a kernel thread.
func (fs procFS) argv0(dir string) string {
	first, _, _ := bytes.Cut(fs.read(dir, "cmdline"), []byte{0})
	if len(first) == 0 {
		return ""
	}
	return path.Base(string(first))
}

// comm is the kernel's short name of a process.
func (fs procFS) comm(dir string) string {
	return strings.TrimSuffix(string(fs.read(dir, "comm")), "\n")
}

// alive reports whether a process exists and is neither a zombie nor about to vanish. In stat the
// state follows the short name in parentheses, which may itself hold anything.
func (fs procFS) alive(dir string) bool {
	stat := fs.read(dir, "stat")
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 0 && !slices.Contains([]string{"Z", "X", "x"}, string(fields[0]))
}

// pidNamespaces is where a process is in the tree of pid namespaces.
type pidNamespaces struct {
	link  string // identity of its namespace; empty for processes that we may not trace
	depth int    // namespaces between /proc's and its own, both included; 0 before Linux 4.1
	pid   int    // its pid in its own namespace; 0 before Linux 4.1
}

// namespaces reads where a process is in the tree of pid namespaces.
func (fs procFS) namespaces(dir string) pidNamespaces {
	var ns pidNamespaces
	ns.link, _ = os.Readlink(path.Join(string(fs), dir, "ns", "pid"))
	for line := range bytes.Lines(fs.read(dir, "status")) {
		if list, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			pids := bytes.Fields(list)
			ns.depth = len(pids)
			if ns.depth > 0 {
				ns.pid, _ = strconv.Atoi(string(pids[ns.depth-1]))
			}
			return ns
		}
	}
	return ns
}

// same reports whether two processes share a pid namespace. Without the right to see both
// identities the depth decides: a container's processes are deeper than the host's.
func (ns pidNamespaces) same(other pidNamespaces) bool {
	if ns.link != "" && other.link != "" {
		return ns.link == other.link
	}
	return ns.depth == other.depth
}
