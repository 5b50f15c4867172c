//go:build unix

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// reloadable is a running program whose file can be changed.
type reloadable struct {
	*process
	addr string // of clients
	file string
}

// spawnReloadable starts the binary with a file.
func spawnReloadable(t *testing.T, text string, args ...string) *reloadable {
	t.Helper()
	r := &reloadable{file: writeConfig(t, text)}
	r.process = spawn(t, append([]string{"-c", r.file}, args...)...)
	r.addr = r.process.addr(t)
	return r
}

// rewrite puts a new file in the place of the old one, as editors do.
func (r *reloadable) rewrite(t *testing.T, text string) {
	t.Helper()
	must(t, os.WriteFile(r.file+".new", []byte(text+"\n"), 0o600))
	must(t, os.Rename(r.file+".new", r.file))
}

// reload rewrites the file, sends the signal and waits for the lines, and for the one that ends a
// reload.
func (r *reloadable) reload(t *testing.T, text string, lines ...string) {
	t.Helper()
	r.rewrite(t, text)
	r.signal(t, syscall.SIGHUP)
	for _, line := range append(lines, "Reloaded server configuration") {
		r.await(t, `\[INF\] `+regexp.QuoteMeta(line)+`$`)
	}
}

// refuses rewrites the file, sends the signal, and wants these reasons and a broker that answers.
func (r *reloadable) refuses(t *testing.T, text string, reasons ...string) {
	t.Helper()
	r.logsWhyNot(t, text, reasons...)
	alive(t, r.addr)
}

// logsWhyNot is refuses for a broker that asks for a login.
func (r *reloadable) logsWhyNot(t *testing.T, text string, reasons ...string) {
	t.Helper()
	r.rewrite(t, text)
	r.signal(t, syscall.SIGHUP)
	for _, reason := range reasons {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(reason), "FILE", regexp.QuoteMeta(r.file))
		r.await(t, `\[ERR\] Failed to reload server configuration: .*`+pattern)
	}
}

func TestWatchedConfig(t *testing.T) {
	t.Parallel()
	t.Run("edited and broken", func(t *testing.T) {
		t.Parallel()
		r := spawnReloadable(t, "watch_config: true\nmax_payload: 10")
		must(t, os.WriteFile(r.file, []byte("watch_config: true\nmax_payload: 11\n"), 0o600))
		r.await(t, `Reloaded: max_payload = 11$`)
		r.rewrite(t, "watch_config: true\nmax_payload: {")
		r.await(t, `Failed to reload server configuration: .*gnatsd.conf:2:14: `)
	})
	t.Run("mounted as Kubernetes does", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		for i, v := range []string{"..v1", "..v2"} {
			must(t, os.Mkdir(filepath.Join(root, v), 0o700))
			must(t, os.WriteFile(filepath.Join(root, v, "x.conf"), []byte("include limits.conf\n"), 0o600))
			must(t, os.WriteFile(filepath.Join(root, v, "limits.conf"), fmt.Appendf(nil, "max_payload: %d\n", 10+i), 0o600))
		}
		must(t, os.Symlink("..v1", filepath.Join(root, "..data")))
		for _, name := range []string{"x.conf", "limits.conf"} {
			must(t, os.Symlink("..data/"+name, filepath.Join(root, name)))
		}
		p := spawn(t, "-c", filepath.Join(root, "x.conf"), "--watch-config")
		p.addr(t)
		must(t, os.Symlink("..v2", filepath.Join(root, "..tmp")))
		must(t, os.Rename(filepath.Join(root, "..tmp"), filepath.Join(root, "..data")))
		p.await(t, `Reloaded: max_payload = 11$`)
	})
}

// TestSignalFlagReloads has the command of operators change a running broker.
func TestSignalFlagReloads(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	r := spawnReloadable(t, "", "-P", pid)
	r.rewrite(t, "max_payload: 10")
	if stdout, stderr, code := run(t, "-sl", "reload="+pid); code != 0 || stdout+stderr != "" {
		t.Errorf("got exit %d, %q, %q", code, stdout, stderr)
	}
	r.await(t, `Reloaded: max_payload = 10$`)
	r.await(t, `Reloaded server configuration$`)
}
