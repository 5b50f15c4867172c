package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gnatsd/test/freeport"
)

// checks runs the checks of the command line: one by itself, and one behind its own exporter, which
// is asked over HTTP as Prometheus does.
func (c *cli) checks() error {
	if err := c.wants([]string{"OK Connection OK"}, "server", "check", "connection"); err != nil {
		return err
	}
	config := filepath.Join(c.dir, "exporter.yaml")
	if err := os.WriteFile(config, []byte("context: tried\nchecks:\n  - {name: broker, kind: connection}\n"), 0o600); err != nil {
		return err
	}
	if _, err := c.nats("context", "save", "tried", "--server", c.broker.url()); err != nil {
		return err
	}
	port, err := freeport.Get()
	if err != nil {
		return err
	}
	exporter, err := c.listen("server", "check", "exporter", "--config", config, "--port", strconv.Itoa(port))
	if err != nil {
		return err
	}
	defer exporter.stop()
	const want = `nats_server_check_connection_status_code{item="broker",status="OK"} 0`
	var got string
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if got, err = get("http://" + freeport.Loopback(port) + "/metrics"); err == nil && strings.Contains(got, want) {
			return nil
		}
	}
	return fmt.Errorf("%w: got %q, want %s in it", err, got, want)
}

func get(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
