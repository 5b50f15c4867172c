package kubernetes

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// version is the version of Kubernetes that the chart is rendered for.
const version = "--kube-version=1.33.0"

// valueFiles are the values to render with; "" is none but those of the chart.
func valueFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("got %q, %v", files, err)
	}
	return append(files, "")
}

// flags names a file of values for helm.
func flags(values string) []string {
	if values == "" {
		return nil
	}
	return []string{"-f", values}
}

// render is helm template.
func render(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := program(t, nil, nil, "helm", append([]string{"template", "gnatsd", chart, version}, args...)...)
	if err != nil {
		t.Fatalf("helm template %v: %v\n%s", args, err, errs)
	}
	return out
}

// release is what the chart renders.
type release struct {
	config   core.ConfigMap
	secrets  []core.Secret
	services []core.Service
	set      apps.StatefulSet
	budgets  []policy.PodDisruptionBudget
	monitors []monitoring.ServiceMonitor
}

// container is the one of the pods.
func (r *release) container() *core.Container { return &r.set.Spec.Template.Spec.Containers[0] }

// parse reads what was rendered. A field that Kubernetes does not have is an error.
func parse(t *testing.T, rendered string) *release {
	t.Helper()
	r := &release{}
	for _, text := range strings.Split("\n"+rendered, "\n---\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		var kind struct{ Kind string }
		must(t, yaml.Unmarshal([]byte(text), &kind))
		var into any
		switch kind.Kind {
		case "ConfigMap":
			into = &r.config
		case "StatefulSet":
			into = &r.set
		case "Secret":
			r.secrets = append(r.secrets, core.Secret{})
			into = &r.secrets[len(r.secrets)-1]
		case "Service":
			r.services = append(r.services, core.Service{})
			into = &r.services[len(r.services)-1]
		case "PodDisruptionBudget":
			r.budgets = append(r.budgets, policy.PodDisruptionBudget{})
			into = &r.budgets[len(r.budgets)-1]
		case "ServiceMonitor":
			r.monitors = append(r.monitors, monitoring.ServiceMonitor{})
			into = &r.monitors[len(r.monitors)-1]
		default:
			t.Fatalf("a kind that no test knows: %q in\n%s", kind.Kind, text)
		}
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	return r
}

// eachValues calls f for each file of values.
func eachValues(t *testing.T, f func(t *testing.T, values string)) {
	for _, values := range valueFiles(t) {
		t.Run(filepath.Base(values), func(t *testing.T) {
			t.Parallel()
			f(t, values)
		})
	}
}

func TestTheChartPassesHelmLint(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		if out, errs, err := program(t, nil, nil, "helm", append([]string{"lint", "--strict", version, chart}, flags(values)...)...); err != nil {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
	})
}

// TestWhatIsRenderedIsOfKubernetes checks it against the schemas of Kubernetes, and against its
// types.
func TestWhatIsRenderedIsOfKubernetes(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		rendered := render(t, flags(values)...)
		parse(t, rendered)
		out, errs, err := program(t, nil, []byte(rendered), "kubeconform", "-strict", "-summary", "-output", "json", "-verbose", "-skip", "ServiceMonitor",
			"-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json")
		if err != nil {
			t.Errorf("kubeconform: %v\n%s%s", err, out, errs)
		}
		var summary struct {
			Summary struct{ Valid, Invalid, Errors int }
		}
		must(t, json.Unmarshal([]byte(out), &summary))
		if s := summary.Summary; s.Valid < 4 || s.Invalid+s.Errors > 0 {
			t.Errorf("got %+v, want at least 4 valid objects", s)
		}
	})
}

