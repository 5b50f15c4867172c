package monitor

import (
	_ "embed" // for the document
	"net/http"
	"strconv"
)

// openAPI describes all pages. A test of package server writes it from the types of the pages, and
// another holds it against answers.
//
//go:embed openapi.json
var openAPI []byte

// serveOpenAPI answers /openapi.json.
func serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Length", strconv.Itoa(len(openAPI)))
	w.Write(openAPI)
}
