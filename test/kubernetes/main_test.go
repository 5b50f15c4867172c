package kubernetes

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// update writes util/kubernetes.yaml.
var update = flag.Bool("update", false, "write util/kubernetes.yaml")

// chart is the folder of the chart, top that of the repository.
const (
	top   = "../.."
	chart = top + "/util/helm/gnatsd"
)

// bin has the programs, and schemas the schemas; TestMain makes both.
var bin, schemas string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gnatsd-kubernetes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, schemas = dir, filepath.Join(dir, "schemas")
	for _, build := range []struct {
		dir  string
		args []string
	}{
		{top, []string{"build", "-o", dir, ".", "./test/certs/mkcerts"}},
		{".", []string{"build", "-o", dir, "helm.sh/helm/v3/cmd/helm", "github.com/yannh/kubeconform/cmd/kubeconform"}},
	} {
		cmd := exec.Command("go", build.args...)
		cmd.Dir = build.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %v: %v\n%s", build.args, err, out)
			return 1
		}
	}
	if err := writeSchemas(schemas); err != nil {
		fmt.Fprintln(os.Stderr, "schemas of Kubernetes:", err)
		return 1
	}
	return m.Run()
}

// program runs one of the programs to its end, with more variables and on an input.
func program(t *testing.T, env []string, input []byte, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
