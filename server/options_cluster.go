package server

// This file holds the rows of the cluster block, and the flags that set them.

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"

	"gnatsd/conf"
)

func clusterRows() []row {
	host := func(o *Options) *string { return &o.Cluster.Host }
	port := func(o *Options) *int { return &o.Cluster.Port }
	return []row{
		{Key: "cluster", Doc: "The listener for other servers, and the connections to them.",
			Type: conf.Section(conf.SectionType[Options]{On: func(o *Options) bool { return o.Cluster.Port != 0 }, Bare: true})},
		{Key: "cluster.listen", Expands: []string{"cluster.host", "cluster.port"}, Type: conf.Address(host, port),
			Doc: "`host` and `port` in one, or the port alone."},
		{Key: "cluster.host", Aliases: []string{"net"}, Default: `"0.0.0.0"`, Type: conf.Text(host), Field: "Cluster.Host", Reload: conf.Fixed,
			Doc: "Address to listen on for other servers."},
		{Key: "cluster.port", Type: conf.Port(port), Field: "Cluster.Port", Reload: conf.Fixed,
			Doc: "Port for other servers; 0 turns clustering off, -1 takes any free one."},
		{Key: "cluster.name", Type: conf.Text(func(o *Options) *string { return &o.Cluster.Name }, checkName), Field: "Cluster.Name", Reload: conf.Fixed,
			Doc:   "Name of the cluster.",
			Flags: []conf.Flag{{Names: []string{"cluster_name"}, Arg: "<name>", Group: clusterGroup, Usage: "Name of the cluster"}}},
		{Key: "cluster.routes", Field: "Routes", Reload: onRoutes,
			Type:  conf.URLs(func(o *Options) *[]*url.URL { return &o.Routes }, "route", checkRoute),
			Doc:   "URLs of servers to connect to: nats-route://user:password@host:port.",
			Flags: []conf.Flag{{Names: []string{"routes"}, Arg: "<rurl-1, rurl-2>", Group: clusterGroup, Usage: "Routes to solicit and connect"}}},
		{Expands: []string{"cluster.host", "cluster.port", "cluster.authorization.user", "cluster.authorization.password"},
			Type: conf.Custom(clusterURLType()), Doc: "Address to listen on for other servers, as a URL.",
			Flags: []conf.Flag{{Names: []string{"cluster"}, Hidden: []string{"cluster_listen"}, Arg: "<cluster-url>", Group: clusterGroup,
				Usage: "Cluster URL for solicited routes"}}},
		{Key: "cluster.no_advertise", Type: conf.Bool(func(o *Options) *bool { return &o.Cluster.NoAdvertise }), Field: "Cluster.NoAdvertise", Reload: onCluster,
			Doc: "Whether to keep the addresses of this server from clients of other servers.",
			Flags: []conf.Flag{{Names: []string{"no_advertise"}, Arg: "<bool>", Group: clusterGroup,
				Usage: "Advertise known cluster IPs to clients"}}},
		{Key: "cluster.cluster_advertise", Aliases: []string{"advertise"}, Type: conf.Text(func(o *Options) *string { return &o.Cluster.Advertise }), Field: "Cluster.Advertise", Reload: onCluster,
			Doc:   "Address of this server as other servers should know it: host or host:port.",
			Flags: []conf.Flag{{Names: []string{"cluster_advertise"}, Arg: "<string>", Group: clusterGroup, Usage: "Cluster URL to advertise to other servers"}}},
		{Key: "cluster.connect_retries", Type: conf.Int(func(o *Options) *int { return &o.Cluster.ConnectRetries }, conf.Unbounded()), Field: "Cluster.ConnectRetries", Reload: onCluster,
			Doc:   "Further attempts to connect to servers that others told of.",
			Flags: []conf.Flag{{Names: []string{"connect_retries"}, Arg: "<number>", Group: clusterGroup, Usage: "For implicit routes, number of connect retries"}}},
		{Key: "cluster.prefer_local", Type: conf.Bool(func(o *Options) *bool { return &o.Cluster.PreferLocal }), Field: "Cluster.PreferLocal", Reload: onSnapshot,
			Doc: "Whether members of a queue group on the publisher's server come first."},
		{Key: "cluster.permissions", Field: "Cluster.Permissions", Reload: onPermissions, Type: routePermissionsType(clusterPermissions),
			Doc: "Which interest crosses the routes: `import` and `export`, each subjects or `allow` and `deny`."},
		{Key: "cluster.authorization", Doc: "Who may connect as a server.",
			Type: conf.Section(conf.SectionType[Options]{On: func(o *Options) bool { return o.Cluster.Username != "" }, Bare: false})},
		{Key: "cluster.authorization.user", Aliases: []string{"username"}, Field: "Cluster.Username", Reload: onRouteAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Cluster.Username }), Doc: "User other servers must name."},
		{Key: "cluster.authorization.password", Aliases: []string{"pass"}, Secret: true, Field: "Cluster.Password", Reload: onRouteAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Cluster.Password }), Doc: "Password, plain or as a bcrypt hash."},
		{Key: "cluster.authorization.token", Secret: true, Type: conf.Custom(ignoredType("a token for routes has no effect")),
			Doc: "Has no effect."},
		{Key: "cluster.authorization.timeout", Default: "1", Field: "Cluster.AuthTimeout", Reload: onCluster,
			Type: conf.Seconds(func(o *Options) *float64 { return &o.Cluster.AuthTimeout }, upTo(longest)), Doc: "Seconds a server has to authenticate."},
		{Key: "cluster.authorization.users", Type: conf.Custom(refusedType("cluster authorization does not allow multiple users")),
			Doc: "Refused: there is one user for routes."},
		{Key: "cluster.authorization.permissions", Aliases: []string{"default_permissions", "default_permission"}, Field: "Cluster.Permissions", Reload: onPermissions,
			Type: routePermissionsType(clusterAuthPermissions), Doc: "As `permissions` of the cluster, which come first."},
	}
}

