package server

// This file has the rows of the cluster block.

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
	also := func(o *Options) *[]string { return &o.Cluster.AlsoListen }
	return []row{
		{Key: "cluster", HoldsURL: true, Doc: "Listener for other servers, and connections to them.",
			Type: conf.Section(conf.SectionType[Options]{On: func(o *Options) bool { return o.Cluster.Port != 0 }, Bare: true})},
		{Key: "cluster.listen", Restricts: true, Overridable: true, HoldsURL: true, Expands: []string{"cluster.host", "cluster.port", "cluster.also_listen"}, Type: conf.Addresses(host, port, also),
			Doc: "`host:port`, or the port alone; a list of them for several addresses."},
		{Key: "cluster.host", Restricts: true, Overridable: true, HoldsURL: true, Aliases: []string{"net"}, Default: `"0.0.0.0"`, Type: conf.Text(host, checkListenHost), Field: "Cluster.Host", Reload: conf.Fixed,
			Doc: "Address to listen on for other servers."},
		{Key: "cluster.port", Type: conf.Port(port), Field: "Cluster.Port", Reload: conf.Fixed,
			Doc: "Port for other servers; 0 turns clustering off, -1 is any free port."},
		{Key: "cluster.also_listen", Restricts: true, Overridable: true, HoldsURL: true, Type: conf.AlsoAddresses(also), Field: "Cluster.AlsoListen", Reload: conf.Fixed,
			Doc: "Further addresses to listen on for other servers, host:port. A list in `listen` sets it; `--cluster` clears it."},
		{Key: "cluster.name", Type: conf.Text(func(o *Options) *string { return &o.Cluster.Name }, checkName), Field: "Cluster.Name", Reload: conf.Fixed,
			Doc:   "Name of the cluster. Servers whose names differ refuse routes to each other; one without a name connects to any.",
			Flags: []conf.Flag{{Names: []string{"cluster_name"}, Arg: "<name>", Group: clusterGroup, Usage: "Name of the cluster"}}},
		{Key: "cluster.routes", HoldsURL: true, Field: "Routes", Reload: onRoutes,
			Type:  conf.URLs(func(o *Options) *[]*url.URL { return &o.Routes }, "route", checkRoute),
			Doc:   "URLs of servers to connect to: nats-route://user:password@host:port.",
			Flags: []conf.Flag{{Names: []string{"routes"}, Arg: "<rurl-1, rurl-2>", Group: clusterGroup, Usage: "Routes to solicit and connect"}}},
		{HoldsURL: true, Expands: []string{"cluster.host", "cluster.port", "cluster.authorization.user", "cluster.authorization.password"},
			Type: conf.Custom(clusterURLType()), Doc: "Address to listen on for other servers, as a URL.",
			Flags: []conf.Flag{{Names: []string{"cluster"}, Hidden: []string{"cluster_listen"}, Arg: "<cluster-url>", Group: clusterGroup,
				Usage: "Cluster URL for solicited routes"}}},
		{Key: "cluster.no_advertise", Type: conf.Bool(func(o *Options) *bool { return &o.Cluster.NoAdvertise }), Field: "Cluster.NoAdvertise", Reload: onCluster,
			Doc: "Whether to turn off the exchange of client addresses with other servers.",
			Flags: []conf.Flag{{Names: []string{"no_advertise"}, Arg: "<bool>", Group: clusterGroup,
				Usage: "Advertise known cluster IPs to clients"}}},
		{Key: "cluster.cluster_advertise", HoldsURL: true, Aliases: []string{"advertise"}, Type: conf.Text(func(o *Options) *string { return &o.Cluster.Advertise }, checkHost), Field: "Cluster.Advertise", Reload: onCluster,
			Doc:   "Address that is advertised to other servers for routes: host or host:port.",
			Flags: []conf.Flag{{Names: []string{"cluster_advertise"}, Arg: "<string>", Group: clusterGroup, Usage: "Cluster URL to advertise to other servers"}}},
		{Key: "cluster.connect_retries", Type: conf.Int(func(o *Options) *int { return &o.Cluster.ConnectRetries }, conf.Unbounded()), Field: "Cluster.ConnectRetries", Reload: onCluster,
			Doc:   "Number of further attempts to connect to a server that another server advertised.",
			Flags: []conf.Flag{{Names: []string{"connect_retries"}, Arg: "<number>", Group: clusterGroup, Usage: "For implicit routes, number of connect retries"}}},
		{Key: "cluster.pool_size", Default: "1", Type: conf.Int(func(o *Options) *int { return &o.Cluster.PoolSize }, conf.Between(-1, maxPoolSize)), Field: "Cluster.PoolSize", Reload: onPoolSize,
			Doc: "Number of connections to another server; the smaller number of both counts. -1 is 1, as in nats-server."},
		{Key: "cluster.compression", Type: compressionType(), Field: "Cluster.Compression", Reload: onCompression,
			Doc: "Compression of routes to servers that have it, too: off, accept, s2_fast, s2_better, s2_best, s2_auto, or `{ mode, rtt_thresholds }`."},
		{Key: "cluster.prefer_local", Type: conf.Bool(func(o *Options) *bool { return &o.Cluster.PreferLocal }), Field: "Cluster.PreferLocal", Reload: onSnapshot,
			Doc: "Whether queue group members on the publisher's server are preferred."},
		{Key: "cluster.permissions", Restricts: true, Field: "Cluster.Permissions", Reload: onPermissions, Type: routePermissionsType(clusterPermissions),
			Doc: "Interest that crosses the routes: `import` and `export`, each a list of subjects or `allow` and `deny`."},
		{Key: "cluster.authorization", Restricts: true, Doc: "Credentials that other servers need.",
			Type: conf.Section(conf.SectionType[Options]{On: func(o *Options) bool { return o.Cluster.Username != "" }, Bare: false})},
		{Key: "cluster.authorization.user", Restricts: true, Aliases: []string{"username"}, Field: "Cluster.Username", Reload: onRouteAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Cluster.Username }), Doc: "User name of other servers."},
		{Key: "cluster.authorization.password", Restricts: true, Aliases: []string{"pass"}, Secret: true, Field: "Cluster.Password", Reload: onRouteAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Cluster.Password }), Doc: "Password, plain or as a bcrypt hash."},
		{Key: "cluster.authorization.token", Restricts: true, Secret: true, Type: conf.Custom(refusedType("cluster authorization does not allow a token: use user and password")),
			Doc: "An error: routes have a user and a password."},
		{Key: "cluster.authorization.timeout", Default: "1", Field: "Cluster.AuthTimeout", Reload: onCluster,
			Type: conf.Seconds(func(o *Options) *float64 { return &o.Cluster.AuthTimeout }, upTo(longest)), Doc: "Time that a server has to authenticate, in seconds."},
		{Key: "cluster.authorization.users", Restricts: true, Type: conf.Custom(refusedType("cluster authorization does not allow multiple users")),
			Doc: "An error: routes have a single user."},
		{Key: "cluster.authorization.permissions", Restricts: true, Aliases: []string{"default_permissions", "default_permission"}, Field: "Cluster.Permissions", Reload: onPermissions,
			Type: routePermissionsType(clusterAuthPermissions), Doc: "Used if the cluster has no `permissions` of its own."},
	}
}

// maxPoolSize is the largest number of connections to one server. More than the cores of both
// servers do not pay.
const maxPoolSize = 256

// refusedType accepts no value: setting it is an error.
func refusedType(message string) conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "none", Read: func(c *conf.Check, n *conf.Node, _ *Options) {
		c.Errorf(n.Pos, "%s", message)
	}}
}

// checkRoute returns an error for a URL that cannot be dialed.
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

// clusterURLType is the type of --cluster. With a URL without user, user and password of the file
// stay; an empty one turns clustering off.
func clusterURLType() conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "URL", Parse: func(s string, o *Options) error {
		o.Cluster.ListenStr = s
		if s == "" {
			o.Cluster.Port = 0
			return nil
		}
		text, random := s, strings.HasSuffix(s, ":-1")
		if random { // net/url rejects a port of -1
			text = strings.TrimSuffix(s, "-1")
		}
		u, err := conf.ParseURL(text)
		if err != nil {
			return fmt.Errorf("parse %q: %w", conf.RedactURLText(s), err)
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
