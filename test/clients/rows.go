package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clientRow is one client: how to install it and how to try it.
type clientRow struct {
	name    string // also of the directory of its sources
	install func(*work) error
	run     func(*work) error
}

// clientRows are the clients; the one for Go has its tests beside those of the broker.
var clientRows = []clientRow{
	{"node", installNode, runNode},
	{"c", installC, runC},
	{"cli", installCLI, runCLI},
	{"system", installSystem, runSystem},
	{"surveyor", installSurveyor, runSurveyor},
}

func installNode(w *work) error {
	if err := need(w, "npm", "npm"); err != nil {
		return err
	}
	if err := os.CopyFS(w.dir, os.DirFS(w.sources)); err != nil {
		return err
	}
	_, err := w.output("npm", "ci", "--prefix", w.dir, "--no-audit", "--no-fund", "--loglevel=error")
	return err
}

func runNode(w *work) error { return w.follow("node", filepath.Join(w.dir, "core.mjs")) }

func installC(w *work) error {
	if _, err := os.Stat("/usr/include/nats.h"); err != nil {
		if err := apt(w, "gcc", "libc6-dev", "libnats-dev"); err != nil {
			return err
		}
	}
	_, err := w.output("cc", "-Wall", "-o", filepath.Join(w.dir, "core"), filepath.Join(w.sources, "core.c"), "-lnats")
	return err
}

func runC(w *work) error { return w.follow(filepath.Join(w.dir, "core")) }

// cliVersion is the release of the NATS command line that is tried.
const cliVersion = "v0.5.1"

func installCLI(w *work) error {
	if path, err := exec.LookPath("nats"); err == nil {
		if text, err := w.output(path, "--version"); err == nil && strings.TrimSpace(text) == cliVersion {
			return os.Symlink(path, filepath.Join(w.dir, "nats"))
		}
	}
	cmd := w.command("go", "install", "github.com/nats-io/natscli/nats@"+cliVersion)
	cmd.Env = append(cmd.Env, "GOBIN="+w.dir, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

// need installs a Debian package unless the program is there.
func need(w *work, program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	return apt(w, pkg)
}

func apt(w *work, packages ...string) error {
	if _, err := w.output("apt-get", "update", "-qq"); err != nil {
		return err
	}
	args := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)
	_, err := w.output("apt-get", args...)
	return err
}

// runCLI goes through what people do with the command line.
func runCLI(w *work) error {
	for _, step := range []struct {
		name string
		try  func(*cli) error
	}{
		{"rtt", (*cli).rtt},
		{"publishes and subscribes with headers", (*cli).headers},
		{"requests and replies", (*cli).requests},
		{"request without responders fails at once", (*cli).noResponders},
		{"bench service", (*cli).benchService},
		{"checks, also behind its exporter", (*cli).checks},
		{"comes back after a restart", (*cli).restart},
		{"signs with an nkey", (*cli).signs},
		{"types what README.md types", (*cli).readme},
	} {
		if err := step.try(&cli{w}); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("  ok %s\n", step.name)
	}
	return nil
}

// cli is the NATS command line.
type cli struct{ *work }

// command prepares the command line. What it keeps of itself goes into the directory that is
// removed afterwards.
func (c *cli) command(args ...string) *exec.Cmd {
	cmd := c.work.command(filepath.Join(c.dir, "nats"), args...)
	cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+filepath.Join(c.dir, "config"))
	return cmd
}

func (c *cli) nats(args ...string) (string, error) {
	text, err := c.command(args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("nats: %w\n%s", err, text)
	}
	return string(text), err
}

// wants runs a command that must end well and say every text.
func (c *cli) wants(texts []string, args ...string) error {
	got, err := c.nats(args...)
	if err != nil {
		return err
	}
	return contains(got, texts)
}

func contains(got string, texts []string) error {
	for _, text := range texts {
		if !strings.Contains(got, text) {
			return fmt.Errorf("got %q, want %q in it", got, text)
		}
	}
	return nil
}

