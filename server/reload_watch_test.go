package server

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
	"gnatsd/test/certs"
)

// watchedFiles is a fileWatcher over a configuration, with a count of what it did.
type watchedFiles struct {
	fileWatcher
	t       *testing.T
	dir     string
	read    *readFiles
	reloads int
}

func watchFiles(t *testing.T, dir string) *watchedFiles {
	w := &watchedFiles{t: t, dir: dir}
	w.load()
	w.fileWatcher = fileWatcher{
		files:  func() *readFiles { return w.read },
		reload: func() { w.load(); w.reloads++ },
	}
	return w
}

func (w *watchedFiles) load() {
	w.read = &readFiles{}
	_, _ = w.read.source(onlyRegular(conf.System())).File(filepath.Join(w.dir, "x.conf")) // what is wrong with it does not matter
}

// want looks so many times and wants so many reloads in all.
func (w *watchedFiles) want(what string, looks, reloads int) {
	w.t.Helper()
	for range looks {
		w.check()
	}
	if w.reloads != reloads {
		w.t.Errorf("%s: got %d reloads, want %d", what, w.reloads, reloads)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	okay(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestConfigThatChangesIsReloadedOnceItHasSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "x.conf", "include y.conf")
	put(t, dir, "y.conf", "port: 1")
	w := watchFiles(t, dir)
	w.want("unchanged", 3, 0)
	put(t, dir, "x.conf", "include y.conf\n")
	w.want("first look", 1, 0)
	put(t, dir, "x.conf", "include y.conf\ndebug: true")
	w.want("written on", 1, 0)
	w.want("settled", 1, 1)
	w.want("loaded", 3, 1)
	put(t, dir, "x.conf", "include y.conf")
	w.want("changed", 1, 1)
	put(t, dir, "x.conf", "include y.conf\ndebug: true")
	w.want("and changed back", 3, 1)

	put(t, dir, "new", "port: 2")
	okay(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "y.conf")))
	w.want("an included file is replaced", 2, 2)
	okay(t, os.Remove(filepath.Join(dir, "y.conf")))
	w.want("removed", 2, 3)
	w.want("still missing", 3, 3)
	put(t, dir, "y.conf", "port: 2")
	w.want("there again", 2, 4)
	put(t, dir, "x.conf", "include z.conf")
	w.want("another is included, which is not there", 2, 5)
	put(t, dir, "z.conf", "")
	w.want("it comes", 2, 6)
	put(t, dir, "y.conf", "port: 3")
	w.want("the old one is of no interest", 3, 6)
}

// TestFilesOfAPatternAreWatched adds, changes and removes files that an include with a pattern names.
func TestFilesOfAPatternAreWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "x.conf", "include 'd/*.conf'")
	w := watchFiles(t, dir)
	w.want("there is no directory", 3, 0)
	sub := filepath.Join(dir, "d")
	okay(t, os.Mkdir(sub, 0o700))
	w.want("an empty one", 2, 1)
	put(t, sub, "a.conf", "port: 1")
	w.want("the first file", 2, 2)
	put(t, sub, "b.conf~", "port: 1")
	put(t, sub, ".#b.conf", "port: 1")
	w.want("files of an editor", 3, 2)
	put(t, sub, "b.conf", "")
	w.want("another file, which is empty", 2, 3)
	put(t, sub, "b.conf", "debug: true")
	w.want("which is changed", 2, 4)
	okay(t, os.Rename(filepath.Join(sub, "a.conf"), filepath.Join(sub, "c.conf")))
	w.want("renamed", 2, 5)
	okay(t, os.Remove(filepath.Join(sub, "b.conf")))
	w.want("removed", 2, 6)
	w.want("and nothing more", 3, 6)
}

// TestIncludeOfADirectory is what -t, a start and a reload say of a directory of files.
func TestIncludeOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub := filepath.Join(dir, "conf.d")
	okay(t, os.Mkdir(sub, 0o700))
	put(t, dir, "x.conf", "listen: \"127.0.0.1:-1\"\ninclude \"conf.d/*.conf\"")
	file := filepath.Join(dir, "x.conf")
	check := func() (text string, status int) {
		t.Helper()
		var stderr strings.Builder
		_, status = CommandLine([]string{"-t", "-c", file}, io.Discard, &stderr)
		return strings.ReplaceAll(stderr.String(), dir, "DIR"), status
	}
	if got, status := check(); status != 0 || got != "warning: DIR/x.conf:2:9: include 'conf.d/*.conf' matches no file\ngnatsd: configuration file DIR/x.conf is valid\n" {
		t.Errorf("of no file: status %d, %s", status, got)
	}
	put(t, sub, "20.conf", "max_payload: 20")
	put(t, sub, "10.conf", "max_connections: 10")
	if got, status := check(); status != 0 || got != "included: DIR/conf.d/10.conf\nincluded: DIR/conf.d/20.conf\ngnatsd: configuration file DIR/x.conf is valid\n" {
		t.Errorf("of two files: status %d, %s", status, got)
	}
	o, err := ProcessConfigFile(file)
	okay(t, err)
	o.NoSigs = true
	s, err := NewServer(o)
	okay(t, err)
	go s.Start() // ends with Shutdown
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) || s.options().MaxConn != 10 || s.options().MaxPayload != 20 {
		t.Fatalf("the server has %d and %d", s.options().MaxConn, s.options().MaxPayload)
	}
	put(t, sub, "30.conf", "max_connections: 30")
	okay(t, s.Reload())
	if got := s.options().MaxConn; got != 30 {
		t.Errorf("after a reload max_connections is %d, want that of the new file", got)
	}
	if got, status := check(); status != 0 || !strings.HasPrefix(got, "warning: DIR/conf.d/10.conf:1:1: max_connections: it is given twice: DIR/conf.d/30.conf:1:1 counts, this has no effect\n") {
		t.Errorf("of two files with the same key: status %d, %s", status, got)
	}
	put(t, dir, "y.conf", "include \"conf.d/30.conf\"\ninclude \"conf.d/30.conf\"")
	var stderr strings.Builder
	CommandLine([]string{"-t", "-c", filepath.Join(dir, "y.conf")}, io.Discard, &stderr)
	if got := stderr.String(); !strings.Contains(got, "/conf.d/30.conf:1:1: max_connections: it is given twice, because its file is included twice\n") {
		t.Errorf("of a file that is included twice: %s", got)
	}
	put(t, sub, "40.conf", "authorization { user: a, password: b }")
	put(t, sub, "50.conf", "authorization { timeout: 5 }")
	if got, status := check(); status != 1 || !strings.Contains(got, "DIR/conf.d/40.conf:1:1: authorization: it is given twice, and would have no effect here (the other is at DIR/conf.d/50.conf:1:1)") {
		t.Errorf("of two files with users: status %d, %s", status, got)
	}
}

func TestConfigThatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "x.conf", "")
	w := watchFiles(t, dir)
	put(t, dir, "x.conf", "port = {")
	w.want("broken", 5, 1)
	put(t, dir, "x.conf", "port = 1")
	w.want("mended", 5, 2)
}

func TestAFileThatBecomesEmptyIsNotReloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "x.conf", "include y.conf")
	put(t, dir, "y.conf", "authorization { token: x }")
	w := watchFiles(t, dir)
	var kept []string
	w.kept = func(name string) { kept = append(kept, filepath.Base(name)) }
	put(t, dir, "y.conf", "")
	w.want("an included file is emptied", 5, 0)
	if !slices.Equal(kept, []string{"y.conf"}) {
		t.Errorf("files that are reported: got %q, want y.conf once", kept)
	}
	put(t, dir, "y.conf", "authorization { token: y }")
	w.want("and written", 2, 1)
	put(t, dir, "x.conf", " \n")
	w.want("the file is emptied", 5, 1)
	put(t, dir, "x.conf", "include y.conf")
	w.want("and is what it was", 5, 1)
}

func TestConfigBehindALinkThatIsTurned(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, v := range []string{"v1", "v2"} {
		okay(t, os.Mkdir(filepath.Join(root, v), 0o700))
		put(t, filepath.Join(root, v), "x.conf", "server_name: "+v)
	}
	link := filepath.Join(root, "..data")
	if err := os.Symlink("v1", link); err != nil {
		missing(t, "symbolic links: "+err.Error())
	}
	okay(t, os.Symlink("..data/x.conf", filepath.Join(root, "x.conf"))) // as in a mounted ConfigMap
	w := watchFiles(t, root)
	okay(t, os.Symlink("v2", link+".new"))
	okay(t, os.Rename(link+".new", link))
	w.want("turned", 2, 1)
}

func TestWatchConfigNeedsAFile(t *testing.T) {
	t.Parallel()
	if _, err := configured(t, "", "--watch-config"); err == nil || !strings.Contains(err.Error(), "needs a configuration file") {
		t.Errorf("got %v", err)
	}
}

// TestCertificatesThatChangeAreReloaded renews a pair in two steps, as tools do that write one file
// after the other, and then turns a link to another directory.
func TestCertificatesThatChangeAreReloaded(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	okay(t, certs.WriteAll(filepath.Join(root, "v1")))
	okay(t, certs.WriteAll(filepath.Join(root, "v2")))
	link := filepath.Join(root, "current")
	if err := os.Symlink("v1", link); err != nil {
		missing(t, "symbolic links: "+err.Error())
	}
	s, err := NewServer(nil)
	okay(t, err)
	log := newLineLog()
	s.SetLogger(log, false, false)
	block := certOpts(link, "server")
	holder := tlsfiles.NewHolder(mustTLS(t, block), tlsfiles.Clients)
	w := s.certWatcher(block.files(), []*tlsfiles.Holder{holder})
	want := func(what, line string) {
		t.Helper()
		before := holder.Current()
		for range 5 {
			w.check()
		}
		select {
		case got := <-log.lines:
			if line == "" || !strings.HasPrefix(got, line) {
				t.Errorf("%s: got %q, want %q", what, got, line)
			}
		default:
			if line != "" {
				t.Errorf("%s: got nothing, want %q", what, line)
			}
		}
		if reloaded := strings.HasPrefix(line, "Reloaded"); reloaded != (holder.Current() != before) {
			t.Errorf("%s: the configuration was replaced: %v", what, !reloaded)
		}
		if len(log.lines) > 0 {
			t.Errorf("%s: also got %q", what, <-log.lines)
		}
	}
	renew := func(kind string) {
		text, err := os.ReadFile(filepath.Join(root, "v1", "srva"+kind))
		okay(t, err)
		put(t, filepath.Join(root, "v1"), "new", string(text))
		okay(t, os.Rename(filepath.Join(root, "v1", "new"), filepath.Join(root, "v1", "server"+kind)))
	}
	want("unchanged", "")
	renew("-cert.pem")
	want("the key is still the old one", "TLS files changed but cannot be used, keeping the old ones: error parsing X509 certificate/key pair: ")
	renew("-key.pem")
	want("both are new", "Reloaded TLS certificate "+block.CertFile+", valid until ")
	okay(t, os.Symlink("v2", link+".new"))
	okay(t, os.Rename(link+".new", link))
	want("the link is turned", "Reloaded TLS certificate "+block.CertFile+", valid until ")
	okay(t, os.Remove(filepath.Join(root, "v2", "ca.pem")))
	want("a file is removed", "TLS files changed but cannot be used, keeping the old ones: open ")
}
