package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for.
const patience = 2 * time.Minute

// What the system of a machine is made of: a minimal Debian, and programs that look at packages as
// users do.
const (
	debianSuite    = "bookworm"
	debianPrograms = "systemd,logrotate,bash-completion,man-db,rpm,zsh"
)

// debianArchive returns the path of an archive of that system. It is made once, and kept in the
// user's cache.
func debianArchive(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "gnatsd-release")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, strings.ReplaceAll(debianSuite+"-"+debianPrograms, ",", "-")+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	root, err := os.MkdirTemp(dir, "root-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	for _, args := range [][]string{
		{"debootstrap", "--variant=minbase", "--include=" + debianPrograms, debianSuite, root},
		{"tar", "-C", root, "--exclude=./var/cache/apt/archives/*.deb", "--numeric-owner", "-cf", root + ".tar", "."},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s (as root; Debian: apt-get install debootstrap): %v\n%s", args[0], err, out)
		}
	}
	if err := os.Rename(root+".tar", archive); err != nil {
		t.Fatal(err)
	}
	return archive
}

// machine is a Debian with systemd as its first process, in name spaces of its own.
type machine struct {
	root string // its files
	init int    // its first process
}

// bootMachine boots a new machine. It is switched off at the end of the test.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: t.TempDir()}
	if out, err := exec.Command("tar", "-C", m.root, "--numeric-owner", "-xf", debianArchive(t)).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if err := os.Chmod(m.root, 0o755); err != nil { // it is / there, for all users
		t.Fatal(err)
	}
	var console bytes.Buffer
	cmd := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
		fmt.Sprintf("--machine=gnatsd-%d", os.Getpid()), "--directory="+m.root, "--boot")
	cmd.Stdout, cmd.Stderr = &console, &console
	if err := cmd.Start(); err != nil {
		t.Fatalf("boot (as root; Debian: apt-get install systemd-container): %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the machine, which the cleanup switches off
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-ended
		}
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range strings.Fields(string(children)) {
			name, _ := os.ReadFile("/proc/" + child + "/comm")
			if string(name) == "systemd\n" {
				m.init, _ = strconv.Atoi(child)
			}
		}
		if m.init > 0 {
			if out, err := m.try("systemctl is-system-running --wait"); err == nil {
				return m
			} else if time.Now().After(deadline) {
				t.Fatalf("systemd does not start: %s\n%s", out, console.String())
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the machine ended: %v\n%s", err, console.String())
		case <-tick.C:
		}
	}
}

// try runs a script in the machine, as root.
func (m *machine) try(script string) (string, error) {
	late, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(late, "nsenter", "--target", strconv.Itoa(m.init), "--all", "--root", "--",
		"/usr/bin/env", "--ignore-environment", "--chdir=/", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "/bin/bash", "-o", "pipefail", "-c", script)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// sh runs a script that must succeed, and returns what it prints.
func (m *machine) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := m.try(script)
	if err != nil {
		journal, _ := m.try("journalctl --no-pager -u gnatsd.service -u gnatsd.socket -n 30; cat /var/log/gnatsd/gnatsd.log")
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, journal)
	}
	return out
}

// wants runs a script, and compares what it prints.
func (m *machine) wants(t *testing.T, script, want string) {
	t.Helper()
	if got := m.sh(t, script); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", script, got, want)
	}
}

// eventually waits until a script succeeds.
func (m *machine) eventually(t *testing.T, script string) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience / 4); ; <-tick.C {
		if out, err := m.try(script); err == nil {
			return out
		} else if time.Now().After(deadline) {
			m.sh(t, script)
		}
	}
}

// copyIn puts a file into the directory / of the machine.
func (m *machine) copyIn(t *testing.T, file, as string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.root, as), text, 0o644); err != nil {
		t.Fatal(err)
	}
}