func (c *cli) rtt() error { return c.wants([]string{c.broker.addr()}, "rtt") }

// signs logs in with an nkey, and is refused with another one.
func (c *cli) signs() error {
	if err := c.wants([]string{c.signed.addr()}, "--server", c.signed.url(), "--nkey", c.nkey.seed, "rtt"); err != nil {
		return err
	}
	dir := filepath.Join(c.dir, "unknown")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	unknown, err := newNkeyUser(dir)
	if err != nil {
		return err
	}
	got, _ := c.nats("--server", c.signed.url(), "--nkey", unknown.seed, "rtt") // which ends well all the same
	return contains(strings.ToLower(got), []string{"authorization violation"})
}

// listener is a command that waits for messages.
type listener struct {
	cmd  *exec.Cmd
	text strings.Builder
	done chan error
}

func (c *cli) listen(args ...string) (*listener, error) {
	l := &listener{cmd: c.command(args...), done: make(chan error, 1)}
	l.cmd.Stdout, l.cmd.Stderr = &l.text, &l.text
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { l.done <- l.cmd.Wait() }() // stop waits for it
	return l, nil
}

// fed calls send again and again until the command ends, then looks at what it wrote.
func (l *listener) fed(send func() error, texts ...string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-l.done:
			if err != nil {
				return fmt.Errorf("%w\n%s", err, l.text.String())
			}
			return contains(l.text.String(), texts)
		case <-tick.C:
			if err := send(); err != nil {
				l.stop()
				return err
			}
		}
	}
}

func (l *listener) stop() {
	l.cmd.Process.Kill()
	<-l.done
}

func (c *cli) publish(subject string) func() error {
	return func() error {
		_, err := c.nats("pub", subject, "the body", "-H", "Colour:red")
		return err
	}
}

func (c *cli) headers() error {
	plain, err := c.listen("sub", "cli.>", "--count", "1")
	if err != nil {
		return err
	}
	if err := plain.fed(c.publish("cli.x"), "cli.x", "Colour: red", "the body"); err != nil {
		return err
	}
	member, err := c.listen("sub", "cli.x", "--queue", "workers", "--count", "1")
	if err != nil {
		return err
	}
	return member.fed(c.publish("cli.x"), "Colour: red", "the body")
}

func (c *cli) requests() error {
	service, err := c.listen("reply", "cli.service", "at your service")
	if err != nil {
		return err
	}
	defer service.stop()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		got, err = c.nats("req", "cli.service", "help") // until the service is there
		if strings.Contains(got, "at your service") {
			return err
		}
	}
	return fmt.Errorf("no answer: %q", got)
}

func (c *cli) noResponders() error {
	begin := time.Now()
	got, _ := c.nats("req", "cli.unheard", "help", "--timeout", "20s")
	if took := time.Since(begin); took > 10*time.Second {
		return fmt.Errorf("it took %v", took)
	}
	return contains(strings.ToLower(got), []string{"no responders"})
}

func (c *cli) benchService() error {
	service, err := c.listen("bench", "service", "serve", "cli.bench", "--no-progress", "--size", "16B")
	if err != nil {
		return err
	}
	defer service.stop()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		got, err = c.nats("bench", "service", "request", "cli.bench", "--msgs", "2000", "--clients", "2", "--no-progress", "--size", "16B")
		if err == nil && !strings.Contains(strings.ToLower(got), "no responders") {
			return contains(got, []string{"msgs/sec"})
		}
	}
	return fmt.Errorf("%w\n%s", err, got)
}

// restart has the broker restarted after a few messages; the subscriber waits for more than those.
func (c *cli) restart() error {
	const before, all = 5, 15
	sub, err := c.listen("sub", "cli.again", "--count", fmt.Sprint(all))
	if err != nil {
		return err
	}
	sent := 0
	return sub.fed(func() error {
		if sent++; sent == before {
			if err := c.broker.restart(c.ctx); err != nil {
				return err
			}
		}
		return c.publish("cli.again")()
	})
}
