package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// thirdParty is the name of the file with the licenses of the modules in the binaries.
const thirdParty = "THIRD-PARTY-LICENSES"

// module is a module that binaries are made of, or the standard library, whose path is "std".
type module struct {
	path, version string
	sum           string // as in go.sum; "" for the standard library
}

// licenses are the licenses of all modules that a binary may have, as SPDX expressions.
var licenses = map[string]string{
	"std":                           "BSD-3-Clause",
	"github.com/klauspost/compress": "BSD-3-Clause AND Apache-2.0 AND MIT",
	"github.com/nats-io/nkeys":      "Apache-2.0",
	"github.com/nats-io/nuid":       "Apache-2.0",
	"golang.org/x/crypto":           "BSD-3-Clause",
	"golang.org/x/sys":              "BSD-3-Clause",
}

// modulesOf returns the modules that binaries say they are made of, by path.
func modulesOf(binaries []string) ([]module, error) {
	found := map[module]bool{}
	for _, binary := range binaries {
		info, err := buildinfo.ReadFile(binary)
		if err != nil {
			return nil, err
		}
		found[module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}] = true
		for _, m := range info.Deps {
			found[module{m.Path, m.Version, m.Sum}] = true
		}
	}
	var list []module
	for m := range found {
		if licenses[m.path] == "" {
			return nil, fmt.Errorf("which license has module %s? Add it to materials.go", m.path)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// licenseTexts returns the texts of the licenses of modules, and their notices and grants.
func licenseTexts(modules []module) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "gnatsd has these modules in it. Their licenses follow.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s (%s)\n", m.path, m.version, licenses[m.path])
	}
	for _, m := range modules {
		find := []string{"list", "-m", "-f", "{{.Dir}}", m.path}
		if m.path == "std" {
			find = []string{"env", "GOROOT"}
		}
		dir, err := exec.Command("go", find...).Output()
		if err != nil {
			return nil, fmt.Errorf("find module %s: %w", m.path, err)
		}
		count := 0
		for _, pattern := range []string{"LICENSE*", "COPYING*", "NOTICE*", "PATENTS*"} {
			files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), pattern))
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, err
				}
				count++
				line := strings.Repeat("=", 80)
				fmt.Fprintf(&b, "\n%s\n%s %s: %s\n%s\n\n%s", line, m.path, m.version, filepath.Base(file), line, text)
			}
		}
		if count == 0 {
			return nil, fmt.Errorf("module %s has no license in %s", m.path, strings.TrimSpace(string(dir)))
		}
	}
	return b.Bytes(), nil
}

// component is a part in the bill of materials.
type component struct {
	Type     string              `json:"type"`
	Ref      string              `json:"bom-ref"`
	Name     string              `json:"name"`
	Version  string              `json:"version"`
	Hashes   []map[string]string `json:"hashes,omitempty"`
	Licenses []map[string]string `json:"licenses"`
	URL      string              `json:"purl"`
}

// materials writes the bill of materials in the format of CycloneDX.
func (r *release) materials(modules []module) error {
	self := component{Type: "application", Name: "gnatsd", Version: r.version, URL: "pkg:generic/gnatsd@" + r.version}
	self.Ref = self.URL
	self.Licenses = []map[string]string{{"expression": "Apache-2.0"}}
	var parts []component
	uses := map[string]any{"ref": self.Ref}
	var refs []string
	dependencies := []map[string]any{uses}
	for _, m := range modules {
		url := fmt.Sprintf("pkg:golang/%s@%s", m.path, m.version)
		c := component{Type: "library", Ref: url, Name: m.path, Version: m.version, URL: url}
		c.Licenses = []map[string]string{{"expression": licenses[m.path]}}
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && len(sum) == 32 {
			c.Hashes = []map[string]string{{"alg": "SHA-256", "content": hex.EncodeToString(sum)}}
		}
		parts = append(parts, c)
		refs = append(refs, url)
	}
	uses["dependsOn"] = refs
	text, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata": map[string]any{
			"timestamp":  r.time.Format(time.RFC3339),
			"component":  self,
			"tools":      map[string]any{"components": []map[string]any{{"type": "application", "name": "gnatsd/util/release", "version": r.version}}},
			"properties": []map[string]string{{"name": "git:commit", "value": r.commit}},
		},
		"components":   parts,
		"dependencies": dependencies,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, fmt.Sprintf("gnatsd-%s.cdx.json", r.version)), append(text, '\n'), 0o644)
}
