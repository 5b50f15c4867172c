package test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// openAPISchema is a JSON Schema, as far as /openapi.json uses it.
type openAPISchema struct {
	Ref                  string `json:"$ref"`
	Type                 any    // a name or a list of names
	Format               string
	Enum                 []string
	Minimum              *float64
	Properties           map[string]*openAPISchema
	Required             []string
	AdditionalProperties any // false or a schema
	Items                *openAPISchema
}

// openAPI is the part of /openapi.json that the test reads.
type openAPI struct {
	Paths map[string]struct {
		Get struct {
			Parameters []struct{ Name string }
			Responses  map[string]struct {
				Content map[string]struct{ Schema *openAPISchema }
			}
		}
	}
	Components struct{ Schemas map[string]*openAPISchema }
}

// fault returns where a value is not as a schema says, "" if it is.
func (o *openAPI) fault(at string, s *openAPISchema, v any) string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		if s = o.Components.Schemas[name]; s == nil {
			return at + ": no schema " + name
		}
	}
	kinds := []string{}
	switch names := s.Type.(type) {
	case string:
		kinds = append(kinds, names)
	case []any:
		for _, n := range names {
			kinds = append(kinds, n.(string))
		}
	}
	wrong := fmt.Sprintf("%s: %v is not %v", at, v, kinds)
	is := func(kind string) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }
	switch v := v.(type) {
	case nil:
		if !is("null") {
			return wrong
		}
	case bool:
		if !is("boolean") {
			return wrong
		}
	case string:
		if !is("string") || s.Enum != nil && !slices.Contains(s.Enum, v) {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339Nano, v); s.Format == "date-time" && err != nil {
			return wrong
		}
	case float64:
		if !is("number") && (!is("integer") || v != math.Trunc(v)) || s.Minimum != nil && v < *s.Minimum {
			return wrong
		}
	case []any:
		if !is("array") {
			return wrong
		}
		for i, e := range v {
			if f := o.fault(fmt.Sprintf("%s[%d]", at, i), s.Items, e); f != "" {
				return f
			}
		}
	case map[string]any:
		if !is("object") {
			return wrong
		}
		return o.faultInObject(at, s, v)
	}
	return ""
}

func (o *openAPI) faultInObject(at string, s *openAPISchema, v map[string]any) string {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return at + ": no " + name
		}
	}
	for name, e := range v {
		property := s.Properties[name]
		if property == nil {
			switch more := s.AdditionalProperties.(type) {
			case bool:
				return at + "." + name + " is not described"
			case map[string]any:
				text, _ := json.Marshal(more) // it was read from JSON
				property = &openAPISchema{}
				if err := json.Unmarshal(text, property); err != nil {
					return err.Error()
				}
			case nil:
				continue
			}
		}
		if f := o.fault(at+"."+name, property, e); f != "" {
			return f
		}
	}
	return ""
}

// TestAnswersAreAsOpenAPISays compares /openapi.json with answers of all pages of a server with
// clients, closed clients, subscriptions, a route and TLS.
func TestAnswersAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	s, dir := secureAndRouted(t)
	var conns []*nats.Conn
	for range 2 {
		nc, err := nats.Connect("tls://"+s.Addr().String(), nats.Name("a client"), nats.RootCAs(filepath.Join(dir, "ca.pem")), nats.Timeout(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns = append(conns, nc)
		if _, err := nc.QueueSubscribe("a.>", "q", func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish("a.b", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	conns[0].Close()
	eventually(t, "a closed client", func() bool { return strings.Contains(page(t, s, "/connz?state=closed"), "a client") })
	var o openAPI
	if err := json.Unmarshal([]byte(page(t, s, "/openapi.json")), &o); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{
		"/connz":   {"", "?subs=1&auth=1", "?subs=detail&state=all", "?state=closed", "?limit=1&sort=msgs_to", "?sort=nonsense"},
		"/routez":  {"", "?subs=1", "?subs=detail"},
		"/subsz":   {"", "?subs=1", "?test=a.b&subs=1", "?limit=x"},
		"/healthz": {"", "?routes=1", "?routes=5"},
	}
	for path, p := range o.Paths {
		for _, query := range append(queries[path], "") {
			resp, err := http.Get("http://" + s.MonitorAddr().String() + path + query)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
			content, ok := p.Get.Responses[fmt.Sprint(resp.StatusCode)].Content[kind]
			if !ok {
				t.Errorf("%s%s: status %d with %s is not described", path, query, resp.StatusCode, kind)
				continue
			}
			if kind != "application/json" || path == "/stacksz" { // which is text
				continue
			}
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Errorf("%s%s: %v", path, query, err)
			} else if f := o.fault(path+query, content.Schema, v); f != "" {
				t.Error(f)
			}
		}
	}
}
