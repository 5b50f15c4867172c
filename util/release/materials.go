package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// materials writes the bill of materials in the format of CycloneDX: the modules that a binary says
// it is made of.
func (r *release) materials(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	type component struct {
		Type    string              `json:"type"`
		Ref     string              `json:"bom-ref"`
		Name    string              `json:"name"`
		Version string              `json:"version"`
		URL     string              `json:"purl"`
		Hashes  []map[string]string `json:"hashes,omitempty"`
	}
	self := component{Type: "application", Name: "gnatsd", Version: r.version, URL: "pkg:generic/gnatsd@" + r.version}
	self.Ref = self.URL
	parts := []component{{Type: "library", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"), URL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		c := component{Type: "library", Name: m.Path, Version: m.Version, URL: fmt.Sprintf("pkg:golang/%s@%s", m.Path, m.Version)}
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == 32 {
			c.Hashes = []map[string]string{{"alg": "SHA-256", "content": hex.EncodeToString(sum)}}
		}
		parts = append(parts, c)
	}
	var refs []string
	for i := range parts {
		parts[i].Ref = parts[i].URL
		refs = append(refs, parts[i].Ref)
	}
	text, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata":     map[string]any{"timestamp": r.time.Format(time.RFC3339), "component": self},
		"components":   parts,
		"dependencies": []map[string]any{{"ref": self.Ref, "dependsOn": refs}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, fmt.Sprintf("gnatsd-%s.cdx.json", r.version)), append(text, '\n'), 0o644)
}