// TestSchemasFindMistakes is the check that the one above can fail.
func TestSchemasFindMistakes(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for old, wrong := range map[string]string{
		"periodSeconds: 5":            "periodSecond: 5",
		"maxUnavailable: 1\n":         "maxUnavailable: [1]\n",
		"  replicas: 3":               "  replicas: three",
		"serviceName: gnatsd-servers": "# no name",
		"containerPort: 4222":         "containerPort: client",
	} {
		broken := strings.Replace(rendered, old, wrong, 1)
		if broken == rendered {
			t.Fatalf("%q is not there", old)
		}
		if _, _, err := program(t, nil, []byte(broken), "kubeconform", "-strict", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json"); err == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}

// TestWrongValuesAreRefused has values that helm must not render, and what it must say.
func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"replica=5":                   "replica",
		"replicas=0":                  "replicas",
		"replicas=many":               "replicas",
		"config.port=4223":            "config.port: the chart sets it",
		"config.authorization.user=x": "config.authorization: a ConfigMap is public",
		"config.tls.cert_file=x":      "config.tls: the chart sets it",
		"config.max-payload=1":        "config.max-payload: not a key",
		"tls.secret=x":                "secret",
		"service.type=Nodeport":       "type",
		"resources.limits.memory=1GB": "want a number with k, M, G",
		"lameDuckSeconds=0":           "lameDuckSeconds",
		"auth.secretName=a,auth.settings.users[0].user=b": "give one of them",
	} {
		_, errs, err := program(t, nil, nil, "helm", "template", "gnatsd", chart, version, "--set", set)
		if err == nil || !strings.Contains(errs, want) {
			t.Errorf("%s: got %v, %s, want %q", set, err, errs, want)
		}
	}
}

// TestWhatIsRenderedBelongsTogether looks at what is said in two places: ports, labels, names,
// times.
func TestWhatIsRenderedBelongsTogether(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		r := parse(t, render(t, flags(values)...))
		pod, c := r.set.Spec.Template, r.container()
		ports := map[string]int32{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		config := r.config.Data["gnatsd.conf"]
		for name, key := range map[string]string{"client": `(?m)^port: (\d+)$`, "monitor": `(?m)^http: (\d+)$`, "route": `(?m)^  port: (\d+)$`} {
			if m := regexp.MustCompile(key).FindStringSubmatch(config); m == nil || m[1] != strconv.Itoa(int(ports[name])) {
				t.Errorf("port %s: got %d in the pod, %q in the configuration", name, ports[name], m)
			}
		}
		headless := false
		for _, s := range r.services {
			headless = headless || s.Name == r.set.Spec.ServiceName && s.Spec.ClusterIP == "None"
			if !within(s.Spec.Selector, pod.Labels) {
				t.Errorf("service %s selects %v, the pods have %v", s.Name, s.Spec.Selector, pod.Labels)
			}
			for _, p := range s.Spec.Ports {
				if ports[p.TargetPort.StrVal] == 0 {
					t.Errorf("service %s: no port %q in the pods", s.Name, p.TargetPort.StrVal)
				}
			}
		}
		if !headless {
			t.Errorf("no headless service %s", r.set.Spec.ServiceName)
		}
		if !within(r.set.Spec.Selector.MatchLabels, pod.Labels) {
			t.Errorf("the StatefulSet selects %v, its pods have %v", r.set.Spec.Selector.MatchLabels, pod.Labels)
		}
		for _, b := range r.budgets {
			if !within(b.Spec.Selector.MatchLabels, pod.Labels) {
				t.Errorf("the budget selects %v", b.Spec.Selector.MatchLabels)
			}
		}
		for _, m := range r.monitors {
			selects := slices.ContainsFunc(r.services, func(s core.Service) bool {
				return within(m.Spec.Selector.MatchLabels, s.Labels) && slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == m.Spec.Endpoints[0].Port })
			})
			if !selects {
				t.Errorf("the ServiceMonitor selects %v, port %s", m.Spec.Selector.MatchLabels, m.Spec.Endpoints[0].Port)
			}
		}
		routes := regexp.MustCompile(`"nats-route://(?:[^@"]*@)?([^":]+):6222"`).FindAllStringSubmatch(config, -1)
		if len(routes) != int(*r.set.Spec.Replicas) {
			t.Fatalf("got %d routes of %d servers", len(routes), *r.set.Spec.Replicas)
		}
		for i, m := range routes {
			if want := r.set.Name + "-" + strconv.Itoa(i) + "." + r.set.Spec.ServiceName; m[1] != want {
				t.Errorf("route to %s, want %s", m[1], want)
			}
		}
		m := regexp.MustCompile(`lame_duck_duration: "(\d+)s"`).FindStringSubmatch(config)
		if seconds, err := strconv.Atoi(m[1]); err != nil || *pod.Spec.TerminationGracePeriodSeconds <= int64(seconds) {
			t.Errorf("the pod ends after %d s, lame duck mode after %q", *pod.Spec.TerminationGracePeriodSeconds, m[1])
		}
		for _, v := range pod.Spec.Volumes {
			if !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.Name == v.Name && m.SubPath == "" && m.ReadOnly }) {
				t.Errorf("volume %s is not mounted as a folder", v.Name)
			}
		}
		if limit, ok := c.Resources.Limits[core.ResourceMemory]; ok {
			env := slices.IndexFunc(c.Env, func(e core.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
			if env < 0 || c.Env[env].Value != strconv.FormatInt(limit.Value()*9/10, 10) {
				t.Errorf("GOMEMLIMIT of %v: got %+v", limit.String(), c.Env)
			}
		}
	})
}

