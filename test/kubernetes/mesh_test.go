package kubernetes

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// patience bounds every wait. Nothing takes long; the machine may be busy.
const patience = 2 * time.Minute

// pod is a server as a pod of the StatefulSet has it: with its configuration, the files of its
// volumes and its variables. Only its addresses are others, and /etc is a folder of the test.
type pod struct {
	release *release
	name    string
	etc     string
	env     []string
	cmd     *exec.Cmd
	clients string
	monitor string
}

// secretsOf returns what the Secrets have that a test's values name, and those that are rendered.
func secretsOf(t *testing.T, r *release) map[string]map[string]string {
	t.Helper()
	dir := t.TempDir()
	if _, errs, err := program(t, nil, nil, "mkcerts", dir); err != nil {
		t.Fatal(err, errs)
	}
	file := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return string(text)
	}
	pair := map[string]string{"tls.crt": file("server-cert.pem"), "tls.key": file("server-key.pem"), "ca.crt": file("ca.pem")}
	all := map[string]map[string]string{
		"broker-tls": pair,
		"routes-tls": pair,
		"routes":     {"user": "routes", "password": "s3cret"},
		"look":       {"user": "look", "password": `pa"ss\wo$rd`},
		"readers":    {"password": "readers-secret"},
		"users":      {"auth.conf": "authorization { user: anna, password: annas-secret }\n"},
	}
	for _, s := range r.secrets {
		all[s.Name] = s.StringData
	}
	return all
}

// prepare writes the files of server i. routes are the addresses that the names of servers stand
// for.
func prepare(t *testing.T, r *release, secrets map[string]map[string]string, i int, routes []string) *pod {
	t.Helper()
	p := &pod{release: r, name: r.set.Name + "-" + strconv.Itoa(i), etc: filepath.Join(t.TempDir(), "etc")}
	files := map[string]map[string]string{}
	for _, v := range r.set.Spec.Template.Spec.Volumes {
		if v.ConfigMap != nil {
			files[v.Name] = r.config.Data
		} else {
			files[v.Name] = secrets[v.Secret.SecretName]
		}
		if len(files[v.Name]) == 0 {
			t.Fatalf("volume %s is empty", v.Name)
		}
	}
	for _, m := range r.container().VolumeMounts {
		dir := p.path(m.MountPath)
		must(t, os.MkdirAll(dir, 0o755))
		for name, text := range files[m.Name] {
			text = strings.ReplaceAll(text, `"/etc/`, `"`+p.etc+"/")
			if routes != nil {
				text = strings.ReplaceAll(text, "  port: 6222", "  listen: "+routes[i])
				for i, addr := range routes {
					text = strings.ReplaceAll(text, fmt.Sprintf("%s-%d.%s:6222", r.set.Name, i, r.set.Spec.ServiceName), strings.Replace(addr, "127.0.0.1", "localhost", 1))
				}
			}
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
	}
	for _, e := range r.container().Env {
		p.env = append(p.env, e.Name+"="+p.variable(t, e, secrets))
	}
	return p
}

// path returns where a path of the container is.
func (p *pod) path(path string) string { return strings.Replace(path, "/etc", p.etc, 1) }

// reference names a variable before it, as in $(NAME).
var reference = regexp.MustCompile(`\$\(\w+\)`)

// variable returns the value of a variable.
func (p *pod) variable(t *testing.T, e core.EnvVar, secrets map[string]map[string]string) string {
	t.Helper()
	switch from := e.ValueFrom; {
	case from == nil:
		return reference.ReplaceAllStringFunc(e.Value, func(name string) string {
			for _, known := range p.env {
				if n, value, _ := strings.Cut(known, "="); name == "$("+n+")" {
					return value
				}
			}
			return name
		})
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
		return p.name
	case from.SecretKeyRef != nil && secrets[from.SecretKeyRef.Name][from.SecretKeyRef.Key] != "":
		return secrets[from.SecretKeyRef.Name][from.SecretKeyRef.Key]
	}
	t.Fatalf("variable %s has no value: %+v", e.Name, e.ValueFrom)
	return ""
}

// args are the arguments of the container.
func (p *pod) args() []string {
	var args []string
	for _, a := range p.release.container().Args {
		args = append(args, p.path(a))
	}
	return args
}

// listening are the lines of the log that have an address.
var listening = regexp.MustCompile(`(client connections|http monitor) on (\S+)`)

// start runs the server until the test ends.
func (p *pod) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(filepath.Join(bin, "gnatsd"), append(p.args(), "-a", "127.0.0.1", "-p", "-1", "-m", "-1")...)
	p.cmd.Env = append(os.Environ(), p.env...)
	log, err := p.cmd.StderrPipe()
	must(t, err)
	must(t, p.cmd.Start())
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	said, ready := "", false
	lines := bufio.NewScanner(log)
	for !ready && lines.Scan() {
		said += lines.Text() + "\n"
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			*map[string]*string{"client connections": &p.clients, "http monitor": &p.monitor}[m[1]] = m[2]
		}
		ready = strings.Contains(lines.Text(), "Server is ready")
	}
	go io.Copy(io.Discard, log) // ends with the process
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	if !ready {
		t.Fatalf("%s does not start:\n%s", p.name, said)
	}
}

