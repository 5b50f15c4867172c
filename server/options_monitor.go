package server

import (
	"errors"
	"fmt"
	"regexp"

	"gnatsd/conf"
)

// monitorRows are the settings of the monitoring port that the classic broker
// does not have.
func monitorRows() []row {
	return []row{
		{Key: "http_socket", Type: conf.Text(func(o *Options) *string { return &o.HTTPSocket }), Field: "HTTPSocket", Reload: conf.Fixed,
			Doc: "Path of a Unix socket that serves the monitoring pages too."},
		{Key: "http_user", Type: conf.Text(func(o *Options) *string { return &o.HTTPUsername }), Field: "HTTPUsername", Reload: onSnapshot,
			Doc: "User that the monitoring pages, except `/healthz`, demand; none if not given."},
		{Key: "http_password", Secret: true, Type: conf.Text(func(o *Options) *string { return &o.HTTPPassword }), Field: "HTTPPassword", Reload: onSnapshot,
			Doc: "Password of `http_user`, plain or as a bcrypt hash."},
		{Key: "http_verify", Type: conf.Bool(func(o *Options) *bool { return &o.HTTPVerify }), Field: "HTTPVerify", Reload: conf.Fixed,
			Doc: "Whether `https` demands certificates that the authorities of `tls` have signed."},
		{Key: "http_same_origin", Type: conf.Bool(func(o *Options) *bool { return &o.HTTPSameOrigin }), Field: "HTTPSameOrigin", Reload: onSnapshot,
			Doc: "Whether web pages of other origins are kept from reading the monitoring pages: no JSONP, no CORS header."},
		{Key: "metrics_prefix", Default: `"gnatsd"`, Type: conf.Text(func(o *Options) *string { return &o.MetricsPrefix }, checkPrefix), Field: "MetricsPrefix", Reload: onSnapshot,
			Doc: "What the names on `/metrics` begin with."},
	}
}

// metricName is what a name of a metric may be.
var metricName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// checkPrefix refuses what cannot begin the name of a metric.
func checkPrefix(s string) error {
	if s != "" && !metricName.MatchString(s) {
		return fmt.Errorf("a prefix has letters, digits and _ and does not start with a digit")
	}
	return nil
}

// checkMonitoring refuses settings with which there cannot be a monitoring port.
func (o *Options) checkMonitoring() error {
	switch {
	case o.HTTPPort != 0 && o.HTTPSPort != 0:
		return fmt.Errorf("can't specify both HTTP (%d) and HTTPs (%d) ports", o.HTTPPort, o.HTTPSPort)
	case o.HTTPSPort != 0 && o.TLSConfig == nil:
		return errors.New("TLS cert and key required for HTTPS")
	case o.HTTPSPort != 0 && o.HTTPVerify && o.TLSConfig.ClientCAs == nil:
		return errors.New("verifying clients of the monitoring port needs ca_file in the tls section")
	}
	return nil
}

// noMonitoring says that the monitoring port cannot be opened.
func noMonitoring(err error) error {
	return fmt.Errorf("Can't start monitoring: %w", err) //lint:ignore ST1005 a text of the classic broker
}
