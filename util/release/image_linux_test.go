package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// imageManifest is what is looked at of the documents of an image.
type imageManifest struct {
	Manifests []struct {
		Platform platform
		Digest   string
	}
	Config descriptor
	Layers []descriptor
}

// imageConfig is what is looked at of the configuration of an image.
type imageConfig struct {
	Created, Architecture, OS, Variant string
	Config                             struct {
		User, WorkingDir string
		Entrypoint, Cmd  []string
		ExposedPorts     map[string]struct{}
		Labels           map[string]string
		Healthcheck      struct {
			Test              []string
			Interval, Timeout int64
		}
	}
}

// runsImage runs the image as its configuration says, in name spaces of its own, and its health
// check beside it. The arguments are the root, the user, the command of the health check, and the
// command of the image.
const runsImage = `
root=$1; user=$2; check=$3; shift 3
mount -t proc proc $root/proc; ip link set lo up; cd /
as() { chroot --userspec=$user $root "$@"; }
health() { as $check 2>&1; echo "health: $?"; }
echo "none: $(health)"
chroot --userspec=$user $root "$@" 2>/log & broker=$!
until grep -q "Server is ready" /log; do sleep 0.05; done
echo "user: $(stat -c %u:%g /proc/$broker)"
echo "runs: $(health)"
kill -STOP $broker; echo "stopped: $(health)"
kill -CONT $broker; echo "goes on: $(health)"
kill -TERM $broker; wait $broker; echo "ended: $?"
chroot --userspec=$user $root "$1" -p 4333 2>/log & broker=$!
until grep -q "Server is ready" /log; do sleep 0.05; done
echo "no monitoring: $(health)"
kill -STOP $broker; echo "stopped: $(health)"
kill -KILL $broker; wait $broker
echo "killed: $(health)"
`

// lookAtImage looks at the image as those who push it do, with skopeo, and runs it.
func lookAtImage(t *testing.T, dir string) {
	layouts, err := filepath.Glob(filepath.Join(dir, "gnatsd-*-image"))
	if err != nil || len(layouts) != 1 {
		t.Fatalf("%q, %v", layouts, err)
	}
	r := &release{}
	if err := r.identify(); err != nil {
		t.Fatal(err)
	}
	source := "oci:" + layouts[0] + ":" + r.version
	all, own := filepath.Join(t.TempDir(), "all"), filepath.Join(t.TempDir(), "own")
	for _, args := range [][]string{{"copy", "--quiet", "--all", source, "oci:" + all + ":" + r.version}, {"copy", "--quiet", source, "dir:" + own}} {
		if out, err := exec.Command("skopeo", append([]string{"--insecure-policy"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("skopeo (Debian: apt-get install skopeo) %q: %v\n%s", args, err, out)
		}
	}
	blobs := func(dir string) int {
		t.Helper()
		list, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if got, want := blobs(all), blobs(layouts[0]); got != want {
		t.Errorf("skopeo copies %d blobs, the layout has %d", got, want)
	}
	var index imageManifest
	raw, err := exec.Command("skopeo", "inspect", "--raw", source).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &index); err != nil || len(index.Manifests) == 0 {
		t.Fatalf("%v\n%s", err, raw)
	}
	for _, m := range index.Manifests {
		var manifest imageManifest
		var config imageConfig
		readBlob(t, layouts[0], m.Digest, &manifest)
		readBlob(t, layouts[0], manifest.Config.Digest, &config)
		c := config.Config
		if config.Architecture != m.Platform.Architecture || config.OS != "linux" || config.Variant != m.Platform.Variant || len(manifest.Layers) != 1 {
			t.Errorf("%v: got %+v", m.Platform, config)
		}
		if got := config.Created; got != r.time.Format("2006-01-02T15:04:05Z") {
			t.Errorf("%v: created %s, want the time of the commit", m.Platform, got)
		}
		if c.User != imageUser || c.WorkingDir != "/" || c.Labels["org.opencontainers.image.version"] != r.version {
			t.Errorf("%v: got %+v", m.Platform, c)
		}
		if len(c.ExposedPorts) != 3 || len(c.Healthcheck.Test) != 3 || c.Healthcheck.Interval == 0 || c.Healthcheck.Timeout == 0 {
			t.Errorf("%v: got %+v", m.Platform, c)
		}
	}

	// What skopeo chooses for this machine is run.
	var manifest imageManifest
	text, err := os.ReadFile(filepath.Join(own, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	var config imageConfig
	readBlob(t, layouts[0], manifest.Config.Digest, &config)
	if config.Architecture != runtime.GOARCH {
		t.Fatalf("skopeo has chosen %s", config.Architecture)
	}
	root := t.TempDir()
	layer := filepath.Join(own, strings.TrimPrefix(manifest.Layers[0].Digest, "sha256:"))
	if out, err := exec.Command("tar", "-xzf", layer, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil { // a container has it
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	c := config.Config
	script := strings.ReplaceAll(runsImage, "/log", filepath.Join(t.TempDir(), "log"))
	args := []string{"--fork", "--pid", "--net", "--mount", "--mount-proc", "--kill-child", "bash", "-c", script, "bash", root, c.User, strings.Join(c.Healthcheck.Test[1:], " ")}
	out, err := exec.Command("unshare", append(append(args, c.Entrypoint...), c.Cmd...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got [][2]string
	for line := range strings.Lines(string(out)) {
		if what, status, found := strings.Cut(strings.TrimSpace(line), "health: "); found {
			got = append(got, [2]string{what, status})
		}
	}
	t.Logf("%s", out)
	want := [][2]string{{"", "1"}, {"", "0"}, {"", "1"}, {"", "0"}, {"", "0"}, {"", "1"}, {"", "1"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("health checks: got %v, want %v", got, want)
	}
	for _, want := range []string{"user: 10001:10001", "ended: 0", "runs: ok", "goes on: ok", "none: no gnatsd processes running"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got no %q", want)
		}
	}
}

// readBlob reads JSON of a layout.
func readBlob(t *testing.T, layout, digest string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("blob %s: %w", digest, err))
	}
}
