package server

import (
	"crypto/tls"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	if (*Options)(nil).Clone() != nil {
		t.Error("a clone of nil is not nil")
	}
	o := mustConfigure(t, `cluster { port: 1, routes: ["nats://u:p@h:1"], permissions { import: a } }
		authorization { permissions { pub: x }, users: [{user: a, password: p}, {user: b, password: p, permissions: {sub: [y, z]}}] }`)
	c := o.Clone()
	if !reflect.DeepEqual(c, o) {
		t.Errorf("got %+v, want %+v", c, o)
	}
	c.Routes[0].Host = "changed"
	c.Users[0].Username = "changed"
	c.Users[0].Permissions.Publish.Allow[0] = "changed"
	c.Users[1].Permissions.Subscribe.Allow[0] = "changed"
	c.Cluster.Permissions.Import.Allow[0] = "changed"
	if o.Routes[0].Host == "changed" || strings.Contains(usersText(o, true)+permissionsText(o.defaultPermissions)+routePermissionsText(o.Cluster.Permissions), "changed") {
		t.Error("a change of the clone changed the original")
	}
	if c.Users[0].Permissions != c.defaultPermissions {
		t.Error("the users of the clone do not share its default permissions")
	}
}

func TestMergeTakesWhatFlagsSet(t *testing.T) {
	t.Parallel()
	file := &Options{Host: "f", Port: 1, Debug: true, Username: "u"}
	flags := &Options{Port: 2, TLS: true, NoLog: true, Routes: []*url.URL{mustURL(t, "nats://h:1")}, Cluster: ClusterOpts{Port: 3}}
	got := MergeOptions(file, flags)
	want := &Options{Host: "f", Port: 2, Debug: true, Username: "u", TLS: true, NoLog: true, Routes: flags.Routes, Cluster: ClusterOpts{Port: 3}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if MergeOptions(nil, flags) != flags || MergeOptions(file, nil) != file {
		t.Error("nil is no options at all")
	}
}

func TestMergeForgetsNoField(t *testing.T) {
	t.Parallel()
	flags := mustConfigure(t, "")
	fillFields(t, reflect.ValueOf(flags).Elem())
	got := MergeOptions(&Options{}, flags)
	walkFields(reflect.ValueOf(got).Elem(), "", func(name string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s was lost", name)
		}
	})
}

// walkFields visits the exported fields of Options.
func walkFields(v reflect.Value, prefix string, visit func(string, reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported():
		case f.Type == reflect.TypeFor[ClusterOpts]():
			walkFields(v.Field(i), f.Name+".", visit)
		default:
			visit(prefix+f.Name, v.Field(i))
		}
	}
}

// fillFields gives every exported field some value.
func fillFields(t *testing.T, v reflect.Value) {
	t.Helper()
	walkFields(v, "", func(name string, f reflect.Value) {
		switch x := f.Addr().Interface().(type) {
		case *string:
			*x = "x"
		case *[]string:
			*x = []string{"x"}
		case *bool:
			*x = true
		case *int:
			*x = 1
		case *int64:
			*x = 1
		case *float64:
			*x = 1
		case *time.Duration:
			*x = 1
		case *[]*User:
			*x = []*User{{}}
		case *[]*NkeyUser:
			*x = []*NkeyUser{{}}
		case *[]*url.URL:
			*x = []*url.URL{{}}
		case **tls.Config:
			*x = &tls.Config{MinVersion: tls.VersionTLS12}
		case **RoutePermissions:
			*x = &RoutePermissions{}
		case *Compression:
			*x = Compression{Mode: "s2_fast"}
		case *Authentication:
			*x = admitAll{}
		default:
			t.Fatalf("no value for %s of type %T", name, x)
		}
	})
}

// admitAll admits every client.
type admitAll struct{}

func (admitAll) Check(ClientAuthentication) bool { return true }
