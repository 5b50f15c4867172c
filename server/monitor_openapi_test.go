package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var updateOpenAPI = flag.Bool("update-openapi", false, "write server/internal/monitor/openapi.json")

// openAPIPages describes the pages: what one answers with, and its parameters, by their names.
var openAPIPages = []struct {
	path, about string
	answer      any
	options     string // the function that reads the parameters
	parameters  map[string]string
}{
	{"/varz", "Identity, settings and counters of the server.", Varz{}, "varzOptions", nil},
	{"/connz", "The connected clients, or those that have left.", Connz{}, "connzOptions", map[string]string{
		"sort":   "What the clients are sorted by.",
		"auth":   "Whether the user names are shown.",
		"subs":   "Whether the subscriptions are listed: 1, or `detail`.",
		"offset": "How many clients are left out at the beginning.",
		"limit":  "How many clients are on the page; 1024 if not given.",
		"cid":    "The client with this id, and no other.",
		"state":  "Which clients: `open`, `closed`, or `all`.",
		"search": "Those that have this text in their name, address or user.",
		"rates":  "Whether the rates of the clients are shown.",
		"reason": "Those that were closed for this reason.",
	}},
	{"/subjectz", "The subjects with most messages.", Subjectz{}, "subjectzOptions", map[string]string{
		"sort":   "What the subjects are sorted by.",
		"offset": "How many subjects are left out at the beginning.",
		"limit":  "How many subjects are on the page.",
	}},
	{"/statusz", "What an operator should look at.", Statusz{}, "statuszOptions", nil},
	{"/clusterz", "What the servers of the cluster say of themselves.", Clusterz{}, "clusterzOptions", nil},
	{"/historyz", "Rates and sizes of the last hour.", Historyz{}, "historyzOptions", map[string]string{
		"minutes": "How far back, in minutes; 60 if not given.",
	}},
	{"/routez", "The routes to other servers.", Routez{}, "routezOptions", map[string]string{
		"subs": "Whether the subscriptions are listed: 1, or `detail`.",
	}},
	{"/subsz", "The routing table.", Subsz{}, "subszOptions", map[string]string{
		"subs":   "Whether the subscriptions are listed.",
		"offset": "How many subscriptions are left out at the beginning.",
		"limit":  "How many subscriptions are on the page; 1024 if not given.",
		"test":   "Those that match this subject.",
		"sort":   "What the subscriptions are sorted by: `delivered`, or their clients if not given.",
		"fold":   "Whether the inboxes of a client are one entry.",
	}},
}

// object is a JSON object.
type object map[string]any

// openAPIDocument returns the description of the monitoring port.
func openAPIDocument(t *testing.T) []byte {
	t.Helper()
	schemas := object{}
	comments := fieldComments(t)
	paths := object{}
	for _, p := range openAPIPages {
		var parameters []object
		for _, name := range slices.Sorted(maps.Keys(p.parameters)) {
			parameters = append(parameters, object{"name": name, "in": "query", "description": p.parameters[name], "schema": object{"type": "string"}})
		}
		parameters = append(parameters, object{"name": "callback", "in": "query", "schema": object{"type": "string"},
			"description": "A function that the answer calls (JSONP), unless http_same_origin is set."})
		responses := object{
			"200": answer("The page.", "application/json", typeSchema(t, reflect.TypeOf(p.answer), schemas, comments)),
			"400": answer("A parameter cannot be read.", "text/plain", object{"type": "string"}),
		}
		if p.parameters["subs"] != "" {
			responses["503"] = answer("The page is too large: ask for less.", "text/plain", object{"type": "string"})
		}
		get := object{"summary": p.about, "parameters": parameters, "responses": responses}
		paths[p.path] = object{"get": get}
	}
	paths["/subscriptionsz"] = paths["/subsz"]
	health := object{"type": "object", "additionalProperties": false, "required": []string{"status"}, "properties": object{
		"status": object{"enum": []string{"ok", "unavailable"}},
		"error":  object{"type": "string", "description": "Why clients should not be sent here."},
		"note":   object{"type": "string", "description": "What does not make the server unhealthy."},
	}}
	paths["/healthz"] = object{"get": object{"summary": "Whether clients may be sent here.",
		"parameters": []object{{"name": "routes", "in": "query", "description": "At least that many routes must be up.", "schema": object{"type": "integer", "minimum": 0}}},
		"security":   []object{{}}, // it needs no login
		"responses":  object{"200": answer("They may.", "application/json", health), "503": answer("They may not.", "application/json", health)}}}
	text := func(about, kind string) object {
		return object{"get": object{"summary": about, "responses": object{"200": answer("The page.", kind, object{"type": "string"})}}}
	}
	paths["/"] = text("For browsers the dashboard, for others a page of links.", "text/html")
	paths["/metrics"] = text("Figures for Prometheus, in its text format or that of OpenMetrics.", "text/plain")
	paths["/stacksz"] = text("The stacks of all goroutines, as text in spite of the type, which is that of gnatsd 1.x.", "application/json")
	paths["/openapi.json"] = object{"get": object{"summary": "This document.", "responses": object{"200": answer("The document.", "application/json", object{"type": "object"})}}}

	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(object{
		"openapi":    "3.1.0",
		"info":       object{"title": "Monitoring port of gnatsd", "version": Version},
		"servers":    []object{{"url": "."}},
		"security":   []object{{}, {"login": []string{}}},
		"paths":      paths,
		"components": object{"schemas": schemas, "securitySchemes": object{"login": object{"type": "http", "scheme": "basic"}}},
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func answer(about, kind string, schema object) object {
	return object{"description": about, "content": object{kind: object{"schema": schema}}}
}

// typeSchema returns the schema of what encoding/json makes of a type. Structs are added to all.
func typeSchema(t *testing.T, of reflect.Type, all object, comments map[string]string) object {
	t.Helper()
	switch of {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "Nanoseconds."}
	}
	switch of.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": typeSchema(t, of.Elem(), all, comments)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": typeSchema(t, of.Elem(), all, comments)}
	case reflect.Pointer:
		return typeSchema(t, of.Elem(), all, comments) // all of them are left out if they are nil
	case reflect.Struct:
		if all[of.Name()] == nil {
			s := object{"type": "object", "additionalProperties": false}
			all[of.Name()] = s
			properties, required := object{}, []string{}
			structFields(t, of, properties, &required, all, comments)
			s["properties"], s["required"] = properties, required
		}
		return object{"$ref": "#/components/schemas/" + of.Name()}
	}
	t.Fatalf("no schema for %v", of)
	return nil
}

