package server

// This file has the table of settings, one row each: key, flags, default, bounds, effect of a
// reload and documentation. Package conf defines what a row is.

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gnatsd/conf"
)

// The headings of the usage text, in order.
const (
	serverGroup  = "Server Options"
	loggingGroup = "Logging Options"
	authGroup    = "Authorization Options"
	tlsGroup     = "TLS Options"
	clusterGroup = "Cluster Options"
	commonGroup  = "Common Options"
)

// row is short for the tables below.
type row = conf.Row[Options]

// optionTable returns the table of all settings. It does not change.
var optionTable = sync.OnceValue(func() *conf.Table[Options] {
	return conf.NewTable(slices.Concat(
		serverRows(), monitorRows(), limitRows(), loggingRows(), authRows(), accountRows(), tlsRows(), clusterRows(), clusterTLSRows(), commonRows(),
	), unsupportedKeys())
})

// positive bounds counts and sizes for which 0 means the default.
func positive() conf.Bounds { return conf.Between(0, math.MaxInt32) }

// upTo bounds durations; 0 means the default.
func upTo(d time.Duration) conf.Bounds { return conf.Between(0, int64(d)) }

// maxSize is the largest max_payload: sizes in the protocol have at most nine digits.
const maxSize = 999_999_999

// longest is the largest duration that a setting may have.
const longest = 1000 * time.Hour