// within reports whether labels has all of a selector, which selects something.
func within(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// TestPodsAreRestricted wants what the strictest profile of Kubernetes asks for, and no token.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		r := parse(t, render(t, flags(values)...))
		pod, c := r.set.Spec.Template.Spec, r.container().SecurityContext
		if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault ||
			*pod.AutomountServiceAccountToken || *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("got %+v, %+v", pod.SecurityContext, c)
		}
	})
}

// TestMoreServersRestartNone renders for more servers: the pods that are there stay as they are,
// and learn of the others from the ConfigMap.
func TestMoreServersRestartNone(t *testing.T) {
	t.Parallel()
	three, five := parse(t, render(t)), parse(t, render(t, "--set", "replicas=5"))
	a, _ := yaml.Marshal(three.set.Spec.Template)
	b, _ := yaml.Marshal(five.set.Spec.Template)
	if string(a) != string(b) {
		t.Errorf("the pods change:\n%s\n%s", a, b)
	}
	if maps.Equal(three.config.Data, five.config.Data) {
		t.Error("the configuration does not change")
	}
}

// TestTwoReleasesAreApart renders two for one namespace: neither selects the other's pods.
func TestTwoReleasesAreApart(t *testing.T) {
	t.Parallel()
	one := parse(t, render(t))
	out, errs, err := program(t, nil, nil, "helm", "template", "gnatsd-b", chart, version)
	if err != nil {
		t.Fatal(err, errs)
	}
	other := parse(t, out)
	if within(one.set.Spec.Selector.MatchLabels, other.set.Spec.Template.Labels) || one.set.Name == other.set.Name || one.services[0].Name == other.services[0].Name {
		t.Errorf("they are not: %v", other.set.Labels)
	}
}

// TestTheChartIsOfThisVersion compares the versions of the chart with that of the program.
func TestTheChartIsOfThisVersion(t *testing.T) {
	t.Parallel()
	out, _, err := program(t, nil, nil, "gnatsd", "-v")
	must(t, err)
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	must(t, err)
	var c struct{ Version, AppVersion string }
	must(t, yaml.Unmarshal(text, &c))
	if want := strings.TrimSpace(strings.TrimPrefix(out, "nats-server version ")); c.AppVersion != want || c.Version != want {
		t.Errorf("got %+v, want %s", c, want)
	}
}

// plainHeader begins util/kubernetes.yaml.
const plainHeader = `# Three servers of gnatsd as a cluster in Kubernetes, without Helm:
#   kubectl apply -f util/kubernetes.yaml
# It is what the chart in util/helm/gnatsd renders (go test . -update in test/kubernetes). Clients connect
# to nats://gnatsd:4222. Build the image by util/Dockerfile, push it, and name it below.
`

// TestThePlainManifestIsWhatTheChartRenders compares util/kubernetes.yaml.
func TestThePlainManifestIsWhatTheChartRenders(t *testing.T) {
	t.Parallel()
	const path = top + "/util/kubernetes.yaml"
	want := plainHeader + regexp.MustCompile(`(?m)^# Source: .*\n`).ReplaceAllString(strings.TrimPrefix(render(t), "---\n"), "")
	if *update {
		must(t, os.WriteFile(path, []byte(want), 0o644))
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the chart renders, %v: go test . -run Plain -update", path, err)
	}
}
