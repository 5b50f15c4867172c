package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// held is what a process has that can leak.
type held struct{ goroutines, files, heap int }

// leaky is a broker that is looked at from outside.
type leaky struct {
	*reloadable
	web, profiler string
}

// loadTime is when the broker has loaded its settings last.
func (l *leaky) loadTime(t *testing.T) (at time.Time) {
	t.Helper()
	var page struct {
		At time.Time `json:"config_load_time"`
	}
	_, text := get(t, l.web+"/varz")
	must(t, json.Unmarshal([]byte(text), &page))
	return page.At
}

// hold counts what the broker has.
func (l *leaky) hold(t *testing.T) (h held) {
	t.Helper()
	number := func(path, pattern string) int {
		_, text := get(t, l.profiler+path)
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in %s", pattern, path)
		}
		n, err := strconv.Atoi(m[1])
		must(t, err)
		return n
	}
	h.heap = number("/debug/pprof/heap?gc=1&debug=1", `# HeapAlloc = (\d+)`)
	h.goroutines = number("/debug/pprof/goroutine?debug=1", `goroutine profile: total (\d+)`)
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", l.cmd.Process.Pid))
	must(t, err)
	h.files = len(list)
	return h
}

// TestReloadsLeakNothing reloads 200 times, under load, files that change everything that is
// opened, started or kept.
func TestReloadsLeakNothing(t *testing.T) {
	t.Parallel()
	const reloads, settling = 200, 20
	dir := certFiles(t)
	common := "http: \"127.0.0.1:-1\"\nprof_port: -1\nwatch_config: true\n"
	steady := "authorization { users: [ {user: steady, password: s}, {user: %s, password: x, permissions: {publish: [a, b.>]}} ] }\n"
	texts := []string{
		common + fmt.Sprintf(steady, "one") + fmt.Sprintf("log_file: %q\n", dir+"/one.log") + clusterText(""),
		common + fmt.Sprintf(steady, "two") + fmt.Sprintf("log_file: %q\npid_file: %q\nports_file_dir: %q\n", dir+"/two.log", dir+"/pid", dir) +
			tlsBlock(dir, "server", "") + clusterText(routeBlock(dir, "srva", "")+"permissions { import: {deny: x} }"),
		common + fmt.Sprintf(steady, "one") + "ping_interval: 9\nwrite_deadline: 9s\n" + fmt.Sprintf("log_file: %q\n", dir+"/one.log") +
			tlsBlock(dir, "srva", "") + clusterText(`routes: ["nats://127.0.0.1:1"]`+"\nno_advertise: true"),
		"port: {",
	}
	l := &leaky{reloadable: &reloadable{file: writeConfig(t, strings.Replace(texts[0], dir+"/one.log", "", 1))}}
	l.process = spawn(t, "-c", l.file)
	l.addr = l.process.addr(t)
	l.web = "http://" + l.logged(t, `Starting http monitor on (\S+)$`)[1]
	l.profiler = "http://127.0.0.1:" + l.logged(t, `profiling port: (\d+)$`)[1]
	stop := underLoad(t, l.addr)
	var before held
	for i := range settling + reloads {
		if i == settling {
			before = l.hold(t)
		}
		last := l.loadTime(t)
		l.rewrite(t, texts[3])
		l.signal(t, syscall.SIGHUP) // and one that is refused, if it comes to that
		l.rewrite(t, texts[(i+1)%3])
		l.signal(t, syscall.SIGHUP)
		eventually(t, "a reload", func() bool {
			if l.loadTime(t).After(last) {
				return true
			}
			l.signal(t, syscall.SIGHUP)
			return false
		})
	}
	stop()
	eventually(t, fmt.Sprintf("an end of what %d reloads began, %+v before", reloads, before), func() bool {
		after := l.hold(t)
		return after.goroutines <= before.goroutines+10 && after.files <= before.files+5 && after.heap <= before.heap+8<<20
	})
	t.Logf("before %+v, after %+v", before, l.hold(t))
	for _, name := range []string{"one.log", "two.log"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// underLoad has two clients talk to each other until stop is called, and fails the test if they
// lose anything.
func underLoad(t *testing.T, addr string) (stop func()) {
	t.Helper()
	connect := func() *nats.Conn {
		nc, err := goClient("nats://steady:s@"+addr, nats.NoReconnect())
		must(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	pub, sub := connect(), connect()
	var got atomic.Int64
	_, err := sub.Subscribe("load", func(*nats.Msg) { got.Add(1) })
	must(t, err)
	flush(t, sub)
	quit, done := make(chan struct{}), make(chan int)
	go func() { // ends with stop
		sent := 0
		for {
			select {
			case <-quit:
				done <- sent
				return
			default:
			}
			for range 100 {
				if pub.Publish("load", []byte("payload")) == nil {
					sent++
				}
			}
			pub.Flush()
			sub.Flush() // the broker shall have time for other things
		}
	}()
	return func() {
		t.Helper()
		close(quit)
		sent := <-done
		flush(t, pub)
		flush(t, sub)
		eventually(t, fmt.Sprintf("delivery of %d messages", sent), func() bool { return got.Load() == int64(sent) })
	}
}
