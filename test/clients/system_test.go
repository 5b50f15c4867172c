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

// TestWholeEvents has events of others in between, and a last one that is cut off.
func TestWholeEvents(t *testing.T) {
	t.Parallel()
	const (
		came    = `{"type":"a.client_connect","client":{"user":"app"}}` + "\n"
		other   = `{"type":"a.client_connect","client":{"user":"sys"}}` + "\n"
		went    = `{"type":"a.client_disconnect","client":{"user":"app"},"reason":"Client Closed"}` + "\n"
		refused = `{"type":"a.client_disconnect","client":{},"reason":"Authentication Failure"}` + "\n"
	)
	for _, tt := range []struct {
		text     string
		complete bool
	}{
		{"", false},
		{came + went, false},
		{other + went + refused, false},
		{came + other + refused, false},
		{refused + other + came + went, true},
	} {
		for _, tail := range []string{"", came[:20], "{\n  \"type\": \"x\",\n  \"client\": {"} {
			for _, head := range []string{"", "Listening for events\n", "\"x\" is no event\n", `{"reason":7}` + "\n"} {
				whole, complete := wholeEvents(head + tt.text + tail)
				want := strings.ReplaceAll(head+tt.text, "Listening for events\n", "")
				want = strings.ReplaceAll(want, "\"x\" is no event\n", "")
				if whole = strings.ReplaceAll(whole, "\n\n", "\n"); strings.TrimSpace(whole) != strings.TrimSpace(want) || complete != tt.complete {
					t.Errorf("%q, %q and %q: got %q, %v", head, tt.text, tail, whole, complete)
				}
			}
		}
	}
}