// ignoredType takes any value and does nothing but warn.
func ignoredType(warning string) conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "any", Read: func(c *conf.Check, n *conf.Node, _ *Options) {
		c.Warnf(n.Pos, "%s", warning)
	}}
}

// refusedType takes no value.
func refusedType(message string) conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "none", Read: func(c *conf.Check, n *conf.Node, _ *Options) {
		c.Errorf(n.Pos, "%s", message)
	}}
}

// checkRoute refuses URLs nothing can connect to.
func checkRoute(u *url.URL) error {
	port, err := strconv.Atoi(u.Port())
	switch {
	case u.Hostname() == "":
		return fmt.Errorf("the host is missing")
	case u.Port() == "":
		return fmt.Errorf("the port is missing")
	case err != nil || port < 1 || port > math.MaxUint16:
		return fmt.Errorf("the port is not between 1 and 65535")
	}
	return nil
}

// clusterURLType is that of --cluster. A URL without user leaves what the file
// says of user and password; an empty one turns clustering off.
func clusterURLType() conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "URL", Parse: func(s string, o *Options) error {
		o.Cluster.ListenStr = s
		if s == "" {
			o.Cluster.Port = 0
			return nil
		}
		text, random := s, strings.HasSuffix(s, ":-1")
		if random { // which is no URL
			text = strings.TrimSuffix(s, "-1")
		}
		u, err := conf.ParseURL(text)
		if err != nil {
			return fmt.Errorf("parse %q: %w", conf.RedactURLs(s), err)
		}
		host, digits, err := net.SplitHostPort(u.Host)
		if err != nil {
			return err
		}
		port, err := strconv.Atoi(digits)
		switch {
		case random:
			port = RandomPort
		case err != nil || port > math.MaxUint16:
			return fmt.Errorf("could not parse port %q", digits)
		}
		if u.User != nil {
			password, given := u.User.Password()
			if !given {
				return fmt.Errorf("expected cluster password to be set")
			}
			o.Cluster.Username, o.Cluster.Password = u.User.Username(), password
		}
		o.Cluster.Host, o.Cluster.Port = host, port
		return nil
	}}
}
