package monitor

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// This file serves the dashboard: what a browser shows of the monitoring port. It is a set of files
// as they are in ui/: nothing is filled into them, they find the server's pages relative to where
// they came from, and all they show is what /varz, /connz, /routez and /subsz say.

//go:embed ui
var uiFiles embed.FS

// uiPolicy lets the dashboard load what this server serves, and nothing else: no inline script or
// style, no other host, no frame around it, and no way to make HTML of a text.
const uiPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// uiTypes are the kinds of files the dashboard is made of.
var uiTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// uiFile is one file of the dashboard, ready to be served.
type uiFile struct {
	path string // ui/main.js
	kind string
	etag string
	text []byte
}

// uiPage is the file that / answers with; the others have their own paths.
const uiPage = "ui/index.html"

// dashboardFiles returns the files of the dashboard but for its page, by the paths of requests for
// them. They are read when the first one is asked for: no start waits for it.
func dashboardFiles(basePath string) func() map[string]*uiFile {
	return sync.OnceValue(func() map[string]*uiFile {
		files := map[string]*uiFile{}
		for _, f := range readDashboardFiles() {
			files[basePath+"/"+f.path] = f
		}
		return files
	})
}

// readDashboardFiles returns these files.
func readDashboardFiles() []*uiFile {
	var files []*uiFile
	err := fs.WalkDir(uiFiles, "ui", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == uiPage {
			return err
		}
		text, err := uiFiles.ReadFile(name)
		sum := sha256.Sum256(text)
		files = append(files, &uiFile{path: name, kind: uiTypes[path.Ext(name)], etag: fmt.Sprintf(`"%x"`, sum[:12]), text: text})
		return err
	})
	if err != nil {
		panic("files of the dashboard: " + err.Error()) // they are in the binary
	}
	return files
}

// serve answers with the file. Browsers keep it and ask whether it changed.
func (f *uiFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	protectUI(h)
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
}

// protectUI keeps others from framing, guessing at or embedding the dashboard.
func protectUI(h http.Header) {
	h.Set("Content-Security-Policy", uiPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// serveDashboard answers / for a browser. The page's links are relative to a path with a slash at
// the end.
func serveDashboard(w http.ResponseWriter, r *http.Request) {
	protectUI(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	if !strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("Location", path.Base(r.URL.Path)+"/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	text, err := uiFiles.ReadFile(uiPage)
	if err != nil {
		panic("page of the dashboard: " + err.Error()) // it is in the binary
	}
	w.Header().Set("Content-Type", uiTypes[".html"])
	w.Write(text)
}

// wantsDashboard reports whether a person's browser asks for a page to look at. All browsers name
// text/html and application/xhtml+xml then; curl, probes and collectors name */* or nothing, and
// Java programs text/html alone. Where browsers send what they want a page for, it must be a page
// of its own: what a script or a frame asks for is the classic one.
func wantsDashboard(h http.Header) bool {
	if dest := h.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return false
	}
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	return accepts(h, "Accept", "text/html") && accepts(h, "Accept", "application/xhtml+xml")
}
