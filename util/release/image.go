package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// descriptor refers to a blob of the image.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// Media types of the image specification of the Open Container Initiative.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// imageUser runs the broker in the image: any number but 0.
const imageUser = "10001:10001"

// layout is an OCI layout on disk.
type layout struct{ dir string }

// blob writes a blob and returns its descriptor.
func (l layout) blob(kind string, text []byte) (descriptor, error) {
	sum := sha256.Sum256(text)
	name := hex.EncodeToString(sum[:])
	err := os.WriteFile(filepath.Join(l.dir, "blobs", "sha256", name), text, 0o644)
	return descriptor{MediaType: kind, Digest: "sha256:" + name, Size: len(text)}, err
}

// object writes a blob of JSON.
func (l layout) object(kind string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(kind, text)
}

// image makes the image of all processors as an OCI layout, which skopeo and crane push.
func (r *release) image(work string) error {
	if len(r.processors()) == 0 {
		return nil
	}
	l := layout{filepath.Join(r.out, fmt.Sprintf("gnatsd-%s-image", r.version))}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	var manifests []descriptor
	for _, arch := range r.processors() {
		m, err := r.imageOf(l, work, arch)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	index, err := l.object(typeIndex, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests})
	if err != nil {
		return err
	}
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": r.version}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{index}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, "index.json"), top, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// imageOf adds the image of one processor to a layout.
func (r *release) imageOf(l layout, work, arch string) (descriptor, error) {
	files := []member{{name: "gnatsd", mode: 0o755}, {name: "gnatsd.conf", mode: 0o644}, {name: "licenses/", mode: 0o755}, {name: "licenses/LICENSE", mode: 0o644}, {name: "licenses/" + thirdParty, mode: 0o644}}
	for i, from := range []string{filepath.Join(work, "linux-"+arch, "gnatsd"), "util/docker/gnatsd.conf", "", "LICENSE", filepath.Join(work, thirdParty)} {
		if from == "" {
			continue
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return descriptor{}, err
		}
		files[i].text = text
	}
	text, err := r.tarOf(files)
	if err != nil {
		return descriptor{}, err
	}
	layer, err := l.blob(typeLayer, compressed(text))
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(text)
	p := &platform{Architecture: arch, OS: "linux"}
	if arch == "arm" {
		p.Variant = "v7"
	}
	at := r.time.Format(time.RFC3339)
	settings := map[string]any{
		"created": at, "architecture": p.Architecture, "os": p.OS,
		"config": map[string]any{
			"User": imageUser, "WorkingDir": "/",
			"Entrypoint": []string{"/gnatsd"}, "Cmd": []string{"-c", "gnatsd.conf"},
			"ExposedPorts": map[string]any{"4222/tcp": struct{}{}, "8222/tcp": struct{}{}, "6222/tcp": struct{}{}},
			"Healthcheck":  map[string]any{"Test": []string{"CMD", "/gnatsd", "--health"}, "Interval": 30 * time.Second, "Timeout": 5 * time.Second},
			"Labels":       map[string]string{"org.opencontainers.image.title": "gnatsd", "org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.commit, "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.description": "message broker for NATS clients"},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		"history": []map[string]any{{"created": at, "created_by": strings.Join([]string{"gnatsd", r.version}, " ")}},
	}
	if p.Variant != "" {
		settings["variant"] = p.Variant
	}
	c, err := l.object(typeConfig, settings)
	if err != nil {
		return descriptor{}, err
	}
	m, err := l.object(typeManifest, map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": c, "layers": []descriptor{layer}})
	m.Platform = p
	return m, err
}