func serverRows() []row {
	host := func(o *Options) *string { return &o.Host }
	port := func(o *Options) *int { return &o.Port }
	return []row{
		{Key: "listen", Restricts: true, Overridable: true, HoldsURL: true, Expands: []string{"host", "port", "also_listen"}, Type: conf.Addresses(host, port, alsoListen),
			Doc: "`host:port`, or the port alone; a list of them for several addresses."},
		{Key: "host", Restricts: true, Overridable: true, HoldsURL: true, Aliases: []string{"net"}, Default: `"0.0.0.0"`, Type: conf.Text(host, checkListenHost), Field: "Host", Reload: conf.Fixed,
			Doc: "Address to listen on for clients.",
			Flags: []conf.Flag{{Names: []string{"a", "addr"}, Hidden: []string{"net"}, Arg: "<host>", Group: serverGroup,
				Usage: "Bind to host address (default: 0.0.0.0)"}}},
		{Key: "port", Default: "4222", Type: conf.Port(port), Field: "Port", Reload: conf.Fixed,
			Doc: "Port for clients; -1 is any free port.",
			Flags: []conf.Flag{{Names: []string{"p", "port"}, Arg: "<port>", Group: serverGroup,
				Usage: "Use port for clients (default: 4222)"}}},
		{Key: "also_listen", Restricts: true, Overridable: true, HoldsURL: true, Type: conf.AlsoAddresses(alsoListen), Field: "AlsoListen", Reload: conf.Fixed,
			Doc: "Further addresses to listen on for clients, host:port. A list in `listen` sets it; `--addr` and `--port` clear it."},
		{Key: "server_name", Type: conf.Text(func(o *Options) *string { return &o.ServerName }, checkName), Field: "ServerName", Reload: conf.Fixed,
			Doc:   "Name of this server in INFO, in the first lines of the log and on the monitoring pages; its id if not given.",
			Flags: []conf.Flag{{Names: []string{"n", "server_name"}, Hidden: []string{"name"}, Arg: "<name>", Group: serverGroup, Usage: "Name of this server"}}},
		{Key: "pid_file", Aliases: []string{"pidfile"}, Type: conf.Text(func(o *Options) *string { return &o.PidFile }), Field: "PidFile", Reload: onPidFile,
			Doc:   "File to write the process id to.",
			Flags: []conf.Flag{{Names: []string{"P", "pid"}, Arg: "<file>", Group: serverGroup, Usage: "File to store PID"}}},
		{Key: "ports_file_dir", Type: conf.Text(func(o *Options) *string { return &o.PortsFileDir }), Field: "PortsFileDir", Reload: onPortsFile,
			Doc:   "Directory for a file that lists the ports in use.",
			Flags: []conf.Flag{{Names: []string{"ports_file_dir"}, Arg: "<dir>", Group: serverGroup, Usage: "Directory for the file that lists the ports in use"}}},
		{Key: "http", Restricts: true, Overridable: true, HoldsURL: true, Expands: []string{"http_host", "http_port"}, Type: conf.Address(httpHost, httpPort),
			Doc: "Monitoring: host:port, or the port alone."},
		{Key: "https", Restricts: true, Overridable: true, HoldsURL: true, Expands: []string{"http_host", "https_port"}, Type: conf.Address(httpHost, httpsPort),
			Doc: "Monitoring over TLS: host:port, or the port alone."},
		{Key: "http_host", Restricts: true, Overridable: true, HoldsURL: true, Type: conf.Text(httpHost, checkListenHost), Field: "HTTPHost", Reload: conf.Fixed,
			Doc: "Address to listen on for monitoring; `host` if not given."},
		{Key: "http_port", Aliases: []string{"monitor_port"}, Type: conf.Port(httpPort), Field: "HTTPPort", Reload: conf.Fixed,
			Doc:   "Port for monitoring; 0 is off.",
			Flags: []conf.Flag{{Names: []string{"m", "http_port"}, Arg: "<port>", Group: serverGroup, Usage: "Use port for http monitoring"}}},
		{Key: "https_port", Type: conf.Port(httpsPort), Field: "HTTPSPort", Reload: conf.Fixed,
			Doc:   "Port for monitoring over TLS; 0 is off. It uses the certificate of `tls`.",
			Flags: []conf.Flag{{Names: []string{"ms", "https_port"}, Arg: "<port>", Group: serverGroup, Usage: "Use port for https monitoring"}}},
		{Key: "http_base_path", Type: conf.Text(func(o *Options) *string { return &o.HTTPBasePath }, checkBasePath), Field: "HTTPBasePath", Reload: conf.Fixed,
			Doc: "Prefix of all monitoring paths, with or without a slash before it."},
		{Key: "prof_port", Type: conf.Port(func(o *Options) *int { return &o.ProfPort }), Field: "ProfPort", Reload: conf.Fixed,
			Doc:   "Port for profiles under /debug/pprof/; 0 is off.",
			Flags: []conf.Flag{{Names: []string{"profile"}}}},
		{Type: conf.Custom(configFileType()), Doc: "Configuration file.",
			Flags: []conf.Flag{{Names: []string{"c", "config"}, Arg: "<file>", Group: serverGroup, Usage: "Configuration file"}}},
		{Key: "watch_config", Type: conf.Bool(func(o *Options) *bool { return &o.WatchConfig }), Field: "WatchConfig", Reload: conf.Fixed,
			Doc: "Reload the configuration file when it changes, without a signal.",
			Flags: []conf.Flag{{Names: []string{"watch-config"}, Group: serverGroup,
				Usage: "Reload the configuration when its files change"}}},
		{Type: conf.Command[Options](false), Doc: "Send a signal to another process and exit.",
			Flags: []conf.Flag{{Names: []string{"sl", "signal"}, Arg: "<signal>[=<pid>]", Group: serverGroup,
				Usage: "Send signal to gnatsd process (stop, quit, reopen, reload)\n<pid> can be a PID or the path of a file that holds it;\nother signals are term, ldm (lame duck mode) and rebalance"}}},
		{Key: "client_advertise", HoldsURL: true, Type: conf.Text(func(o *Options) *string { return &o.ClientAdvertise }, checkHost), Field: "ClientAdvertise", Reload: onInfo,
			Doc:   "Address that is advertised to clients and other servers: host or host:port.",
			Flags: []conf.Flag{{Names: []string{"client_advertise"}, Arg: "<string>", Group: serverGroup, Usage: "Client URL to advertise to other servers"}}},
	}
}

func alsoListen(o *Options) *[]string { return &o.AlsoListen }

func httpHost(o *Options) *string { return &o.HTTPHost }
func httpPort(o *Options) *int    { return &o.HTTPPort }
func httpsPort(o *Options) *int   { return &o.HTTPSPort }

func configFileType() conf.CustomType[Options] {
	return conf.CustomType[Options]{Name: "string", Parse: func(s string, o *Options) error {
		o.ConfigFile = s
		return nil
	}}
}

// checkHost returns an error for a URL, which may have a password in it, in the place of an address
// that is shown to others.
func checkHost(s string) error {
	if strings.Contains(s, "@") || strings.Contains(s, "://") {
		return fmt.Errorf("want a host, perhaps with a port, not a URL")
	}
	return nil
}

// checkListenHost returns an error for what is more than a host to listen on.
func checkListenHost(s string) error {
	_, err := netip.ParseAddr(s)
	switch {
	case strings.Contains(s, "@") || strings.Contains(s, "://"):
		return fmt.Errorf("want a host without a port, not a URL")
	case err == nil:
		return nil
	case strings.ContainsAny(s, "[]"):
		return fmt.Errorf("want a host without a port, an IPv6 address without brackets")
	case strings.Contains(s, ":"):
		return fmt.Errorf("want a host without a port, which is a setting of its own")
	}
	return nil
}

