package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"gnatsd/conf"
)

// monitorRows are the settings of the monitoring port that gnatsd 1.x does not have.
func monitorRows() []row {
	return []row{
		{Key: "http_socket", Type: conf.Text(func(o *Options) *string { return &o.HTTPSocket }), Field: "HTTPSocket", Reload: conf.Fixed,
			Doc: "Path of a Unix socket that also serves the monitoring pages."},
		{Key: "http_user", Restricts: true, Type: conf.Text(func(o *Options) *string { return &o.HTTPUsername }, checkMonitoringUser), Field: "HTTPUsername", Reload: onSnapshot,
			Doc: "User name that the monitoring pages, except `/healthz`, require; empty is none."},
		{Key: "http_password", Restricts: true, Secret: true, Type: conf.Text(func(o *Options) *string { return &o.HTTPPassword }), Field: "HTTPPassword", Reload: onSnapshot,
			Doc: "Password of `http_user`, plain or as a bcrypt hash."},
		{Key: "http_verify", Restricts: true, Type: conf.Bool(func(o *Options) *bool { return &o.HTTPVerify }), Field: "HTTPVerify", Reload: conf.Fixed,
			Doc: "Whether clients of `https` must have a certificate signed by an authority in `ca_file` of `tls`."},
		{Key: "http_same_origin", Restricts: true, Type: conf.Bool(func(o *Options) *bool { return &o.HTTPSameOrigin }), Field: "HTTPSameOrigin", Reload: onSnapshot,
			Doc: "Whether to keep web pages of other origins from reading the monitoring pages: no JSONP, no CORS header, no answer to the host name of another site."},
		{Key: "http_hosts", Type: conf.List("list of names", func(o *Options) *[]string { return &o.HTTPHosts }, parseHostName, quoteHostName), Field: "HTTPHosts", Reload: onSnapshot,
			Doc: "Host names, beside that of the machine, by which the monitoring pages may be asked for with `http_same_origin`."},
		{Key: "metrics_prefix", Default: `"gnatsd"`, Type: conf.Text(func(o *Options) *string { return &o.MetricsPrefix }, checkPrefix), Field: "MetricsPrefix", Reload: onSnapshot,
			Doc: "Prefix of the metric names on `/metrics`."},
	}
}

// checkMonitoringUser returns an error for a user name that no client can send: it ends at a colon.
func checkMonitoringUser(s string) error {
	if strings.Contains(s, ":") {
		return errors.New("a user name of HTTP basic authentication has no colon in it: no login would fit")
	}
	return nil
}

// metricName reports whether s is a valid name of a metric.
func metricName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// checkPrefix returns an error if s cannot begin the name of a metric.
func checkPrefix(s string) error {
	if s != "" && !metricName(s) {
		return fmt.Errorf("a prefix may contain letters, digits and _, and must not begin with a digit")
	}
	return nil
}

// parseHostName checks a host name, which is not looked up.
func parseHostName(s string) (string, error) {
	if s == "" || strings.ContainsAny(s, " \t\r\n/@") {
		return "", fmt.Errorf("invalid host name %q", s)
	}
	return s, nil
}

func quoteHostName(s string, _ bool) string { return conf.Quote(s) }

// hostNames are the names of this server, which may be followed by a port.
func (o *Options) hostNames() []string {
	names := slices.DeleteFunc([]string{o.HTTPHost, o.ClientAdvertise, o.Cluster.Advertise}, func(s string) bool { return s == "" })
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	return append(names, o.HTTPHosts...)
}

// checkMonitoring returns an error if the monitoring port cannot be opened with these settings.
func (o *Options) checkMonitoring() error {
	switch {
	case o.HTTPPort != 0 && o.HTTPSPort != 0:
		return fmt.Errorf("can't specify both HTTP (%d) and HTTPs (%d) ports", o.HTTPPort, o.HTTPSPort)
	case o.HTTPSPort != 0 && o.TLSConfig == nil:
		return errors.New("TLS cert and key required for HTTPS")
	case o.HTTPSPort != 0 && o.HTTPVerify && o.TLSConfig.ClientCAs == nil:
		return errors.New("http_verify needs ca_file in the tls section")
	case o.HTTPVerify && o.HTTPPort != 0:
		return errors.New("http_verify needs https: on the http port clients show no certificate")
	}
	return nil
}

// monitoringKey returns the key of the setting that an error of checkMonitoring is about.
func (o *Options) monitoringKey() string {
	if o.HTTPVerify && (o.HTTPSPort == 0 || o.HTTPPort == 0 && o.TLSConfig != nil) {
		return "http_verify"
	}
	return "https_port"
}

// monitoringError returns err as the log reports it.
func monitoringError(err error) error {
	return fmt.Errorf("Can't start monitoring: %w", err) //lint:ignore ST1005 a text of gnatsd 1.x
}
