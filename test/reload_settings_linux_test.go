package test

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The tests here reload the binary with every setting of the tables in conf/README.md: one that can
// be changed must have an effect on a running broker, one that cannot must be refused by name and
// place.

func TestEverySettingHasItsEffectByReload(t *testing.T) {
	t.Parallel()
	effects := map[string]func(*testing.T){}
	for _, some := range []map[string]func(*testing.T){reloadedFiles, reloadedLimits, reloadedLogs, reloadedLogins, reloadedTLS, reloadedCluster} {
		maps.Copy(effects, some)
	}
	for _, s := range documentedSettings(t) {
		effect := effects[s.name()]
		delete(effects, s.name())
		switch {
		case s.reload != "yes":
		case effect == nil:
			t.Errorf("no test shows what a reload does about %s", s.name())
		default:
			t.Run(s.name(), func(t *testing.T) {
				t.Parallel()
				effect(t)
			})
		}
	}
	for name := range effects {
		t.Errorf("a test of %s, which is no setting", name)
	}
}

// fixedSamples are values for settings that need one of their own to be refused, and what the log
// says of it.
var fixedSamples = map[string]struct{ block, want string }{
	"cluster.host":        {"cluster {\nhost: 127.0.0.2\nport: -1\n}", "cluster host: old=127.0.0.1, new=127.0.0.2"},
	"cluster.port":        {"cluster {\nhost: 127.0.0.1\nport: 7\n}", "cluster port: old=-1, new=7"},
	"cluster.also_listen": {"cluster {\nhost: 127.0.0.1\nport: -1\nalso_listen: [\"127.0.0.2:-1\"]\n}", `cluster alsolisten: old=, new=["127.0.0.2:-1"]`},
	"cluster.name":        {"cluster {\nhost: 127.0.0.1\nport: -1\nname: x\n}", "cluster name: old=, new=x"},
}

// TestEveryFixedSettingIsRefused changes one at a time, then all, then none.
func TestEveryFixedSettingIsRefused(t *testing.T) {
	t.Parallel()
	const cluster = "\ncluster {\nhost: 127.0.0.1\nport: -1\n}"
	r := &reloadable{file: writeConfig(t, "host: 127.0.0.1\nport: -1"+cluster)}
	r.process = launch(t, command(t, "-c", r.file))
	r.addr = r.process.addr(t)
	certs := certFiles(t)
	var all []string
	for _, s := range documentedSettings(t) {
		if s.reload != "no" {
			continue
		}
		own, ok := fixedSamples[s.name()]
		text := "host: 127.0.0.1\nport: -1\n" + own.block
		want := regexp.QuoteMeta(own.want)
		if !ok {
			line := s.keys[0] + ": " + strings.ReplaceAll(sampleOf(t, s, certs).file, `"`, "")
			all = append(all, line)
			text = "host: 127.0.0.1\nport: -1\n" + line + cluster
			want = `\w+: old=.*, new=.*`
		}
		r.rewrite(t, text)
		r.signal(t, syscall.SIGHUP)
		r.await(t, `\[ERR\] Failed to reload server configuration: config reload not supported for `+want+` \(`+regexp.QuoteMeta(r.file)+`:\d+:1\)$`)
		alive(t, r.addr)
	}
	r.rewrite(t, strings.Join(all, "\n")+cluster)
	r.signal(t, syscall.SIGHUP)
	for range all {
		r.await(t, `\[ERR\] Failed to reload server configuration: config reload not supported for \w+: old=`)
	}
	r.reload(t, "host: 127.0.0.1\nport: -1"+cluster)
	alive(t, r.addr)
	if len(all) < 15 {
		t.Errorf("only %d settings were tried: %s", len(all), fmt.Sprint(all))
	}
}
