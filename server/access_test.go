package server

import (
	"testing"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
)

func TestRouteLoginIgnoresWhatClientsMay(t *testing.T) {
	t.Parallel()
	o := &Options{Users: []*User{{Username: "guest"}}, NoAuthUser: "guest", TLSMap: true, Authorization: "t"}
	o.Cluster.Username, o.Cluster.Password = "r", "rp"
	p, _, err := access.NewPolicy(routeLogin(o), access.NewVerifier(admission.NewLimiter(1)))
	okay(t, err)
	for _, tt := range []struct {
		name string
		c    access.Credentials
		want bool
	}{
		{"no credentials", access.Credentials{}, false},
		{"those of clients", access.Credentials{Token: "t"}, false},
		{"those of routes", access.Credentials{User: "r", Password: "rp"}, true},
	} {
		if id, err := p.Check(t.Context(), &tt.c); err != nil || (id != nil) != tt.want {
			t.Errorf("%s: admitted %v (%v), want %v", tt.name, id != nil, err, tt.want)
		}
	}
}
