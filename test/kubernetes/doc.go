// Package kubernetes tests the Helm chart in util/helm: with helm itself, with the schemas of
// Kubernetes, and with servers that run with what it renders. It is a module of its own, so that
// the broker has none of what these need.
package kubernetes
