package conf

// This file writes a table as a JSON Schema, with which editors check and complete a configuration.

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"strings"
)

// schema is a part of a JSON Schema.
type schema map[string]any

// Schema returns a JSON Schema of the file as JSON or YAML would have it: the format of the file is
// not that of JSON, but every JSON document is a file. Beside the keys of the table it has those of
// related programs that have no effect here, as deprecated. Other keys of the top level may be
// variables.
func (tb *Table[T]) Schema(id, title string) []byte {
	root := tb.sectionSchema("")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = id
	root["title"] = title
	root["additionalProperties"] = true
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic("a schema cannot be encoded: " + err.Error()) // it is made of strings and numbers
	}
	return b.Bytes()
}

// sectionSchema returns the schema of a map of rows.
func (tb *Table[T]) sectionSchema(section string) schema {
	properties := schema{}
	for path, f := range tb.foreign {
		at := strings.LastIndexByte(path, '.')
		if path[:max(at, 0)] == section {
			properties[path[at+1:]] = schema{"deprecated": true, "description": f.Hint}
		}
	}
	for _, r := range tb.rows {
		if r.Key == "" || r.section() != section {
			continue
		}
		s := tb.rowSchema(r)
		properties[r.name()] = s
		for _, a := range r.Aliases {
			alias := maps.Clone(s)
			alias["description"] = "Another name of " + r.name() + ". " + r.Doc
			properties[a] = alias
		}
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// rowSchema returns the schema of a row.
func (tb *Table[T]) rowSchema(r *Row[T]) schema {
	s := r.Type.schema()
	if r.Type.isSection() {
		s = tb.sectionSchema(r.Key)
	}
	s["description"] = r.Doc
	if n, err := literal(r.Default); r.Default != "" && err == nil {
		switch n.Kind {
		case String:
			s["default"] = n.Str
		case Integer:
			s["default"] = n.Int
		case Float:
			s["default"] = n.Float
		case Boolean:
			s["default"] = n.Bool
		}
	}
	return s
}

// schema returns the schema of a type.
func (ty Type[T]) schema() schema {
	text := schema{"type": "string"}
	switch {
	case ty.words != nil:
		return schema{"enum": ty.words}
	case strings.HasPrefix(ty.name, "list of ") && ty.name != "list of maps":
		return schema{"anyOf": []schema{text, {"type": "array", "items": text}}}
	}
	switch ty.name {
	case "integer", "size", "port":
		s := schema{"type": "integer"}
		if ty.bounds.Min > math.MinInt32 {
			s["minimum"] = ty.bounds.Min
		}
		if ty.bounds.Max < math.MaxInt64 && !ty.clamped {
			s["maximum"] = ty.bounds.Max
		}
		return s
	case "boolean":
		return schema{"type": "boolean"}
	case "string":
		return text
	case "duration", "seconds":
		return schema{"type": []string{"string", "number"}}
	case "port or host:port":
		return schema{"type": []string{"integer", "string"}}
	case "map":
		return schema{"type": "object"}
	case "list of maps":
		return schema{"type": "array", "items": schema{"type": "object"}}
	case "none":
		return schema{"not": schema{}}
	}
	return schema{} // of several types
}
