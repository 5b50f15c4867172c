package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxBinary is how large a binary of a release may be, in bytes: what it is, and a tenth.
const maxBinary = 12 << 20

// releaseFiles returns the files of a release by name.
func releaseFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path], err = fs.ReadFile(root, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameReleases compares two releases, byte by byte.
func sameReleases(t *testing.T, one, two string) {
	t.Helper()
	first, second := releaseFiles(t, one), releaseFiles(t, two)
	for name, text := range first {
		if other, found := second[name]; !found || !bytes.Equal(text, other) {
			t.Errorf("%s differs, or there is only one", name)
		}
	}
	if len(first) != len(second) {
		t.Errorf("%d files in one release, %d in the other", len(first), len(second))
	}
}

// checkSums compares SHA256SUMS with the files, by the program that users have.
func checkSums(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	files := releaseFiles(t, dir)
	if got := strings.Count(string(files["SHA256SUMS"]), "\n"); got != len(files)-1 {
		t.Errorf("SHA256SUMS has %d lines for %d files", got, len(files)-1)
	}
}

// TestTwoReleasesAreEqual makes a release of one system twice, in directories of different names,
// but for the packages, which TestPackages looks at.
func TestTwoReleasesAreEqual(t *testing.T) {
	t.Chdir("../..")
	var dirs [2]string
	for i := range dirs {
		dirs[i] = filepath.Join(t.TempDir(), strings.Repeat("x", i+1))
		if err := run(dirs[i], []string{"linux/arm64"}, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	sameReleases(t, dirs[0], dirs[1])
	checkSums(t, dirs[0])
	var bom struct {
		Components []struct{ Name string }
	}
	files := releaseFiles(t, dirs[0])
	for name, text := range files {
		if strings.HasSuffix(name, ".cdx.json") {
			if err := json.Unmarshal(text, &bom); err != nil || len(bom.Components) < 3 {
				t.Errorf("%s: %v: %d components", name, err, len(bom.Components))
			}
		}
	}
	archives, err := filepath.Glob(filepath.Join(dirs[0], "*.tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives: %q, %v", archives, err)
	}
	into := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", archives[0], "-C", into, "--strip-components=1").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(into, "gnatsd"))
	if err != nil {
		t.Fatal(err)
	}
	if len(binary) > maxBinary {
		t.Errorf("the binary has %d bytes, want %d at most: see what `go tool nm -size` has", len(binary), maxBinary)
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	texts, err := os.ReadFile(filepath.Join(into, thirdParty))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if strings.Contains(m.Path, "protobuf") || strings.Contains(m.Path, "prometheus") {
			t.Errorf("the binary has %s", m.Path)
		}
		if !regexp.MustCompile(regexp.QuoteMeta(m.Path+" "+m.Version) + `: LICENSE`).Match(texts) {
			t.Errorf("the archive has no license of %s", m.Path)
		}
		if !slices.ContainsFunc(bom.Components, func(c struct{ Name string }) bool { return c.Name == m.Path }) {
			t.Errorf("the bill of materials has no %s", m.Path)
		}
	}
}

// TestChecksumsAreSigned signs by a key of its own, as the owner of a release does with SIGN, and
// checks the signature as a user does.
func TestChecksumsAreSigned(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		missing(t, "gpg (Debian: apt-get install gnupg)")
	}
	t.Chdir("../..")
	home, err := os.MkdirTemp("", "g") // short, for the path of the agent's socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	t.Setenv("GNUPGHOME", home)
	defer exec.Command("gpgconf", "--kill", "all").Run()
	gpg := func(args ...string) error {
		out, err := exec.Command("gpg", append([]string{"--batch"}, args...)...).CombinedOutput()
		t.Logf("gpg %s: %v\n%s", strings.Join(args, " "), err, out)
		return err
	}
	if err := gpg("--passphrase", "", "--quick-generate-key", "The Owner <owner@example.invalid>", "ed25519", "sign", "1d"); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "with space")
	if err := run(out, []string{"linux/arm64"}, "", "gpg --batch --local-user 'The Owner' --detach-sign --armor"); err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(out, "SHA256SUMS")
	if err := gpg("--verify", sums+".asc", sums); err != nil {
		t.Errorf("the signature: %v", err)
	}
	text, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sums, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := gpg("--verify", sums+".asc", sums); err == nil {
		t.Error("checksums that were changed have a good signature")
	}
	if err := run(out, []string{"linux/arm64"}, "", "false"); err == nil {
		t.Error("a release that was not signed is none, want an error")
	}
}

func TestOnlyKnownSystems(t *testing.T) {
	t.Parallel()
	if err := run(t.TempDir(), []string{"linux/sparc"}, "", ""); err == nil || !strings.Contains(err.Error(), "linux/riscv64") {
		t.Errorf("got %v, want the list of systems", err)
	}
}

// TestChangesOfThisVersion holds that the version of the program has its section.
func TestChangesOfThisVersion(t *testing.T) {
	t.Chdir("../..")
	r := &release{}
	if err := r.identify(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("util/CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	debian, rpm, err := r.changelogs(string(text))
	if err != nil || bytes.Count(rpm, []byte("note: ")) < 3 || bytes.Count(debian, []byte("\n  * ")) != bytes.Count(rpm, []byte("note: ")) {
		t.Errorf("got %v,\n%s\n%s", err, debian, rpm)
	}
	r.version = "0.0.1"
	if _, _, err := r.changelogs(string(text)); err == nil {
		t.Error("a version without a section is released")
	}
}

// missing skips a test that cannot run here, but fails it in CI, where all must run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
