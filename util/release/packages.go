package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// documents writes what accompanies a binary into a directory: what the program prints of itself,
// the licenses of its modules, and the changes.
func (r *release) documents(dir string, modules []module) error {
	host := filepath.Join(dir, "host")
	env := []string{"CGO_ENABLED=0", "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH}
	if err := r.exec(env, "go", "build", "-trimpath", "-o", host, "."); err != nil {
		return err
	}
	files := map[string][]byte{}
	for file, args := range map[string][]string{
		"gnatsd.8": {"--man"}, "gnatsd.conf.5": {"--man=5"}, "gnatsd.schema.json": {"--schema"},
		"gnatsd.bash": {"--completion", "bash"}, "gnatsd.zsh": {"--completion", "zsh"}, "gnatsd.fish": {"--completion", "fish"},
	} {
		text, err := exec.Command(host, args...).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		files[file] = text
	}
	licenses, err := licenseTexts(modules)
	if err != nil {
		return err
	}
	files[thirdParty] = licenses
	changes, err := os.ReadFile("util/CHANGELOG.md")
	if err != nil {
		return err
	}
	files["CHANGELOG.md"] = changes
	if files["changelog.Debian"], files["changelog.yaml"], err = r.changelogs(string(changes)); err != nil {
		return err
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file+".gz"), compressed(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// changelogs returns what CHANGELOG.md says of this version, in the form of Debian, and in that which
// nfpm reads for the RPM.
func (r *release) changelogs(text string) (debian, rpm []byte, err error) {
	_, section, found := strings.Cut(text, "\n## "+r.version+"\n")
	if !found {
		return nil, nil, fmt.Errorf("util/CHANGELOG.md has no section %q", "## "+r.version)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	debian = fmt.Appendf(debian, "gnatsd (%s-1) unstable; urgency=medium\n\n", r.version)
	rpm = fmt.Appendf(rpm, "- semver: %q\n  date: %s\n  packager: %q\n  changes:\n", r.version+"-1", r.time.Format(time.RFC3339), r.maintainer)
	for item := range strings.SplitSeq("\n"+section, "\n- ") {
		if words := strings.Fields(strings.ReplaceAll(item, "`", "")); len(words) > 0 {
			debian = fmt.Appendf(debian, "  * %s\n", wrapped(words))
			rpm = fmt.Appendf(rpm, "    - note: %q\n", strings.Join(words, " "))
		}
	}
	return fmt.Appendf(debian, "\n -- %s  %s\n", r.maintainer, r.time.Format(time.RFC1123Z)), rpm, nil
}

// wrapped joins words to lines of at most 70 characters, as an item of a list of changes has them.
func wrapped(words []string) string {
	var b strings.Builder
	width := 0
	for _, w := range words {
		switch {
		case width == 0:
		case width+1+len(w) > 70:
			b.WriteString("\n    ")
			width = 0
		default:
			b.WriteString(" ")
			width++
		}
		b.WriteString(w)
		width += len(w)
	}
	return b.String()
}

// packages makes the .deb and the .rpm of a processor. work has the binary and the documents.
func (r *release) packages(work, arch string) error {
	if len(r.nfpm) == 0 {
		return nil
	}
	config, err := os.ReadFile("util/packaging.yaml")
	if err != nil {
		return err
	}
	dir := filepath.Join(work, "package-"+arch)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(work, "linux-"+arch))); err != nil {
		return err
	}
	for _, name := range []string{
		"gnatsd.8.gz", "gnatsd.conf.5.gz", "gnatsd.schema.json", "gnatsd.bash", "gnatsd.zsh", "gnatsd.fish",
		"CHANGELOG.md.gz", "changelog.yaml", "changelog.Debian.gz", thirdParty, thirdParty + ".gz",
	} {
		if err := os.Link(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	goarch := arch
	if arch == "arm" {
		goarch = "arm7"
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.time.Unix(), 10)}
	for _, kind := range []string{"deb", "rpm"} {
		changelog := ""
		if kind == "rpm" {
			changelog = filepath.Join(dir, "changelog.yaml")
		}
		text := strings.NewReplacer("${ARCH}", goarch, "${VERSION}", r.version, "${MTIME}", r.time.Format(time.RFC3339),
			"${DIR}", dir, "${MAINTAINER}", r.maintainer, "${CHANGELOG}", changelog).Replace(string(config))
		file := filepath.Join(work, "packaging-"+arch+"-"+kind+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		args := append(append([]string{}, r.nfpm...), "package", "--config", file, "--packager", kind, "--target", r.out)
		if err := r.exec(env, args...); err != nil {
			return err
		}
	}
	return nil
}
