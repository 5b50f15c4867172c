package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestKubernetesManifest checks the configuration in util/kubernetes.yaml as a start would, and
// whether what the manifest says twice agrees: paths, ports and names.
func TestKubernetesManifest(t *testing.T) {
	t.Setenv("POD_NAME", "gnatsd-0")
	text, err := os.ReadFile("../util/kubernetes.yaml")
	must(t, err)
	manifest := string(text)
	_, config, ok := strings.Cut(manifest, "  gnatsd.conf: |\n")
	config, _, ok2 := strings.Cut(config, "---\n")
	if !ok || !ok2 {
		t.Fatal("there is no configuration")
	}
	path := writeConfig(t, strings.ReplaceAll(config, "\n    ", "\n"))
	if _, said, code := run(t, "-t", "-c", path); code != 0 {
		t.Errorf("got exit %d: %s", code, said)
	}
	for setting, container := range map[string]string{
		`    port: (\d+)\n    http`:      `name: client, containerPort: (\d+)`,
		`    http: (\d+)\n`:              `name: monitor, containerPort: (\d+)`,
		`      port: (\d+)\n`:            `name: route, containerPort: (\d+)`,
		`nats-route://[\w-]+\.([\w-]+):`: `serviceName: ([\w-]+)\n`,
		`(gnatsd\.conf): \|`:             `args: \["-c", "/etc/gnatsd/([\w.]+)"`,
	} {
		said, used := regexp.MustCompile(setting).FindStringSubmatch(manifest), regexp.MustCompile(container).FindStringSubmatch(manifest)
		if said == nil || used == nil || said[1] != used[1] {
			t.Errorf("%s is %q, %s is %q", setting, said, container, used)
		}
	}
	if !strings.Contains(manifest, "mountPath: /etc/gnatsd, readOnly: true }") || strings.Contains(manifest, "subPath") {
		t.Error("the configuration is not mounted as a directory")
	}
}
