package main

import (
	"os"
	"strings"
	"testing"
)

// TestDifferencesAreInTheReadme has the reason of each.
func TestDifferencesAreInTheReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range systemDifferences {
		if !strings.Contains(string(text), "- "+d.reason) {
			t.Errorf("README.md does not say %q", d.reason)
		}
	}
}
