package browser

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// shots is where pictures of the page are left.
var shots = flag.String("shots", "", "directory for pictures of the page")

// TestMain builds the broker and starts the browser.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the broker: %v\n%s", err, out)
		return 1
	}
	defer os.Remove(binary)
	ctx, end, err := startChrome()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer end()
	chrome = ctx
	return m.Run()
}