// checkName returns an error for a name with white space.
func checkName(s string) error {
	if strings.ContainsAny(s, " \t\r\n") {
		return fmt.Errorf("a name cannot contain white space")
	}
	return nil
}

func checkBasePath(s string) error {
	if strings.ContainsAny(s, "?# \t\r\n") {
		return fmt.Errorf("a base path holds no spaces, '?' or '#'")
	}
	if strings.ContainsAny(s, `%\`) {
		return fmt.Errorf(`a base path holds no '%%' or '\'`)
	}
	for part := range strings.SplitSeq(strings.Trim(s, "/"), "/") {
		if part == "." || part == ".." || part == "" && strings.Trim(s, "/") != "" {
			return fmt.Errorf("a base path holds no '.', '..' or nothing between two slashes")
		}
	}
	return nil
}

func limitRows() []row {
	return []row{
		{Key: "max_connections", Aliases: []string{"max_conn"}, Default: "65536", Field: "MaxConn", Reload: onLimits,
			Type: conf.Int(func(o *Options) *int { return &o.MaxConn }, conf.Unbounded()),
			Doc:  "Maximum number of connected clients; negative is unlimited."},
		{Key: "max_connections_per_address", Restricts: true, Field: "MaxConnPerAddress", Reload: onLimits,
			Type: conf.Int(func(o *Options) *int { return &o.MaxConnPerAddress }, conf.Unbounded()),
			Doc:  "Maximum number of connected clients of one address (of IPv6, the first 64 bits); 0 or negative is unlimited."},
		{Key: "max_logins_per_second_per_address", Restricts: true, Field: "MaxLoginsPerAddress", Reload: onSnapshot,
			Type: conf.Int(func(o *Options) *int { return &o.MaxLoginsPerAddress }, conf.Unbounded()),
			Doc:  "Maximum number of logins of clients of one address a second, successful or not, and at once; 0 or negative is unlimited."},
		{Key: "max_subscriptions", Aliases: []string{"max_subs"}, Field: "MaxSubs", Reload: conf.Fixed,
			Type: conf.Int(func(o *Options) *int { return &o.MaxSubs }, conf.Unbounded()),
			Doc:  "Maximum number of subscriptions of a client; 0 or negative is unlimited."},
		{Key: "max_control_line", Default: "4KB", Field: "MaxControlLine", Reload: onSnapshot,
			Type: conf.AtMost(conf.Size(func(o *Options) *int { return &o.MaxControlLine }, positive()), maxName),
			Doc:  "Maximum size of the arguments of a protocol line, in bytes. More than 16777215 is taken as that, with a warning."},
		{Key: "max_payload", Default: "1MB", Field: "MaxPayload", Reload: onInfo,
			Type: conf.AtMost(conf.Size(func(o *Options) *int { return &o.MaxPayload }, conf.Between(math.MinInt32, maxSize)), maxSize),
			Doc:  "Maximum size of a message, in bytes; negative is unlimited. More than 999999999 is taken as that, with a warning."},
		{Key: "max_pending", Default: "64MB", Field: "MaxPending", Reload: conf.Fixed,
			Type: conf.Size(func(o *Options) *int64 { return &o.MaxPending }, conf.AtLeast(0)),
			Doc:  "Maximum number of bytes queued for a client; one that exceeds it is disconnected as a slow consumer."},
		{Key: "max_pending_total", Field: "MaxPendingTotal", Reload: conf.Fixed,
			Type: conf.Size(func(o *Options) *int64 { return &o.MaxPendingTotal }, conf.AtLeast(0)),
			Doc:  "Maximum number of bytes queued for all connections together; above it the client or route with the longest queue is disconnected as a slow consumer. 0 is 16 times `max_pending` or, if that is less, half of the environment variable `GOMEMLIMIT`."},
		{Key: "ping_interval", Default: `"2m"`, Field: "PingInterval", Reload: onPing,
			Type: conf.Duration(func(o *Options) *time.Duration { return &o.PingInterval }, upTo(longest), ""),
			Doc:  "Time between pings, as a duration or in seconds."},
		{Key: "ping_max", Default: "2", Field: "MaxPingsOut", Reload: onSnapshot,
			Type: conf.Int(func(o *Options) *int { return &o.MaxPingsOut }, positive()),
			Doc:  "Maximum number of unanswered pings; a connection that exceeds it is closed."},
		{Key: "write_deadline", Default: `"2s"`, Field: "WriteDeadline", Reload: onDeadline,
			Type: conf.Duration(func(o *Options) *time.Duration { return &o.WriteDeadline }, upTo(longest), plainWriteDeadline),
			Doc:  "Maximum time that a write to a client may make no progress; one that exceeds it is disconnected as a slow consumer."},
		{Key: "no_busy_poll", Field: "NoBusyPoll", Reload: onBusyPoll,
			Type: conf.Bool(func(o *Options) *bool { return &o.NoBusyPoll }),
			Doc:  "Whether to turn off busy polling: on Linux, readers poll for up to 100 µs before they sleep, where that makes replies faster."},
		{Key: "max_closed_clients", Default: "10000", Field: "MaxClosedClients", Reload: conf.Fixed,
			Type: conf.Int(func(o *Options) *int { return &o.MaxClosedClients }, positive()),
			Doc:  "Number of closed connections kept for `/connz?state=closed`."},
		{Key: "lame_duck_duration", Default: `"30s"`, Field: "LameDuckDuration", Reload: conf.Fixed,
			Type: conf.Duration(func(o *Options) *time.Duration { return &o.LameDuckDuration }, upTo(longest), ""),
			Doc:  "Time over which lame duck mode disconnects the clients."},
		{Key: "lame_duck_grace_period", Default: `"1s"`, Field: "LameDuckGracePeriod", Reload: conf.Fixed,
			Type: conf.Duration(func(o *Options) *time.Duration { return &o.LameDuckGracePeriod }, upTo(longest), ""),
			Doc:  "Time between the start of lame duck mode, when clients are sent INFO, and the first disconnect."},
	}
}

