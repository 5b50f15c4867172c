// Command release builds everything that a release consists of, into one directory: static binaries
// in archives, packages for Debian and for RPM, the image as an OCI layout, the bill of materials,
// and their checksums. Two runs on the same commit give the same bytes: there are no times in the
// files but that of the commit, and no paths. `make release` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// targets are the systems that a release has binaries for. The processor of arm is an ARMv7.
var targets = []string{
	"linux/amd64", "linux/arm64", "linux/arm", "linux/386", "linux/riscv64",
	"darwin/amd64", "darwin/arm64", "freebsd/amd64", "freebsd/arm64", "windows/amd64", "windows/arm64",
}

func main() {
	out := flag.String("out", "dist", "directory for the files; what is in it of another release goes")
	only := flag.String("only", "", "build the binaries of these systems and nothing else, as in linux/amd64,windows/amd64")
	nfpm := flag.String("nfpm", "go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.35.3", "program that makes packages; empty for none")
	sign := flag.String("sign", os.Getenv("SIGN"), "command that signs the file SHA256SUMS, whose path follows it; empty for none")
	flag.Parse()
	if err := run(*out, *only, *nfpm, *sign); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one release.
type release struct {
	out     string
	version string
	commit  string
	time    time.Time // of the commit
	nfpm    []string
}

func run(out, only, nfpm, sign string) error {
	r := &release{out: out, nfpm: strings.Fields(nfpm)}
	if err := r.identify(); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if only != "" {
		for t := range strings.SplitSeq(only, ",") {
			if err := r.build(t, filepath.Join(out, strings.ReplaceAll(t, "/", "-"))); err != nil {
				return err
			}
		}
		return r.checksums()
	}
	if err := r.all(); err != nil {
		return err
	}
	if err := r.checksums(); err != nil {
		return err
	}
	if command := strings.Fields(sign); len(command) > 0 {
		return r.exec(nil, append(command, filepath.Join(out, "SHA256SUMS"))...)
	}
	return nil
}

// identify finds the version, the commit and its time.
func (r *release) identify() error {
	info, err := os.ReadFile("server/info.go")
	if err != nil {
		return fmt.Errorf("%w (run it at the top of the repository)", err)
	}
	_, rest, _ := strings.Cut(string(info), "\nconst Version = \"")
	r.version, _, _ = strings.Cut(rest, "\"")
	if r.version == "" {
		return fmt.Errorf("server/info.go has no version")
	}
	text, err := exec.Command("git", "log", "-1", "--format=%H %ct").Output()
	if err != nil {
		return fmt.Errorf("find the commit: %w", err)
	}
	commit, seconds, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("time of the commit: %w", err)
	}
	r.commit, r.time = commit[:12], time.Unix(unix, 0).UTC()
	return nil
}

// all makes the files of a whole release.
func (r *release) all() error {
	work, err := os.MkdirTemp("", "gnatsd-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, t := range targets {
		dir := filepath.Join(work, strings.ReplaceAll(t, "/", "-"))
		if err := r.build(t, dir); err != nil {
			return err
		}
		if err := r.archive(t, dir); err != nil {
			return err
		}
	}
	if err := r.documents(work); err != nil {
		return err
	}
	for _, arch := range imageArchitectures {
		if err := r.packages(work, arch); err != nil {
			return err
		}
	}
	if err := r.image(work); err != nil {
		return err
	}
	return r.materials(filepath.Join(work, "linux-amd64", "gnatsd"))
}

// build makes the static, stripped binary of a system in a directory.
func (r *release) build(target, dir string) error {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return fmt.Errorf("%q is not SYSTEM/PROCESSOR", target)
	}
	name := "gnatsd"
	if goos == "windows" {
		name += ".exe"
	}
	fmt.Println("build", target)
	env := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch, "GOARM=7", "GOFLAGS=", "GOAMD64=v1", "GO386=sse2"}
	return r.exec(env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X gnatsd/server.gitCommit="+r.commit, "-o", filepath.Join(dir, name), ".")
}

// exec runs a program with more environment. What it says is shown.
func (r *release) exec(env []string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// documents has the program write its pages and completions into a directory.
func (r *release) documents(dir string) error {
	host := filepath.Join(dir, "host")
	if err := r.exec([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", host, "."); err != nil {
		return err
	}
	for file, args := range map[string][]string{
		"gnatsd.8.gz": {"--man"}, "gnatsd.conf.5.gz": {"--man=5"}, "gnatsd.schema.json": {"--schema"},
		"gnatsd.bash": {"--completion", "bash"}, "gnatsd.zsh": {"--completion", "zsh"}, "gnatsd.fish": {"--completion", "fish"},
	} {
		text, err := exec.Command(host, args...).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if strings.HasSuffix(file, ".gz") {
			text = compressed(text)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packages makes the .deb and the .rpm of a processor.
func (r *release) packages(work, arch string) error {
	if len(r.nfpm) == 0 {
		return nil
	}
	config, err := os.ReadFile("util/packaging.yaml")
	if err != nil {
		return err
	}
	at := r.time.Format(time.RFC3339)
	dir := filepath.Join(work, "package-"+arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	names := []string{"gnatsd.8.gz", "gnatsd.conf.5.gz", "gnatsd.schema.json", "gnatsd.bash", "gnatsd.zsh", "gnatsd.fish"}
	for _, name := range names {
		if err := os.Link(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Link(filepath.Join(work, "linux-"+arch, "gnatsd"), filepath.Join(dir, "gnatsd")); err != nil {
		return err
	}
	goarch := arch
	if arch == "arm" {
		goarch = "arm7"
	}
	text := strings.NewReplacer("${ARCH}", goarch, "${VERSION}", r.version, "${MTIME}", at, "${DIR}", dir,
		"${MAINTAINER}", "gnatsd maintainers <maintainers@gnatsd.invalid>").Replace(string(config))
	file := filepath.Join(work, "packaging-"+arch+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.time.Unix(), 10)}
	for _, kind := range []string{"deb", "rpm"} {
		args := append(append([]string{}, r.nfpm...), "package", "--config", file, "--packager", kind, "--target", r.out)
		if err := r.exec(env, args...); err != nil {
			return err
		}
	}
	return nil
}
