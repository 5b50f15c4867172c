package monitor

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// This file decides which requests are answered: by their method, the host that they name, and the
// login.

// serveAllowed refuses requests that are not to be answered, and serves p to the others.
func (m *Monitor) serveAllowed(w http.ResponseWriter, r *http.Request, p page) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	ignoreBody(w, r)
	s := m.config.Settings()
	switch {
	case !allowed(r.Method):
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case p.open:
		p.serve(w, r)
	case s.Login && !m.admits(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="gnatsd monitoring", charset="UTF-8"`)
		http.Error(w, "login required", http.StatusUnauthorized)
	case s.SameOrigin && !s.Login && !namedRight(r, s.Hosts):
		http.Error(w, misnamed, http.StatusMisdirectedRequest)
	default:
		p.serve(w, r)
	}
}

// misnamed is what a request with a foreign host name is answered.
const misnamed = "not a name of this server: use its address, or list the name in http_hosts (http_same_origin is on)"

// allowed reports whether a request with a method may be answered: all pages are only read.
func allowed(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// ignoreBody keeps net/http from waiting for the body of a request, which no page reads. The
// connection ends with the answer.
func ignoreBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	// An error means that another program serves the pages, and limits its reads itself.
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
}

// admits reports whether the request has the login.
func (m *Monitor) admits(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	return given && m.config.Login(r.Context(), sourceOf(r), user, password)
}

// privateDomains are those below which no one can register a name in the public DNS: they are
// reserved, or in wide use for private networks (RFC 6761, RFC 6762 appendix G), or of Kubernetes.
var privateDomains = []string{".localhost", ".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".private", ".home.arpa", ".svc"}

// namedRight reports whether the request was meant for this server. A web page can have its own
// host name point to the address of this server (DNS rebinding), and a browser then takes the pages
// here for its own. So a name that others can register must be one of hosts. Addresses, names
// without a dot and those in private domains cannot be registered, browsers check the certificate
// of TLS, and they do not open Unix sockets. A browser does not send a login to a foreign name.
func namedRight(r *http.Request, hosts []string) bool {
	if r.Host == "" || r.TLS != nil {
		return true
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	host := hostName(r.Host)
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	if slices.ContainsFunc(privateDomains, func(d string) bool { return strings.HasSuffix(host, d) }) {
		return true
	}
	return slices.ContainsFunc(hosts, func(h string) bool { return hostName(h) == host })
}

// hostName returns the name or the address in text, which may be followed by a port.
func hostName(text string) string {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	return strings.ToLower(strings.TrimSuffix(text, "."))
}
