package server

import (
	"net/http"
)

// admitted reports whether a request for a monitoring page may be answered: no
// login is set, or the request has it. Passwords are compared in a time that
// tells nothing, and bcrypt checks run one at a time.
func (s *Server) admitted(r *http.Request) bool {
	o := s.options()
	if o.HTTPUsername == "" {
		return true
	}
	user, pass, given := r.BasicAuth()
	if !given {
		return false
	}
	v := s.mon.logins
	known := v.plainEqual(v.digest(o.HTTPUsername), user)
	want := v.secret(o.HTTPPassword)
	if want.hash == "" {
		return v.plainEqual(want.plain, pass) && known
	}
	if want.broken {
		return false
	}
	ok, _, err := v.bcrypt(r.Context(), o.HTTPUsername, want.hash, pass)
	return ok && err == nil && known
}
