package test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTerminalShowsColours needs a terminal, as script(1) makes one.
func TestTerminalShowsColours(t *testing.T) {
	t.Parallel()
	screen, keyboard := terminal(t)
	path, err := program()
	must(t, err)
	cmd := exec.Command(path, "-a", "127.0.0.1", "-p", "-1")
	cmd.Stderr = keyboard
	must(t, cmd.Start())
	keyboard.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	text, err := readUntil(screen, "Server is ready\r\n")
	if want := "[\x1b[32mINF\x1b[0m] Starting nats-server"; !strings.Contains(text, want) {
		t.Errorf("got %q, %v; want %q", text, err, want)
	}
}