// sometimesLeftOut are fields that a page leaves out itself.
var sometimesLeftOut = map[string]bool{"subscriptions_list": true}

// structFields adds the fields of a struct to properties.
func structFields(t *testing.T, of reflect.Type, properties object, required *[]string, all object, comments map[string]string) {
	t.Helper()
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
			continue
		case f.Anonymous && name == "":
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			structFields(t, inner, properties, required, all, comments)
			continue
		case name == "":
			name = f.Name
		}
		s := typeSchema(t, f.Type, all, comments)
		if about := comments[of.Name()+"."+f.Name]; about != "" {
			s["description"] = strings.TrimSpace(about)
		}
		properties[name] = s
		if !strings.Contains(options, "omit") && !sometimesLeftOut[name] {
			*required = append(*required, name)
		}
	}
}

// fieldComments returns the comments of the fields of structs, by TYPE.FIELD.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	files, err := filepath.Glob("monitor_*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = strings.TrimSpace(f.Doc.Text() + f.Comment.Text())
					}
				}
			}
			return true
		})
	}
	return comments
}

func TestOpenAPIDescribesThePages(t *testing.T) {
	t.Parallel()
	const file = "internal/monitor/openapi.json"
	want := openAPIDocument(t)
	if *updateOpenAPI {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the document is out of date: run go test ./server -run OpenAPI -update-openapi")
	}
}

// TestOpenAPIIsComplete compares the description with the table of pages, and its parameters with
// those that the code reads.
func TestOpenAPIIsComplete(t *testing.T) {
	t.Parallel()
	described := map[string]bool{"/subscriptionsz": true}
	source := serverSource(t)
	read := regexp.MustCompile(`\bp\.[A-Z]\w*\("(\w+)"\)`)
	for _, p := range openAPIPages {
		described[p.path] = true
		_, body, found := strings.Cut(source, "\nfunc "+p.options+"(")
		if !found {
			t.Fatalf("no function %s", p.options)
		}
		body, _, _ = strings.Cut(body, "\n}\n")
		names := map[string]bool{}
		for _, m := range read.FindAllStringSubmatch(body, -1) {
			names[m[1]] = true
		}
		if got, want := slices.Sorted(maps.Keys(p.parameters)), slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
			t.Errorf("%s: parameters %v are described, %v are read", p.path, got, want)
		}
	}
	for _, p := range (&Server{}).monitorPages() {
		for _, path := range append(p.Aliases, p.Path) {
			if !described[path] {
				t.Errorf("%s is not described: add it to openAPIPages", path)
			}
		}
	}
}

// serverSource returns the files of the monitoring pages.
func serverSource(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("monitor_*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
