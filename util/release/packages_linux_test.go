package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var (
	whole = flag.Bool("release.packages", false, "look at packages and at the image, in a machine of their own, as make release-test does (root)")
	every = flag.Bool("release.all", false, "with it, make the releases that are compared for all systems")
	made  = flag.String("release.made", "", "look at the release in this directory, instead of making two")
	makes = flag.String("release.nfpm", nfpmCommand, "program that makes packages")
)

// needsRoot ends a test that make release-test has not asked for. If it has, nothing is skipped.
func needsRoot(t *testing.T) {
	t.Helper()
	if !*whole {
		t.Skip("make release-test runs it")
	}
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
}

// oldVersion is the version that is upgraded from.
const oldVersion = "1.5.9"

// releases makes a release twice and compares them. It returns the directory of the first, and the
// files of an older version, whose configuration is another one.
func releases(t *testing.T) (dir, older string) {
	t.Helper()
	dir, err := filepath.Abs(*made)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	if *made != "" {
		checkSums(t, dir)
		return dir, olderPackages(t, dir)
	}
	systems := []string{"linux/" + runtime.GOARCH}
	if *every {
		systems = targets
	}
	dir, second := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "another")
	for _, out := range []string{dir, second} {
		if err := run(out, systems, *makes, ""); err != nil {
			t.Fatal(err)
		}
	}
	sameReleases(t, dir, second)
	checkSums(t, dir)
	return dir, olderPackages(t, dir)
}

