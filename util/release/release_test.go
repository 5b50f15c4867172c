package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxBinary is how large a binary of a release may be, in bytes: what it is, and a tenth.
const maxBinary = 12 << 20

// TestTwoBuildsAreEqual builds one system twice, in directories of different names.
func TestTwoBuildsAreEqual(t *testing.T) {
	t.Chdir("../..")
	var binaries [2][]byte
	var path string
	for i := range binaries {
		out := filepath.Join(t.TempDir(), strings.Repeat("x", i+1))
		if err := run(out, "linux/arm64", "", ""); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(out, "linux-arm64", "gnatsd")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		binaries[i] = text
		sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		if err != nil || !strings.HasSuffix(string(sums), "  linux-arm64/gnatsd\n") {
			t.Errorf("checksums: %v, got %q", err, sums)
		}
	}
	if !bytes.Equal(binaries[0], binaries[1]) {
		t.Error("two builds differ")
	}
	if size := len(binaries[0]); size > maxBinary {
		t.Errorf("the binary has %d bytes, want %d at most: see what `go tool nm -size` has", size, maxBinary)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if strings.Contains(m.Path, "protobuf") || strings.Contains(m.Path, "prometheus") {
			t.Errorf("the binary has %s", m.Path)
		}
	}
}
