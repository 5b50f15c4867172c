package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// writeSchemas writes the schemas of the kinds that Kubernetes has, as kubeconform wants them: a
// file for each, with all definitions in one more. They are made of the OpenAPI document that one
// of the modules of Kubernetes has, which helm needs as well.
func writeSchemas(dir string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/cli-runtime").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "artifacts", "openapi", "swagger.json"))
	if err != nil {
		return err
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, definition := range document.Definitions {
		if definition["properties"] != nil {
			definition["additionalProperties"] = false // a field that is not there is a mistake
		}
		for _, file := range schemaFiles(definition) {
			schema := fmt.Sprintf(`{"$ref":"file://%s/definitions.json#/definitions/%s"}`, dir, name)
			if err := os.WriteFile(filepath.Join(dir, file), []byte(schema), 0o644); err != nil {
				return err
			}
		}
	}
	for _, name := range textsOrNumbers {
		document.Definitions[name]["type"] = []string{"string", "number"}
	}
	text, err = json.Marshal(document)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "definitions.json"), text, 0o644)
}

// textsOrNumbers may be numbers, too, which the document does not say.
var textsOrNumbers = []string{"io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"}

// schemaFiles are the names of the files for the kinds that a definition is of.
func schemaFiles(definition map[string]any) (files []string) {
	kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
	for _, k := range kinds {
		kind, ok := k.(map[string]any)
		if !ok {
			continue
		}
		parts := []string{fmt.Sprint(kind["kind"])}
		if group, _, _ := strings.Cut(fmt.Sprint(kind["group"]), "."); group != "" {
			parts = append(parts, group)
		}
		files = append(files, strings.ToLower(strings.Join(append(parts, fmt.Sprint(kind["version"])), "-"))+".json")
	}
	return files
}