// olderPackages makes packages of the same binary under an older version.
func olderPackages(t *testing.T, dir string) string {
	t.Helper()
	r := &release{out: t.TempDir(), nfpm: strings.Fields(*makes), systems: []string{"linux/" + runtime.GOARCH}}
	if err := r.identify(); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	archive := filepath.Join(dir, fmt.Sprintf("gnatsd-%s-linux-%s.tar.gz", r.version, runtime.GOARCH))
	binary := filepath.Join(work, "linux-"+runtime.GOARCH)
	if err := os.Mkdir(binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xzf", archive, "-C", binary, "--strip-components=1", "--wildcards", "*/gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	modules, err := modulesOf([]string{filepath.Join(binary, "gnatsd")})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.documents(work, modules); err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	if err := os.CopyFS(filepath.Join(top, "util"), os.DirFS("util")); err != nil {
		t.Fatal(err)
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("util/docker/gnatsd.conf")
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{"LICENSE": license, "util/docker/gnatsd.conf": append(config, "# of the older version\n"...)} {
		if err := os.WriteFile(filepath.Join(top, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	back, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(top)
	r.version = oldVersion
	if err := r.packages(work, runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	t.Chdir(back)
	return r.out
}

// TestPackages installs, upgrades and removes the packages in a machine that has nothing else, and
// runs the broker there as its unit says, under systemd.
func TestPackages(t *testing.T) {
	needsRoot(t)
	dir, older := releases(t)
	t.Run("lint", func(t *testing.T) { lint(t, dir) })
	t.Run("image", func(t *testing.T) { lookAtImage(t, dir) })
	m := bootMachine(t)
	for from, as := range map[string]string{
		filepath.Join(dir, "*.deb"): "new.deb", filepath.Join(older, "*.deb"): "old.deb",
		filepath.Join(dir, "*.rpm"): "new.rpm", filepath.Join(older, "*.rpm"): "old.rpm",
	} {
		found, err := filepath.Glob(from)
		if err != nil {
			t.Fatal(err)
		}
		own := slices.IndexFunc(found, func(f string) bool {
			return regexp.MustCompile(`amd64|x86_64`).MatchString(f) == (runtime.GOARCH == "amd64")
		})
		if own < 0 {
			t.Fatalf("%s: got %q", from, found)
		}
		m.copyIn(t, found[own], as)
	}
	_ = t.Run("deb", func(t *testing.T) { debian(t, m) }) && t.Run("rpm", func(t *testing.T) { redHat(t, m) })
}

// lint asks the checkers of Debian and of RPM. What they may say stands in util/packaging, with the
// reasons.
func lint(t *testing.T, dir string) {
	// rpmlint unpacks with cpio, which would write to / what has absolute names.
	bin := t.TempDir()
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Fatal("needs cpio")
	}
	if err := os.WriteFile(filepath.Join(bin, "cpio"), fmt.Appendf(nil, "#!/bin/sh\nexec %s --no-absolute-filenames \"$@\"\n", cpio), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, args := range [][]string{
		{"lintian", "--allow-root", "--fail-on", "error,warning", "*.deb"},
		{"rpmlint", "--strict", "--config", "util/packaging/rpmlint.toml", "*.rpm"},
	} {
		files, err := filepath.Glob(filepath.Join(dir, args[len(args)-1]))
		if err != nil || len(files) == 0 {
			t.Fatalf("%q: %v", files, err)
		}
		out, err := exec.Command(args[0], append(args[1:len(args)-1], files...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
}

// Scripts that look at a broker in the machine.
const (
	// answers talks to the broker as a client.
	answers = `exec 3<>/dev/tcp/127.0.0.1/4222 && read -t 20 info <&3 && printf 'CONNECT {}\r\nPING\r\n' >&3 && read -t 20 ok <&3 && read -t 20 pong <&3 && echo "${info%%{*}${pong%$'\r'}"`
	mainPID = `systemctl show -P MainPID gnatsd.service`
	// snapshot lists the files of the system. What is left out changes by itself: the lists of
	// packages, what systemd and shells remember, time stamps of tools.
	snapshot = `find / -xdev -path /tmp -prune -o -path /run -prune -o -path /var/lib/dpkg -prune -o -path /var/lib/rpm -prune -o -path /var/lib/systemd -prune ` +
		`-o -path /var/log/journal -prune -o -path /var/cache/man -prune -o -path /var/lib/logrotate -prune -o -print | LC_ALL=C sort`
)

// debian is the life of the .deb.
func debian(t *testing.T, m *machine) {
	m.sh(t, "mandb -q; "+snapshot+" > /run/before")

	// A first installation starts nothing.
	m.sh(t, "dpkg -i /old.deb")
	m.wants(t, "dpkg-query -W -f '${Version} ${Status}' gnatsd", oldVersion+"-1 install ok installed")
	m.wants(t, "id gnatsd | sed 's/=[0-9]*//g'; getent passwd gnatsd | cut -d: -f6,7", "uid(gnatsd) gid(gnatsd) groups(gnatsd)\n/nonexistent:/usr/sbin/nologin")
	m.wants(t, "stat -c '%a %U %G' /etc/gnatsd.conf", "640 root gnatsd")
	m.wants(t, "dpkg-query -W -f '${Conffiles}\n' gnatsd | awk 'NF {print $1}'", "/etc/gnatsd.conf\n/etc/logrotate.d/gnatsd")
	m.wants(t, "systemctl is-active gnatsd.service gnatsd.socket; systemctl is-enabled gnatsd.service gnatsd.socket; true", "inactive\ninactive\ndisabled\ndisabled")
	installed(t, m)

	// The unit. An edited configuration logs to a file.
	m.sh(t, `printf 'log_file: "/var/log/gnatsd/gnatsd.log"\npid_file: /run/gnatsd/gnatsd.pid\n# edited\n' >> /etc/gnatsd.conf`)
	m.sh(t, "systemctl enable --now gnatsd.service")
	confined(t, m)
	rotated(t, m)

	// An upgrade restarts the broker, and leaves the configuration.
	before := m.sh(t, mainPID)
	m.sh(t, "dpkg --force-confdef -i /new.deb")
	m.wants(t, "tail -n 1 /etc/gnatsd.conf; stat -c '%a %U %G' /etc/gnatsd.conf; ls /etc/gnatsd.conf.dpkg-dist", "# edited\n640 root gnatsd\n/etc/gnatsd.conf.dpkg-dist")
	m.wants(t, "systemctl is-active gnatsd.service; systemctl is-enabled gnatsd.service", "active\nenabled")
	if after := m.sh(t, mainPID); after == before || after == "0" {
		t.Errorf("the process after the upgrade is %s, before it was %s", after, before)
	}
	m.wants(t, answers, "INFO PONG")

	// Where the administrator forbids restarts, there is none.
	before = m.sh(t, mainPID)
	m.sh(t, `printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; dpkg -i /new.deb; rm /usr/sbin/policy-rc.d`)
	m.wants(t, mainPID, before)

	// A broker that does not start leaves the package installed.
	m.sh(t, "cp -p /etc/gnatsd.conf /etc/kept; echo 'port: none' >> /etc/gnatsd.conf; dpkg -i /new.deb")
	m.wants(t, "dpkg-query -W -f '${Status}' gnatsd", "install ok installed")
	m.sh(t, "! systemctl is-active gnatsd.service; mv /etc/kept /etc/gnatsd.conf; systemctl reset-failed gnatsd.service; systemctl restart gnatsd.service")

	// The socket: a connection starts the broker.
	m.sh(t, "systemctl stop gnatsd.service; systemctl enable --now gnatsd.socket")
	m.wants(t, "systemctl is-active gnatsd.socket gnatsd.service; true", "active\ninactive")
	m.wants(t, answers, "INFO PONG")
	m.wants(t, "systemctl is-active gnatsd.service; grep -c 'which is no port of the settings' /var/log/gnatsd/gnatsd.log || true", "active\n0")
	m.sh(t, "dpkg -i /new.deb")
	m.wants(t, answers, "INFO PONG")

	// Removed, and installed again: the configuration stays.
	m.sh(t, "dpkg -r gnatsd")
	m.wants(t, "systemctl is-active gnatsd.service gnatsd.socket; find /etc/systemd -name '*gnatsd*'; ls -d /etc/gnatsd.conf /var/log/gnatsd; { ls /usr/sbin/gnatsd /usr/share/doc/gnatsd 2>&1 || true; } | grep -c 'No such'",
		"inactive\ninactive\n/etc/gnatsd.conf\n/var/log/gnatsd\n2")
	m.sh(t, "dpkg -i /new.deb")
	m.wants(t, "tail -n 1 /etc/gnatsd.conf; systemctl is-enabled gnatsd.service; true", "# edited\ndisabled")
	m.sh(t, "systemctl enable --now gnatsd.service")
	m.wants(t, answers, "INFO PONG")

	// Purged: nothing is left but the user.
	m.sh(t, "dpkg -P gnatsd")
	m.wants(t, "systemctl list-units --all --no-legend 'gnatsd*'; "+snapshot+" | diff /run/before - || true", "")
	m.sh(t, "getent passwd gnatsd; getent group gnatsd")
	m.wants(t, "dpkg -i /new.deb >/dev/null && systemctl start gnatsd.service && "+answers, "INFO PONG")
	m.sh(t, "dpkg -P gnatsd")
	m.wants(t, "find / -xdev -name '*gnatsd*' -not -path '/proc/*' -not -path '/var/lib/systemd/*' -not -path '/var/cache/man/*'", "")
}

// installed looks at the files of a package.
func installed(t *testing.T, m *machine) {
	t.Helper()
	m.sh(t, "gnatsd -t -c /etc/gnatsd.conf")
	m.wants(t, "systemd-analyze verify gnatsd.service gnatsd.socket 2>&1 | grep gnatsd || true", "")
	m.wants(t, "man -w gnatsd gnatsd.conf", "/usr/share/man/man8/gnatsd.8.gz\n/usr/share/man/man5/gnatsd.conf.5.gz")
	m.wants(t, "for page in gnatsd gnatsd.conf; do man $page | grep -E -m 1 '^NAME'; done", "NAME\nNAME")
	m.wants(t, "source /usr/share/bash-completion/bash_completion; _completion_loader gnatsd; complete -p gnatsd | grep -o _gnatsd", "_gnatsd")
	// The second directory is for RPM: zsh of Debian does not look there by itself.
	m.wants(t, "zsh -c 'fpath+=/usr/share/zsh/site-functions; autoload -Uz compinit; compinit -u -D; echo $_comps[gnatsd]'", "_gnatsd")
	m.wants(t, `ls /usr/share/fish/vendor_completions.d/gnatsd.fish; grep -c '"$schema"' /usr/share/gnatsd/gnatsd.schema.json`, "/usr/share/fish/vendor_completions.d/gnatsd.fish\n1")
	m.wants(t, "logrotate -d /etc/logrotate.d/gnatsd 2>&1 | grep -i error || true", "")
	if out := m.sh(t, "f=$(ls /usr/share/doc/gnatsd/THIRD-PARTY-LICENSES.gz /usr/share/licenses/gnatsd/THIRD-PARTY-LICENSES 2>/dev/null); zcat -f $f | grep -c 'Redistribution and use'"); out == "0" {
		t.Error("the licenses of other's modules are missing")
	}
}

// confined looks at the process that systemd has started: what the unit says holds.
func confined(t *testing.T, m *machine) {
	t.Helper()
	m.wants(t, answers, "INFO PONG")
	m.wants(t, "systemctl is-active gnatsd.service; systemctl show -P StatusText gnatsd.service | head -c 1 | wc -c", "active\n1")
	m.wants(t, "p=$("+mainPID+"); ps() { grep -E \"^$1:\" /proc/$p/status | cut -f2-; }; id -un $(ps Uid | cut -f1); id -gn $(ps Gid | cut -f1); ps CapEff; ps CapBnd; ps NoNewPrivs; ps Seccomp; ps Umask; prlimit -p $p -n -o SOFT,HARD --noheadings | xargs",
		"gnatsd\ngnatsd\n0000000000000000\n0000000000000000\n1\n2\n0027\n"+descriptors(t))
	m.wants(t, "stat -c '%a %U %G' /var/log/gnatsd /run/gnatsd; stat -c '%a %U' /var/log/gnatsd/gnatsd.log; cat /run/gnatsd/gnatsd.pid", "750 gnatsd gnatsd\n755 gnatsd gnatsd\n640 gnatsd\n"+m.sh(t, mainPID))
	// The file systems that the process sees: only its directories can be written.
	m.wants(t, `p=$(`+mainPID+`); awk '$5 == "/" || $5 == "/usr" || $5 == "/etc" || $5 == "/var/log/gnatsd" || $5 == "/run/gnatsd" {split($6, o, ","); last[$5] = o[1]} END {print last["/"], last["/var/log/gnatsd"], last["/run/gnatsd"]}' /proc/$p/mountinfo`, "ro rw rw")
	m.sh(t, "systemctl reload gnatsd.service")
	m.eventually(t, "grep -q 'Reloaded server configuration' /var/log/gnatsd/gnatsd.log")
	// One that ends by itself is started again.
	m.sh(t, "p=$("+mainPID+"); kill -KILL $p; until [ $("+mainPID+") -gt 0 ] && [ $("+mainPID+") != $p ]; do sleep 0.1; done")
	m.eventually(t, answers)
	m.eventually(t, "systemctl is-active gnatsd.service")
}

// descriptors is the limit of the unit, soft and hard, or the one that root cannot raise here.
func descriptors(t *testing.T) string {
	t.Helper()
	if err := exec.Command("prlimit", "--nofile=800000:800000", "true").Run(); err == nil {
		return "800000 800000"
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(limit.Max, " ", limit.Max)
}

// rotated runs logrotate: the broker goes on in a new file.
func rotated(t *testing.T, m *machine) {
	t.Helper()
	before := m.sh(t, "stat -c %i /var/log/gnatsd/gnatsd.log")
	m.sh(t, "logrotate --force /etc/logrotate.d/gnatsd")
	m.wants(t, "stat -c %i /var/log/gnatsd/gnatsd.log.1", before)
	m.eventually(t, "grep -q 'File log re-opened' /var/log/gnatsd/gnatsd.log")
	m.wants(t, "stat -c '%a %U %G' /var/log/gnatsd/gnatsd.log; ls -l /proc/$("+mainPID+")/fd | grep -c 'gnatsd.log$'", "640 gnatsd gnatsd\n1")
	m.sh(t, "logrotate --force /etc/logrotate.d/gnatsd; zcat /var/log/gnatsd/gnatsd.log.2.gz | grep -q 'Server is ready'")
}

// redHat is the life of the .rpm. Its scripts run in the same machine, which has systemd, and the
// programs that they call; only the names of the packages that it depends on are unknown there.
func redHat(t *testing.T, m *machine) {
	const install = "rpm --nodeps --force-debian "
	m.sh(t, "userdel gnatsd; rm -rf /var/log/gnatsd; rpm --initdb")
	m.sh(t, install+"-i /old.rpm")
	m.wants(t, "rpm -q --qf '%{VERSION} %{LICENSE} %{BUILDHOST}' gnatsd; rpm -V --nodeps gnatsd", oldVersion+" Apache-2.0 localhost")
	m.wants(t, "getent passwd gnatsd | cut -d: -f1,6,7; stat -c '%a %U %G' /etc/gnatsd.conf", "gnatsd:/nonexistent:/usr/sbin/nologin\n640 root gnatsd")
	m.wants(t, "rpm -qc gnatsd; rpm -qL gnatsd", "/etc/gnatsd.conf\n/etc/logrotate.d/gnatsd\n/usr/share/licenses/gnatsd/LICENSE\n/usr/share/licenses/gnatsd/THIRD-PARTY-LICENSES")
	m.wants(t, "systemctl is-active gnatsd.service; systemctl is-enabled gnatsd.service; true", "inactive\ndisabled")
	installed(t, m)

	m.sh(t, `printf 'log_file: "/var/log/gnatsd/gnatsd.log"\npid_file: /run/gnatsd/gnatsd.pid\n# edited\n' >> /etc/gnatsd.conf`)
	m.sh(t, "systemctl enable --now gnatsd.service")
	confined(t, m)
	rotated(t, m)

	before := m.sh(t, mainPID)
	m.sh(t, install+"-U /new.rpm")
	m.wants(t, "tail -n 1 /etc/gnatsd.conf; stat -c '%a %U %G' /etc/gnatsd.conf; ls /etc/gnatsd.conf.rpmnew; rpm -q gnatsd | wc -l", "# edited\n640 root gnatsd\n/etc/gnatsd.conf.rpmnew\n1")
	m.wants(t, "systemctl is-active gnatsd.service; systemctl is-enabled gnatsd.service", "active\nenabled")
	if after := m.sh(t, mainPID); after == before || after == "0" {
		t.Errorf("the process after the upgrade is %s, before it was %s", after, before)
	}
	m.wants(t, answers, "INFO PONG")

	m.sh(t, install+"-e gnatsd")
	m.wants(t, "systemctl is-active gnatsd.service; find /etc/systemd -name '*gnatsd*'; tail -n 1 /etc/gnatsd.conf.rpmsave; ls -d /var/log/gnatsd; find /usr -name '*gnatsd*'", "inactive\n# edited\n/var/log/gnatsd")
	m.sh(t, install+"-i /new.rpm; systemctl start gnatsd.service; "+answers)
	m.sh(t, install+"-e gnatsd")
}
