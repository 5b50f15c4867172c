package faults

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// This file has tests run themselves again in namespaces of their own.

// Names of the environment variables that a test passes to itself.
const (
	inside   = "GNATSD_FAULTS_INSIDE" // name of the test that is in namespaces of its own
	buildDir = "GNATSD_FAULTS_BUILD"  // directory of the binary
)

// TestMain makes a directory for the binary, and removes it.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "gnatsd-faults-")
	if err != nil {
		panic(err)
	}
	os.Setenv(buildDir, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// program is the path of the broker's binary.
func program() string { return filepath.Join(os.Getenv(buildDir), "gnatsd") }

// build makes the binary when it is first called.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", program(), "gnatsd").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// isolated reports whether the test is in a network and a mount namespace of its own. If not, it
// runs the test again in new ones, or skips it where they cannot be made.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	t.Parallel()
	if os.Getuid() != 0 {
		missing(t, "root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing(t, "the ip command (package iproute2)")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], append([]string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=0"}, flags()...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if *all { // it takes minutes
		cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	if err := cmd.Start(); err != nil {
		missing(t, "leave to make namespaces: "+err.Error())
	}
	err := cmd.Wait()
	if !*all {
		t.Logf("in namespaces of its own:\n%s", out.Bytes())
	}
	if err != nil {
		t.Fail()
	}
	return false
}

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
