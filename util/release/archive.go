package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// compressed returns data in gzip, without a name and a time.
func compressed(data []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	w.Write(data) // to memory
	w.Close()
	return b.Bytes()
}

// member is a file of an archive, or a directory if its name ends in a slash.
type member struct {
	name string
	mode int64
	text []byte
}

// tarOf returns members as a tar file, all with the time of the commit and owned by root.
func (r *release) tarOf(members []member) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		kind := byte(tar.TypeReg)
		if strings.HasSuffix(m.name, "/") {
			kind = tar.TypeDir
		}
		h := &tar.Header{Typeflag: kind, Name: m.name, Mode: m.mode, Size: int64(len(m.text)), ModTime: r.time, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(m.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// archive puts the binary of a system into an archive: zip for Windows, else tar. work has the
// documents.
func (r *release) archive(target, binary, work string) error {
	system, processor, _ := strings.Cut(target, "/")
	if processor == "arm" {
		processor = "armv7"
	}
	name := fmt.Sprintf("gnatsd-%s-%s-%s", r.version, system, processor)
	windows := system == "windows"
	var members []member
	for _, f := range []struct {
		file string
		mode int64
	}{
		{binary, 0o755}, {"LICENSE", 0o644}, {filepath.Join(work, thirdParty), 0o644},
		{"util/CHANGELOG.md", 0o644}, {"util/docker/gnatsd.conf", 0o644},
	} {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return err
		}
		members = append(members, member{name + "/" + filepath.Base(f.file), f.mode, text})
	}
	if windows {
		text, err := r.zipOf(members)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(r.out, name+".zip"), text, 0o644)
	}
	text, err := r.tarOf(members)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, name+".tar.gz"), compressed(text), 0o644)
}

// zipOf returns members as a zip file.
func (r *release) zipOf(members []member) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: r.time}
		h.SetMode(fs.FileMode(m.mode))
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(m.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// checksums writes SHA256SUMS, for sha256sum -c.
func (r *release) checksums() error {
	var b strings.Builder
	err := filepath.WalkDir(r.out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(r.out, path)
		sum := sha256.Sum256(text)
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sum[:]), filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}
