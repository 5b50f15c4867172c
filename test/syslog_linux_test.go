package test

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// inDev runs a program with a directory in place of /dev, of which no other process sees anything.
const inDev = `mount --bind "$1" /dev && shift && exec "$@"`

// TestLocalSyslog has a daemon at /dev/log, with the permission of a namespace of its own to put
// one there.
func TestLocalSyslog(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"})
	must(t, err)
	defer daemon.Close()
	records := make(chan string, 64)
	go func() { // ends with the socket
		for buf := make([]byte, 4096); ; {
			n, err := daemon.Read(buf)
			if err != nil {
				return
			}
			records <- string(buf[:n])
		}
	}()
	gnatsd, err := program()
	must(t, err)
	p := launch(t, inNamespaces(t, []string{"--mount"}, "sh", "-c", inDev, "sh", dir, gnatsd, "-a", "127.0.0.1", "-p", "-1", "-D", "-c", writeConfig(t, "syslog: true")))
	for _, want := range []string{`<29>%s: Starting nats-server version ` + quotedVersion, `<31>%s: Go build version go.*`, `<29>%s: Server is ready`} {
		re := regexp.MustCompile(fmt.Sprintf("^"+want+"\n$", fmt.Sprintf(`[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} gnatsd\[%d\]`, p.cmd.Process.Pid)))
		for !re.MatchString(await(t, records, "record "+re.String())) {
		}
	}
	if code, log := p.stop(t, syscall.SIGTERM); code != 0 || len(log) > 0 {
		t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, log)
	}
}
