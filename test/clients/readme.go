package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// readme types the lines of README.md that call the NATS command line: pairs of one that waits and
// one that has something for it.
func (c *cli) readme() error {
	text, err := os.ReadFile(filepath.Join(c.sources, "..", "..", "..", "README.md"))
	if err != nil {
		return err
	}
	var lines [][]string
	for _, line := range regexp.MustCompile(`(?m)^nats .*$`).FindAllString(string(text), -1) {
		lines = append(lines, shellWords(line)[1:])
	}
	if len(lines) == 0 || len(lines)%2 != 0 {
		return fmt.Errorf("README.md has %d lines that begin with nats, want pairs", len(lines))
	}
	for i := 0; i < len(lines); i += 2 {
		if err := c.pair(lines[i], lines[i+1]); err != nil {
			return fmt.Errorf("nats %s: %w", strings.Join(lines[i], " "), err)
		}
	}
	return nil
}

// pair has a subscriber get what is published, or a request get the answer of a responder.
func (c *cli) pair(waits, sends []string) error {
	if waits[0] == "sub" {
		waiting, err := c.listen(append(waits, "--count=1")...)
		if err != nil {
			return err
		}
		return waiting.fed(func() error { _, err := c.nats(sends...); return err }, sends[len(sends)-1])
	}
	waiting, err := c.listen(waits...)
	if err != nil {
		return err
	}
	defer waiting.stop()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		got, err = c.nats(sends...) // fails until there is a responder
		if strings.Contains(got, waits[len(waits)-1]) {
			return err
		}
	}
	return fmt.Errorf("no answer: %q", got)
}

// shellWords splits a line as a shell does, as far as the lines of README.md need it.
func shellWords(line string) []string {
	words := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1)
	for i, word := range words {
		words[i] = strings.Trim(word, `"`)
	}
	return words
}