// plainWriteDeadline is the warning of gnatsd 1.x about a write_deadline without a unit.
const plainWriteDeadline = "write_deadline should be converted to a duration"

func loggingRows() []row {
	debug := func(o *Options) *bool { return &o.Debug }
	trace := func(o *Options) *bool { return &o.Trace }
	return []row{
		{Key: "log_file", Aliases: []string{"logfile"}, Type: conf.Text(func(o *Options) *string { return &o.LogFile }), Field: "LogFile", Reload: onLogger,
			Doc:   "File to write the log to, instead of standard error.",
			Flags: []conf.Flag{{Names: []string{"l", "log"}, Arg: "<file>", Group: loggingGroup, Usage: "File to redirect log output"}}},
		{Key: "logtime", Default: "true", Type: conf.Bool(func(o *Options) *bool { return &o.Logtime }), Field: "Logtime", Reload: onLogger,
			Doc:   "Whether log lines begin with the time.",
			Flags: []conf.Flag{{Names: []string{"T", "logtime"}, Group: loggingGroup, Usage: "Timestamp log entries (default: true)"}}},
		{Key: "syslog", Type: conf.Bool(func(o *Options) *bool { return &o.Syslog }), Field: "Syslog", Reload: onLogger,
			Doc:   "Whether to log to the local syslog, or to the event log on Windows.",
			Flags: []conf.Flag{{Names: []string{"s", "syslog"}, Group: loggingGroup, Usage: "Log to syslog or windows event log"}}},
		{Key: "remote_syslog", HoldsURL: true, Type: conf.Text(func(o *Options) *string { return &o.RemoteSyslog }), Field: "RemoteSyslog", Reload: onLogger,
			Doc:   "Syslog server to log to: udp://host:port, tcp://host:port, unix:///path, or syslog://host, which is UDP and port 514.",
			Flags: []conf.Flag{{Names: []string{"r", "remote_syslog"}, Arg: "<addr>", Group: loggingGroup, Usage: "Syslog server addr (udp://localhost:514)"}}},
		{Key: "logfile_size_limit", Aliases: []string{"log_size_limit"}, Field: "LogSizeLimit", Reload: onLogger,
			Type:  conf.Size(func(o *Options) *int64 { return &o.LogSizeLimit }, conf.AtLeast(0)),
			Doc:   "Size in bytes above which the log file is rotated; 0 is never.",
			Flags: []conf.Flag{{Names: []string{"log_size_limit"}, Arg: "<bytes>", Group: loggingGroup, Usage: "Rotate the log file when it is larger"}}},
		{Key: "logfile_max_num", Field: "LogMaxNum", Reload: onLogger,
			Type: conf.Int(func(o *Options) *int { return &o.LogMaxNum }, positive()),
			Doc:  "Number of log files that rotation keeps; 0 is all."},
		{Key: "log_format", Default: `"text"`, Type: conf.Enum(func(o *Options) *string { return &o.LogFormat }, "text", "json"), Field: "LogFormat", Reload: onLogger,
			Doc: "Format of log lines."},
		{Key: "debug", Type: conf.Bool(debug), Field: "Debug", Reload: onLogger, Doc: "Whether to log debug messages.",
			Flags: []conf.Flag{{Names: []string{"D", "debug"}, Group: loggingGroup, Usage: "Enable debugging output"}}},
		{Key: "trace", Type: conf.Bool(trace), Field: "Trace", Reload: onLogger, Doc: "Whether to log all protocol messages.",
			Flags: []conf.Flag{{Names: []string{"V", "trace"}, Hidden: []string{"VV"}, Group: loggingGroup, Usage: "Trace the raw protocol"}}},
		{Expands: []string{"debug", "trace"}, Doc: "Debug and trace.",
			Flags: []conf.Flag{{Names: []string{"DV"}, Hidden: []string{"DVV"}, Group: loggingGroup, Usage: "Debug and trace", Late: true}},
			Type: conf.Custom(conf.CustomType[Options]{Name: "boolean", Switch: true, Parse: func(s string, o *Options) error {
				on, err := conf.ParseSwitch(s)
				o.Debug, o.Trace = on, on
				return err
			}})},
		{Key: "max_traced_msg_len", Field: "MaxTracedMsgLen", Reload: onSnapshot,
			Type: conf.Int(func(o *Options) *int { return &o.MaxTracedMsgLen }, positive()),
			Doc:  "Number of bytes of a payload in a trace; 0 is all.",
			Flags: []conf.Flag{{Names: []string{"max_traced_msg_len"}, Arg: "<len>", Group: loggingGroup,
				Usage: "Maximum length of a payload in a trace (default: all)"}}},
	}
}

