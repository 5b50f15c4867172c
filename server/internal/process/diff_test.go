package process

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// plainSetting is a setting whose value is no secret, with default 0.
func plainSetting(value string, set bool) Setting {
	return Setting{Key: "a", Value: value, Shown: value, Default: "0", Set: set, Origin: "x.conf:1:1"}
}

func TestDiffOfOneSetting(t *testing.T) {
	t.Parallel()
	secret := func(value string) Setting {
		return Setting{Key: "a", Value: value, Shown: "hidden", Set: true, Origin: "x.conf:1:1"}
	}
	tests := []struct {
		name      string
		old, next Setting
		want      string // the line about it; nothing if it is empty
	}{
		{"the same", plainSetting("1", true), plainSetting("1", true), ""},
		{"another", plainSetting("1", true), plainSetting("2", true), "a: 1 -> 2 (x.conf:1:1)"},
		{"set at last", plainSetting("0", false), plainSetting("2", true), "a: 0 -> 2 (x.conf:1:1)"},
		{"set to its default at last", plainSetting("0", false), plainSetting("0", true), ""},
		{"no longer set", plainSetting("1", true), plainSetting("0", false), "a: 1 -> 0 (x.conf:1:1)"},
		{"set to its default, now it follows from another", plainSetting("0", true), plainSetting("3", false),
			"a: 0 -> 3 (x.conf:1:1)"},
		{"it follows from another", plainSetting("1", false), plainSetting("2", false), ""},
		{"set to what it followed from another", plainSetting("1", false), plainSetting("1", true), ""},
		{"set instead of following another", plainSetting("1", false), plainSetting("2", true), "a: 1 -> 2 (x.conf:1:1)"},
		{"emptied", plainSetting("1", true), plainSetting("", true), "a: 1 -> nothing (x.conf:1:1)"},
		{"the same secret", secret("x"), secret("x"), ""},
		{"another secret", secret("x"), secret("y"), "a: changed, to hidden (x.conf:1:1)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := "A reload of x would change nothing.\n"
			if tt.want != "" {
				want = "A reload of x would change:\n  " + tt.want + "\n"
			}
			got, refused := RunningWith("x", []Setting{tt.old}).Diff([]Setting{tt.next})
			if got != want || refused {
				t.Errorf("got %q, %v, want %q, false", got, refused, want)
			}
		})
	}
}

func TestDiffSaysWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	live, fixed := plainSetting("1", true), plainSetting("1", true)
	fixed.Key, fixed.Fixed = "b", true
	old := RunningWith("x", []Setting{live, fixed})
	fixed.Value, fixed.Shown = "2", "2"
	text, refused := old.Diff([]Setting{live, fixed})
	want := "A reload of x would be refused, because this needs a restart:\n  b: 1 -> 2 (x.conf:1:1)\n"
	if text != want || !refused {
		t.Errorf("got %q, %v, want %q", text, refused, want)
	}
	live.Value, live.Shown = "3", "3"
	text, refused = old.Diff([]Setting{live, fixed})
	want = "A reload of x would change:\n  a: 1 -> 3 (x.conf:1:1)\n" +
		"but it would be refused, because this needs a restart:\n  b: 1 -> 2 (x.conf:1:1)\n"
	if text != want || !refused {
		t.Errorf("got %q, %v, want %q", text, refused, want)
	}
}

func TestRecordHoldsNoSecretsAndNoDefaults(t *testing.T) {
	t.Parallel()
	secret := Setting{Key: "a", Value: "CANARY", Shown: "hidden", Set: true}
	text, err := json.Marshal(newRecord([]Setting{secret, {Key: "b", Value: "1", Default: "1"}}))
	must(t, err)
	if got := string(text); strings.Contains(got, "CANARY") || strings.Contains(got, `"b"`) || !strings.Contains(got, `"a"`) {
		t.Errorf("got %s", got)
	}
}

func TestPublishedRecordIsFound(t *testing.T) {
	// not parallel: this process publishes one record
	if runtime.GOOS != "linux" {
		t.Skip("nothing is published on this system")
	}
	pid := strconv.Itoa(os.Getpid())
	if _, err := FindRunning(pid); err == nil || !strings.Contains(err.Error(), "does not publish its settings") {
		t.Errorf("before: got %v", err)
	}
	p := NewSettingsRecord()
	defer p.Close()
	for _, value := range []string{"1", "2"} {
		p.Publish([]Setting{plainSetting(value, true)}, Listening{})
		r, err := FindRunning(pid)
		must(t, err)
		got, _ := r.Diff([]Setting{plainSetting("3", true)})
		if want := "A reload of process " + pid + " would change:\n  a: " + value + " -> 3 (x.conf:1:1)\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if args := r.Args(); strings.Join(args, " ") != strings.Join(os.Args[1:], " ") {
			t.Errorf("arguments: got %q, want %q", args, os.Args[1:])
		}
	}
}

func TestLookupEnvIsThatOfTheProcess(t *testing.T) {
	t.Setenv("GNATSD_TEST_DIFF", "ours")
	theirs := &Running{env: []string{"A=b", "GNATSD_TEST_DIFF=theirs"}}
	for name, want := range map[string]string{"A": "b", "GNATSD_TEST_DIFF": "theirs", "B": ""} {
		if got, ok := theirs.LookupEnv(name); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, ok, want)
		}
	}
	if got, ok := new(Running).LookupEnv("GNATSD_TEST_DIFF"); got != "ours" || !ok {
		t.Errorf("an environment that may not be read: got %q, %v, want ours", got, ok)
	}
}

func TestAProcessThatIsGoneIsNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("settings are published on Linux only")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	if _, err := Health(pid); err == nil || err.Error() != "no such process: "+pid {
		t.Errorf("got %v, want that there is no process %s", err, pid)
	}
}
