package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// advisories are the security notes of brokers of this kind that concern this one: what was wrong
// there, and the tests that would find it here, as package.Test. Those of listeners that this
// broker does not have (MQTT, leaf nodes, JetStream) are left out.
var advisories = []struct{ name, wrong, tests string }{
	{"S#63", "a CONNECT in two TCP segments crashed the broker", "test.TestTranscripts server.FuzzFrame"},
	{"S#95", "the size of a PUB was used before it was compared with max_payload", "server.TestSizesBeyondAllLimits server.FuzzConnectionMemory"},
	{"CVE-2019-13126", "the size of a PUB overflowed", "server.TestSizesBeyondAllLimits"},
	{"CVE-2021-32026", "TLS by flags lost the restriction of the ciphers", "server.TestSettingsAreTheSameWhereverTheyComeFrom server.TestTLSFromFileAndFlags"},
	{"CVE-2022-29946", "a queue subscription with a wildcard got messages of a denied subject", "access.TestEngineAgreesWithOracle access.TestDeliveryFilter"},
	{"secnote-2026-17", "a subscription that overlaps a denied wildcard was not filtered", "access.TestEngineAgreesWithOracle access.TestDeliveryFilter"},
	{"secnote-2026-18", "a rule for a queue overrode a deny", "access.TestEngineAgreesWithOracle access.TestSubscribing"},
	{"commit 91045691a", "a permission of nothing but blanks crashed", "access.TestBadEntriesAreErrors access.FuzzPermissions server.FuzzProcessConfig"},
	{"secnote-2026-16", "no_auth_user let in routes", "server.TestNoAuthUserIsForClientsOnly server.TestRouteLoginIgnoresWhatClientsMay"},
	{"secnote-2026-24", "another first verb than CONNECT skipped restrictions", "server.TestNothingButConnectLogsIn server.TestRandomStates"},
	{"CVE-2022-24450, CVE-2023-47090, secnote-2023-01", "some form of login was silently off", "access.TestEveryWayToLogInRefuses"},
	{"secnote-2026-13", "distinguished names were matched too generously", "access.TestConfiguredNamesMatchSubjects access.TestCertificatesNameUsers access.FuzzDistinguishedName"},
	{"CVE-2026-33247, secnote-2026-14", "the password of the command line was on a page", "test.TestNoSecretIsShown test.TestNoHashAndNoKeyIsShown"},
	{"CVE-2026-33216, secnote-2026-05", "a password was on /connz", "test.TestNoSecretIsShown test.TestNoHashAndNoKeyIsShown"},
	{"secnote-2026-28", "offset and limit of /connz overflowed", "server.TestPagesAnswerExtremesOfOffsetAndLimit server.FuzzConnzQuery"},
	{"JSONP", "a callback could be any script", "monitor.TestPagesAreWrappedForJSONP"},
	{"CVE-2026-27571, CVE-2026-27889, CVE-2026-33219, secnote-2026-27", "WebSocket before the login: there is none here, and no other budget to exceed",
		"server.TestFewBytesAreTakenBeforeTheLogin server.TestUnauthenticatedConnectionsAreSmall server.TestSlowloris"},
	{"CVE-2026-29785, CVE-2026-33218, secnote-2026-19", "a repeated or odd INFO crashed a listener for servers", "server.FuzzStates server.TestRandomStates mesh.TestMadeUpServersAreForgotten"},
	{"secnote-2026-22", "line ends in a subscription became commands on a route", "server.TestNoByteOfASubscriptionBreaksARoute"},
	{"CVE-2026-33223, CVE-2026-33246, CVE-2026-33249, secnote-2026-20", "headers of clients were trusted, traces redirected by them: here they are bytes like others", "test.TestNoHeaderIsObeyed"},
}

// TestEveryAdvisoryHasItsTests sees that the tests are there. That they pass is their own business.
func TestEveryAdvisoryHasItsTests(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, pattern := range []string{"../server/*_test.go", "../server/internal/*/*_test.go", "../test/*_test.go"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			must(t, err)
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				found[filepath.Base(filepath.Dir(file))+"."+m[1]] = true
			}
		}
	}
	for _, a := range advisories {
		for _, name := range strings.Fields(a.tests) {
			if !found[name] {
				t.Errorf("%s (%s): there is no %s", a.name, a.wrong, name)
			}
		}
	}
	// secnote-2026-01 is about the tools that build the broker.
	text, err := os.ReadFile("../Makefile")
	must(t, err)
	if !strings.Contains(string(text), "\nvuln:") {
		t.Error("secnote-2026-01: make vuln is gone")
	}
}

// TestNoHeaderIsObeyed publishes headers that have other brokers do something.
func TestNoHeaderIsObeyed(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	watcher, c := wire.Dial(t, s.Addr().String()), wire.Dial(t, s.Addr().String())
	watcher.Say(`CONNECT {"verbose":false,"headers":true}`, "SUB > 1", "PING")
	watcher.Want("PONG")
	c.Say(`CONNECT {"verbose":false,"headers":true}`)
	const headers = "NATS/1.0\r\nNats-Trace-Dest: other\r\nNats-Trace-Only: true\r\nNats-Request-Info: {}\r\nNats-Msg-Id: 1\r\nStatus: 503\r\n\r\n"
	line := " " + strconv.Itoa(len(headers)) + " " + strconv.Itoa(len(headers)) + "\r\n" + headers + "\r\n"
	c.Say("HPUB a"+line, "PING")
	c.Want("PONG")
	watcher.Say("PING")
	watcher.Want("HMSG a 1"+line, "PONG")
}
