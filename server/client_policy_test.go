package server

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// TestExpiredCertificatesAreNamed has expired certificates for clients and for other servers: -t, a
// start and a reload warn of both, each with the place of its file.
func TestExpiredCertificatesAreNamed(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	authority, err := certs.NewAuthority("old")
	okay(t, err)
	pair, err := authority.Issue(certs.Request{Hosts: certs.Local(), ValidFor: -time.Hour})
	okay(t, err)
	okay(t, pair.Write(dir, "old"))
	block := fmt.Sprintf("tls {\n cert_file: '%s/old-cert.pem', key_file: '%[1]s/old-key.pem', ca_file: '%[1]s/ca.pem'\n}\n", dir)
	plain := "cluster {\n listen: 127.0.0.1:-1\n}\n"
	text := "cluster {\n listen: 127.0.0.1:-1\n " + block + "}\n" + block
	want := []string{
		`The TLS certificate expired on \d{4}-\d\d-\d\d: clients will reject it \(FILE:8:2\)`,
		`The TLS certificate of the cluster expired on \d{4}-\d\d-\d\d: other servers will reject it \(FILE:4:2\)`,
	}
	wantBoth := func(what, got, file string) {
		t.Helper()
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(strings.ReplaceAll(got, file, "FILE")) {
				t.Errorf("%s: got %s, want %s", what, got, w)
			}
		}
	}
	file := writeConfig(t, text)
	var out strings.Builder
	if _, status := CommandLine([]string{"-t", "-c", file}, io.Discard, &out); status != 0 {
		t.Errorf("-t: status %d", status)
	}
	wantBoth("-t", out.String(), file)
	r := startReloader(t, plain)
	r.okay(t, text)
	wantBoth("reload", strings.Join(r.lines(), "\n"), r.file)
	r.okay(t, text+"max_payload: 1KB\n")
	if got := strings.Join(r.lines(), "\n"); strings.Contains(got, "expired") {
		t.Errorf("a reload that changes nothing of TLS: got %s", got)
	}

	o, _ := CommandLine([]string{"-c", file, "-a", "127.0.0.1", "-p", "-1"}, io.Discard, io.Discard)
	o.NoSigs = true
	s, err := NewServer(o)
	okay(t, err)
	log := newLineLog()
	s.SetLogger(log, false, false)
	go s.Start() // ends with Shutdown
	defer s.Shutdown()
	wantBoth("start", log.wait(t, "expired on")+"\n"+log.wait(t, "expired on"), file)

	want = []string{
		`The TLS certificate is not valid before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: clients will reject it \(there\)`,
		`The TLS certificate of the cluster is not valid before .* UTC: other servers will reject it \(there\)`,
	}
	var early []string
	for _, w := range s.certWarnings(time.Unix(0, 0)) {
		early = append(early, w.text(" (there)"))
	}
	wantBoth("a clock that is behind", strings.Join(early, "\n"), file)
}
