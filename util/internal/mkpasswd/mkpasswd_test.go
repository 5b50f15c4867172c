package mkpasswd

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// runTest runs the program with a pipe for standard input.
func runTest(stdin string, args ...string) (status int, out, errs string) {
	var o, e strings.Builder
	status = run(args, streams{in: linesOf(strings.NewReader(stdin)), out: &o, errs: &e})
	return status, o.String(), e.String()
}

func TestRandomPasswordAndItsHash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		cost int
	}{
		{"the cost is 11", nil, 11},
		{"a cost can be given", []string{"-c", "4"}, 4},
		{"a cost that is too low becomes 10", []string{"-c", "1"}, 10},
		{"other words are ignored", []string{"-c", "4", "some", "words"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out, errs := runTest("", c.args...)
			m := regexp.MustCompile(`^pass: ([a-zA-Z0-9!@$#%^&*()]{22})\nbcrypt hash: (\$2a\$.{56})\n$`).FindStringSubmatch(out)
			if status != 0 || errs != "" || m == nil {
				t.Fatalf("status %d, output %q, errors %q", status, out, errs)
			}
			if got, err := bcrypt.Cost([]byte(m[2])); got != c.cost {
				t.Errorf("cost %d (%v), want %d", got, err, c.cost)
			}
			if err := bcrypt.CompareHashAndPassword([]byte(m[2]), []byte(m[1])); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAskedPassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, stdin, password string }{
		{"two equal lines", "s3cret\ns3cret\n", "s3cret"},
		{"one line", "s3cret\n", "s3cret"},
		{"one line without its end", "s3cret", "s3cret"},
		{"line ends of Windows", "s3cret\r\ns3cret\r\n", "s3cret"},
		{"an empty line is an empty password", "\n\n", ""},
		{"blanks belong to the password", " a b \n", " a b "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out, errs := runTest(c.stdin, "-p", "-c", "4")
			hash, ok := strings.CutPrefix(out, "Enter Password: \nReenter Password: \nbcrypt hash: ")
			if status != 0 || errs != "" || !ok {
				t.Fatalf("status %d, output %q, errors %q", status, out, errs)
			}
			if err := bcrypt.CompareHashAndPassword([]byte(strings.TrimSuffix(hash, "\n")), []byte(c.password)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 73) + "\n"
	for _, c := range []struct {
		name, stdin, args string
		errs              string
	}{
		{"different passwords", "a\nb\n", "-p", "Error, passwords do not match\n"},
		{"no password", "", "-p", "Error reading password: EOF\n"},
		{"a password that bcrypt does not take", long + long, "-p",
			"Error producing bcrypt hash: bcrypt: password length exceeds 72 bytes\n"},
		{"a cost that is too high", "", "-c 32",
			"Error producing bcrypt hash: crypto/bcrypt: cost 32 is outside allowed inclusive range 4..31\n"},
		{"help", "", "-h", usage + "\n"},
		{"an unknown flag", "", "-x", "flag provided but not defined: -x\n" + usage + "\n"},
		{"a bad value", "", "-c many", "invalid value \"many\" for flag -c: parse error\n" + usage + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out, errs := runTest(c.stdin, strings.Fields(c.args)...)
			if status != 1 || errs != c.errs || strings.Contains(out, "hash") {
				t.Errorf("status %d, output %q, errors %q, want %q", status, out, errs, c.errs)
			}
		})
	}
}

func TestMismatchLeavesTheLineOpen(t *testing.T) {
	t.Parallel()
	_, out, _ := runTest("a\nb\n", "-p")
	if want := "Enter Password: \nReenter Password: "; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestTerminalThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var out, errs strings.Builder
	in := func() (string, error) { return "", broken }
	if status := run([]string{"-p"}, streams{in: in, out: &out, errs: &errs}); status != 1 {
		t.Errorf("status %d", status)
	}
	if want := "Error reading password: broken\n"; errs.String() != want {
		t.Errorf("got %q, want %q", errs.String(), want)
	}
}

// TestPrograms builds both files that are programs, as people do in the folders where they stand,
// and runs them where there is no module: they need nothing else.
func TestPrograms(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs")
	}
	elsewhere := t.TempDir()
	for name, source := range map[string]string{"package.exe": "./mkpasswd", "file.exe": "mkpasswd.go"} {
		bin := filepath.Join(elsewhere, name)
		build := exec.Command("go", "build", "-o", bin, source)
		build.Dir = "../.."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		cmd := exec.Command(bin, "-p", "-c", "4")
		cmd.Dir, cmd.Stdin = elsewhere, strings.NewReader("s3cret\n")
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), "bcrypt hash: $2a$04$") {
			t.Errorf("%s: %v, output %q", source, err, out)
		}
		var exit *exec.ExitError
		if err := exec.Command(bin, "-c", "32").Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: got %v with a cost that is too high, want status 1", source, err)
		}
	}
}

// Every symbol of the alphabet comes up, and none much more often than the others.
func TestAlphabet(t *testing.T) {
	t.Parallel()
	if len(alphabet) != 72 {
		t.Errorf("%d symbols, want 72", len(alphabet))
	}
	seen := make(map[rune]int)
	for range 1000 {
		p, err := randomPassword()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p {
			seen[c]++
		}
	}
	for _, c := range alphabet {
		// 22 000 symbols: 306 of each, with a standard deviation of 17.
		if n := seen[c]; n < 150 || n > 460 {
			t.Errorf("%q came up %d times of about 306", c, n)
		}
	}
}

// closed is a writer that takes nothing.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAHashThatCannotBePrintedIsAnError(t *testing.T) {
	t.Parallel()
	var errs strings.Builder
	status := run([]string{"-c", "4"}, streams{in: linesOf(strings.NewReader("")), out: closed{}, errs: &errs})
	if status != 1 || errs.String() != "Error printing: disk full\n" {
		t.Errorf("got status %d, %q, want 1 and the reason", status, errs.String())
	}
}
