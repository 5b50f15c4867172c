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
	"slices"
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
	only := flag.String("only", strings.Join(targets, ","), "systems to make the release for")
	nfpm := flag.String("nfpm", nfpmCommand, "program that makes packages; empty for none")
	sign := flag.String("sign", os.Getenv("SIGN"), "shell command that signs the file SHA256SUMS, whose path follows it; empty for none")
	flag.Parse()
	if err := run(*out, strings.Split(*only, ","), *nfpm, *sign); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// nfpmCommand downloads the program that makes packages, and runs it.
const nfpmCommand = "go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

// release is one release.
type release struct {
	out     string
	systems []string // of targets
	version string
	commit  string
	time    time.Time // of the commit

	maintainer string // of the packages: the author of the commit
	nfpm       []string
}

// run makes a release for some systems in the directory out.
func run(out string, systems []string, nfpm, sign string) error {
	r := &release{out: out, systems: systems, nfpm: strings.Fields(nfpm)}
	for _, s := range systems {
		if !slices.Contains(targets, s) {
			return fmt.Errorf("no release is made for %q, only for %s", s, strings.Join(targets, ", "))
		}
	}
	if err := r.identify(); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := r.all(); err != nil {
		return err
	}
	if err := r.checksums(); err != nil {
		return err
	}
	if sign == "" {
		return nil
	}
	return r.exec(nil, "sh", "-c", sign+` "$1"`, "sh", filepath.Join(out, "SHA256SUMS"))
}

// processors returns the processors of Linux that the release is made for.
func (r *release) processors() (list []string) {
	for _, s := range r.systems {
		if arch, linux := strings.CutPrefix(s, "linux/"); linux {
			list = append(list, arch)
		}
	}
	return list
}

// identify finds the version, the commit and its time.
func (r *release) identify() error {
	info, err := os.ReadFile("server/info.go")
	if err != nil {
		return fmt.Errorf("%w (run it at the top of the repository)", err)
	}
	_, constant, _ := strings.Cut(string(info), "\nconst Version = \"")
	r.version, _, _ = strings.Cut(constant, "\"")
	if r.version == "" {
		return fmt.Errorf("server/info.go has no version")
	}
	text, err := exec.Command("git", "log", "-1", "--format=%H %ct %an <%ae>").Output()
	if err != nil {
		return fmt.Errorf("find the commit: %w", err)
	}
	commit, rest, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	seconds, maintainer, _ := strings.Cut(rest, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("time of the commit: %w", err)
	}
	r.commit, r.time, r.maintainer = commit[:12], time.Unix(unix, 0).UTC(), maintainer
	changed, err := exec.Command("git", "status", "--porcelain").Output()
	if err != nil {
		return fmt.Errorf("find uncommitted changes: %w", err)
	}
	if len(changed) > 0 {
		r.commit += "-dirty" // as git describe has it
		fmt.Println("there are uncommitted changes: this is not a release, and says so as its commit")
	}
	return nil
}

// all makes the files of a whole release.
func (r *release) all() error {
	work, err := os.MkdirTemp("", "gnatsd-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var binaries []string
	for _, t := range r.systems {
		binary, err := r.build(t, filepath.Join(work, strings.ReplaceAll(t, "/", "-")))
		if err != nil {
			return err
		}
		binaries = append(binaries, binary)
	}
	modules, err := modulesOf(binaries)
	if err != nil {
		return err
	}
	if err := r.documents(work, modules); err != nil {
		return err
	}
	for i, t := range r.systems {
		if err := r.archive(t, binaries[i], work); err != nil {
			return err
		}
	}
	for _, arch := range r.processors() {
		if err := r.packages(work, arch); err != nil {
			return err
		}
	}
	if err := r.image(work); err != nil {
		return err
	}
	return r.materials(modules)
}

// build makes the static, stripped binary of a system in a directory, and returns its path.
func (r *release) build(target, dir string) (binary string, err error) {
	goos, goarch, _ := strings.Cut(target, "/")
	binary = filepath.Join(dir, "gnatsd")
	if goos == "windows" {
		binary += ".exe"
	}
	fmt.Println("build", target)
	env := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch, "GOARM=7", "GOFLAGS=", "GOAMD64=v1", "GO386=sse2"}
	return binary, r.exec(env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X gnatsd/server.gitCommit="+r.commit, "-o", binary, ".")
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
