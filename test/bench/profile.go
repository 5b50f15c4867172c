package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// profiles collects profiles of the processes of a broker, each from its profiling port: of the CPU
// over the measured window, and of the heap, of mutexes and of blocking at its end.
type profiles struct {
	prefix string // of the paths of files

	running []*cpuProfile
	files   []string
	err     error // the first
}

// cpuProfile is one that is being taken.
type cpuProfile struct {
	of   *process
	conn *net.TCPConn
}

// profileTime is for how many seconds a CPU profile is asked for; it ends earlier, with the window.
const profileTime = 3600

// newProfiles names files after the scenario.
func newProfiles(dir, scenario string) *profiles {
	name := strings.NewReplacer("/", "-", " ", "-").Replace(scenario)
	return &profiles{prefix: filepath.Join(dir, name)}
}

// begin begins CPU profiles, unless they have begun. A nil p collects nothing.
func (p *profiles) begin(servers []*process) {
	if p == nil || len(p.running) > 0 {
		return
	}
	for _, s := range servers {
		conn, err := net.Dial("tcp", s.profiler)
		if err != nil {
			p.fail(err)
			return
		}
		profile := &cpuProfile{of: s, conn: conn.(*net.TCPConn)}
		p.running = append(p.running, profile)
		_, err = fmt.Fprintf(conn, "GET /debug/pprof/profile?seconds=%d HTTP/1.1\r\nHost: %s\r\n\r\n", profileTime, s.profiler)
		p.fail(err)
	}
}

// fail keeps the first error.
func (p *profiles) fail(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("profile: %w", err)
	}
}

// end ends CPU profiles, and takes the others.
func (p *profiles) end() {
	if p == nil {
		return
	}
	for i, running := range p.running {
		prefix := p.prefix
		if i > 0 {
			prefix = fmt.Sprintf("%s-%d", prefix, i+1)
		}
		p.save(prefix+".cpu.prof", running.end)
		for _, kind := range []string{"heap", "mutex", "block"} {
			p.save(prefix+"."+kind+".prof", func() ([]byte, error) {
				return profileBody(http.Get("http://" + running.of.profiler + "/debug/pprof/" + kind))
			})
		}
	}
	p.running = nil
}

// end ends the profile: the broker ends it once the request has ended, and then sends it.
func (c *cpuProfile) end() ([]byte, error) {
	defer c.conn.Close()
	if err := c.conn.CloseWrite(); err != nil {
		return nil, err
	}
	return profileBody(http.ReadResponse(bufio.NewReader(c.conn), nil))
}

// profileBody reads a successful answer.
func profileBody(r *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, errors.New(r.Status)
	}
	return io.ReadAll(r.Body)
}

// save writes a profile to a file.
func (p *profiles) save(path string, take func() ([]byte, error)) {
	text, err := take()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		p.fail(err)
		return
	}
	p.files = append(p.files, path)
}

// topEntries is how many functions of each profile are printed.
const topEntries = "15"

// print writes where each file is, and the functions that are most in it; not those that the
// profiles are asked for by.
func (p *profiles) print(out io.Writer) error {
	for _, path := range p.files {
		top, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount", topEntries, "-ignore", "net/http", path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go tool pprof %s: %w\n%s", path, err, top)
		}
		fmt.Fprintf(out, "\n%s\n%s", path, top)
	}
	return nil
}
