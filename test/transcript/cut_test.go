package transcript

import (
	"bytes"
	"strings"
	"testing"
)

func TestCutPlaces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		sends []string // each place is a |
	}{
		{"every byte of a control line", []string{"P|I|N|G|\r|\n"}},
		{"the ends and the middle of a payload", []string{"P|U|B| |a| |9|\r|\n|1|234|567|8|9|\r|\n|+|O|K|\r|\n"}},
		{"a payload with headers", []string{"h|p|u|b| |a| |4| |9|\r|\n|1|234|567|8|9|\r|\n"}},
		{"a payload that looks like a line", []string{"P|U|B| |a| |1|1|\r|\n|P|UB A| 3 9|9|9|9|\r|\n"}},
		{"a payload in two sends", []string{"P|U|B| |a| |1|4|\r|\n|1|2|3", "4|5678|9abc|d|\r|\n|+|O|K|\r|\n"}},
		{"what is no size", []string{"P|U|B| |a| |-|1|\r|\n|+|O|K|\r|\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := &Transcript{}
			for _, text := range test.sends {
				tr.steps = append(tr.steps, step{conn: "A", verb: send, data: []byte(strings.ReplaceAll(text, "|", ""))}, step{conn: "A", verb: isOpen})
			}
			for i, want := range test.sends {
				s := tr.Merged().steps[2*i]
				if got := bytes.Join(Everywhere(s.data, s.cuts), []byte("|")); string(got) != want {
					t.Errorf("send %d: got %q, want %q", i, got, want)
				}
				for k, at := range s.cuts {
					if pieces := CutAt(k+len(s.cuts))(s.data, s.cuts); len(pieces[0]) != at || string(bytes.Join(pieces, nil)) != string(s.data) {
						t.Errorf("send %d: cut at place %d: got %q", i, k, pieces)
					}
				}
			}
		})
	}
	long := []byte("SUB " + strings.Repeat("x", 5000) + " 1\r\n")
	places, _ := cutPlaces(long, 0)
	if n := len(places); n < 128 || n > 256 || places[0] != 1 || places[n-1] != len(long)-1 {
		t.Errorf("a line of %d bytes is cut at %d places, from %d to %d", len(long), n, places[0], places[n-1])
	}
}