// probe is what Kubernetes does with a probe: it returns whether the server passes.
func (p *pod) probe(t *testing.T, probe *core.Probe) bool {
	t.Helper()
	if probe.TCPSocket != nil {
		nc, err := net.Dial("tcp", p.monitor)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}
	if probe.HTTPGet.Port.StrVal != "monitor" || probe.HTTPGet.Scheme != "" {
		t.Fatalf("a probe of another port: %+v", probe.HTTPGet)
	}
	resp, err := http.Get("http://" + p.monitor + probe.HTTPGet.Path)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode >= 200 && resp.StatusCode < 400
}

// until asks again and again until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(late) {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}

// page returns a page of the monitoring port, asked for with the login of the Secret that the pods
// have, if there is one.
func (p *pod) page(t *testing.T, path string, into any) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+p.monitor+path, nil)
	must(t, err)
	env := map[string]string{}
	for _, e := range p.env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if env["MONITORING_USER"] != "" {
		req.SetBasicAuth(env["MONITORING_USER_AS_IT_IS"], env["MONITORING_PASSWORD_AS_IT_IS"])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s", path, resp.Status)
	}
	must(t, json.NewDecoder(resp.Body).Decode(into))
}

// TestTheConfigurationPassesTheCheck has gnatsd -t check what is rendered, with the files and the
// variables of a pod.
func TestTheConfigurationPassesTheCheck(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		r := parse(t, render(t, flags(values)...))
		secrets := secretsOf(t, r)
		for i := range int(*r.set.Spec.Replicas) {
			p := prepare(t, r, secrets, i, nil)
			_, said, err := program(t, p.env, nil, "gnatsd", append(p.args(), "-t")...)
			// The values of the tests have passwords that can be read here.
			if err != nil || strings.Count(said, "warning: ") > strings.Count(said, "Plaintext passwords detected") {
				t.Errorf("server %d: got %v:\n%s\n%s", i, err, said, r.config.Data["gnatsd.conf"])
			}
		}
	})
}

// freeAddr returns an address of this machine that is free. Its port is none that Linux gives to
// connections and to listeners on port 0, so that it is still free when a server listens there.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_768))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestServersOfTheChartFormACluster starts all servers of a release. They find each other, pass
// their probes, and report nothing that an operator should look at; then one gets the command that
// Kubernetes runs before a pod ends.
func TestServersOfTheChartFormACluster(t *testing.T) {
	t.Parallel()
	eachValues(t, func(t *testing.T, values string) {
		r := parse(t, render(t, flags(values)...))
		secrets := secretsOf(t, r)
		var routes []string
		for range int(*r.set.Spec.Replicas) {
			routes = append(routes, freeAddr(t))
		}
		var pods []*pod
		for i := range routes {
			p := prepare(t, r, secrets, i, routes)
			p.start(t)
			pods = append(pods, p)
		}
		c := r.container()
		for _, p := range pods {
			until(t, "all routes are up", func() bool {
				return p.probe(t, &core.Probe{ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{
					Path: "/healthz?routes=" + strconv.Itoa(len(pods)-1), Port: c.ReadinessProbe.HTTPGet.Port,
				}}})
			})
			var z struct {
				Name       string           `json:"server_name"`
				Conditions []map[string]any `json:"conditions"`
				Routes     struct{ Up, Expected int }
			}
			until(t, "no condition", func() bool { p.page(t, "/statusz", &z); return len(z.Conditions) == 0 })
			if z.Name != p.name || z.Routes.Up != len(pods)-1 || z.Routes.Expected != len(pods)-1 {
				t.Errorf("got %+v of %s in a cluster of %d", z, p.name, len(pods))
			}
			for name, probe := range map[string]*core.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
				if !p.probe(t, probe) {
					t.Errorf("%s: the %s probe fails", p.name, name)
				}
			}
		}
		ending := pods[0]
		defer keepOne(t, ending, filepath.Base(values)).Close() // lame duck mode lasts while there are clients
		stop := c.Lifecycle.PreStop.Exec.Command
		if len(stop) != 3 || stop[0] != "/gnatsd" {
			t.Fatalf("got %q", stop)
		}
		if _, errs, err := program(t, nil, nil, "gnatsd", stop[1], stop[2]+"="+strconv.Itoa(ending.cmd.Process.Pid)); err != nil {
			t.Fatal(err, errs)
		}
		until(t, "not ready", func() bool { return !ending.probe(t, c.ReadinessProbe) })
		if !ending.probe(t, c.LivenessProbe) {
			t.Error("the liveness probe fails in lame duck mode")
		}
	})
}

// logins are those that the values of the tests have, by file.
var logins = map[string]map[string]any{
	"everything.yaml":    {"user": "o'neil", "pass": `p"q\x$y <&>`},
	"named-secrets.yaml": {"user": "anna", "pass": "annas-secret"},
	"accounts.yaml":      {"user": "a", "pass": "a-secret"},
}

// keepOne connects a client that stays, with TLS and a certificate where the server asks for them.
func keepOne(t *testing.T, p *pod, values string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", p.clients)
	must(t, err)
	nc.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReaderSize(nc, 1<<16).ReadString('\n')
	must(t, err)
	if strings.Contains(line, `"tls_required":true`) {
		dir := p.path("/etc/gnatsd-tls")
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
		must(t, err)
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
	}
	connect := map[string]any{"verbose": false, "pedantic": false}
	maps.Copy(connect, logins[values])
	text, err := json.Marshal(connect)
	must(t, err)
	fmt.Fprintf(nc, "CONNECT %s\r\nPING\r\n", text)
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-ERR") {
			t.Fatalf("the client cannot log in: %q, %v", line, err)
		}
		if line == "PONG\r\n" {
			return nc
		}
	}
}