func commonRows() []row {
	command := func(doc string, names ...string) row {
		return row{Type: conf.Command[Options](true), Doc: doc,
			Flags: []conf.Flag{{Names: names, Group: commonGroup, Usage: doc}}}
	}
	return []row{
		command("Show this message", "h", "help"),
		command("Show version", "v", "version"),
		command("Check the configuration and exit", "t"),
		{Type: conf.OptionalCommand[Options](), Doc: "Show what a reload with the file would change and what needs a restart, and exit.",
			Flags: []conf.Flag{{Names: []string{"diff"}, Arg: "[=<running>]", Group: commonGroup,
				Usage: "Compare with the settings of a running server, or with\nanother file, and exit"}}},
		command("Show the settings in force, where each came from, and exit", "print-config"),
		{Type: conf.Command[Options](false), Doc: "Show whether a user may publish or subscribe and which rule decides, and exit.",
			Flags: []conf.Flag{{Names: []string{"explain"}, Arg: "<what>", Group: commonGroup,
				Usage: "Show whether a user may publish or subscribe, and exit:\nuser=<name> pub=<subject> (or sub=, queue=)"}}},
		{Type: conf.OptionalCommand[Options](), Doc: "Ask a running server (the only one, or a pid or pid file) whether it works, and exit with status 0 if it does.",
			Flags: []conf.Flag{{Names: []string{"health"}, Arg: "[=<running>]", Group: commonGroup,
				Usage: "Ask a running server whether it works, and exit: for health\nchecks of containers"}}},
		{Type: conf.Command[Options](false), Doc: "Show what a running server does, given the URL of its monitoring port, until it is interrupted, or `-n` times.",
			Flags: []conf.Flag{{Names: []string{"top"}, Arg: "<url>", Group: commonGroup,
				Usage: "Show what the server with this monitoring port does:\nhttp://127.0.0.1:8222, with -n <times> to end by itself"}}},
		command("TLS help", "help_tls"),
		{Type: conf.OptionalCommand[Options](), Doc: "Print a page of the manual for man(1) and exit: gnatsd(8), or with 5 gnatsd.conf(5).",
			Flags: []conf.Flag{{Names: []string{"man"}, Arg: "[=8|5]", Group: commonGroup,
				Usage: "Print a page of the manual (gnatsd --man | man -l -): 8 is\nthe program, 5 the configuration file"}}},
		{Type: conf.Command[Options](false), Doc: "Print the completion of the command line for bash, zsh or fish and exit.",
			Flags: []conf.Flag{{Names: []string{"completion"}, Arg: "<shell>", Group: commonGroup,
				Usage: "Print the completion for bash, zsh or fish"}}},
		command("Print the JSON Schema of the configuration, for editors", "schema"),
		{Type: conf.Command[Options](true), Doc: unsupportedFeature, Flags: []conf.Flag{{Names: []string{"js", "jetstream"}}}},
		{Type: conf.Command[Options](false), Doc: unsupportedFeature, Flags: []conf.Flag{{Names: []string{"sd", "store_dir"}}}},
	}
}
