package server

// This file puts settings together: the file, then the flags that were typed,
// then what follows from both. Every reload does it again in the same order.

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gnatsd/conf"
)

// loading is what is remembered of how Options came about. It does not change.
type loading struct {
	base     *Options // what a program had set before
	result   *Options // what came out; a program may have changed it since
	files    *readFiles
	flags    *conf.Flags[Options]
	values   *conf.Values[Options] // nil for options that no file or flag set
	warnings []string              // for the log at start
	explain  []string              // what --explain asks; nil if nothing
}

// loadOptions lays a file and flags over o, which it changes. Either may be
// missing. The error is of type conf.Errors if it is about the file.
func loadOptions(o *Options, file string, flags *conf.Flags[Options]) error {
	return loadFrom(o, file, flags, conf.System())
}

// loadFrom is loadOptions with files and environment from elsewhere.
func loadFrom(o *Options, file string, flags *conf.Flags[Options], source conf.Source) error {
	l := &loading{base: o.Clone(), files: &readFiles{}, flags: flags}
	l.base.loaded = nil
	if err := o.applyLayers(l, file, l.files.source(source)); err != nil {
		return err
	}
	if err := o.makeTLS(func(key string) conf.Pos { return l.values.Origin(key).Pos }); err != nil {
		return err
	}
	l.result = o.Clone()
	l.result.loaded = nil
	o.loaded = l
	return nil
}

// lay lays a file and the flags of l over o, and notes in l what was found.
func (o *Options) applyLayers(l *loading, file string, source conf.Source) error {
	v := optionTable().Fill(o)
	o.incomplete, o.Cluster.authPermissions = nil, nil
	if file != "" {
		if err := loadFile(v, file, source, l.flags.Enabled("t")); err != nil {
			return err
		}
		o.ConfigFile = file
	}
	if err := v.ApplyFlags(l.flags); err != nil {
		return err
	}
	if err := o.completeFlags(l.flags); err != nil {
		return err
	}
	l.values, l.warnings = v, loadWarnings(v)
	return nil
}

// loadFile lays a file over the values, and reports everything that is wrong
// with it together. To a strict reader that includes keys that nothing uses.
func loadFile(v *conf.Values[Options], file string, source conf.Source, strict bool) error {
	root, err := source.File(file)
	if root == nil {
		return err
	}
	var all conf.Errors
	errors.As(err, &all)
	v.ApplyFile(root)
	v.Target.checkFile(v)
	all = append(all, v.Errors...)
	if strict {
		all = append(all, v.Unknown...)
	}
	if len(all) > 0 {
		return append(all, v.Target.tlsErrors(v)...).Sorted()
	}
	v.Target.completeFile(v)
	return nil
}

// checkFile reports settings of the file that contradict each other.
func (o *Options) checkFile(v *conf.Values[Options]) {
	if !o.TLSMap { // who is known by a certificate needs no password
		v.Errors = append(v.Errors, o.incomplete...)
	}
	inFile := func(key string) bool { return v.Origin("authorization."+key).Layer == conf.FromFile }
	user := inFile("user") && o.Username != ""
	password := inFile("password") && o.Password != "" // beside users it is a variable called PASS
	token := inFile("token") && o.Authorization != ""
	users := inFile("users") && o.Users != nil
	for _, conflict := range []struct {
		is      bool
		message string
	}{
		{(user || password) && token, "cannot have a user/pass and token"},
		{users && user, "can not have a single user/pass and a users array"},
		{users && token, "can not have a token and a users array"},
	} {
		if conflict.is {
			v.Errors = append(v.Errors, &conf.Error{Pos: v.Origin("authorization").Pos, Key: "authorization", Msg: conflict.message})
		}
	}
	if o.NoAuthUser != "" && inFile("users") && !o.hasUser(o.NoAuthUser) {
		v.Errors = append(v.Errors, &conf.Error{Pos: v.Origin("no_auth_user").Pos, Key: "no_auth_user",
			Msg: fmt.Sprintf("user %q is not in the list of users", o.NoAuthUser)})
	}
}

func (o *Options) hasUser(name string) bool {
	for _, u := range o.Users {
		if u.Username == name || u.Nkey == name {
			return true
		}
	}
	return false
}

// completeFile does what can only be done once the whole file is known.
func (o *Options) completeFile(v *conf.Values[Options]) {
	for _, u := range o.Users {
		if u.Permissions == nil {
			u.Permissions = o.defaultPermissions
		}
	}
	if v.Origin("cluster.permissions").Layer != conf.FromFile && o.Cluster.authPermissions != nil {
		o.Cluster.Permissions = o.Cluster.authPermissions
	}
	if v.Origin("authorization").Layer == conf.FromFile {
		o.exclusiveAuth(v)
	}
}

// exclusiveAuth drops what an earlier layer said of who may connect by other
// means than the file: the file decides which means is in force.
func (o *Options) exclusiveAuth(v *conf.Values[Options]) {
	inFile := func(key string) bool { return v.Origin("authorization."+key).Layer == conf.FromFile }
	if !inFile("users") && (inFile("user") || inFile("token")) {
		o.Users = nil
	}
}

// completeFlags does what follows from flags that were typed.
func (o *Options) completeFlags(flags *conf.Flags[Options]) error {
	if o.WatchConfig && o.ConfigFile == "" {
		return errors.New("--watch-config needs a configuration file, e.g. -c gnatsd.conf")
	}
	if text, typed := flags.Typed("routes"); typed {
		o.RoutesStr = text
		if text != "" && o.Cluster.Port == 0 {
			return errors.New("solicited routes require cluster capabilities, e.g. --cluster")
		}
	}
	if text, _ := flags.Typed("user"); strings.HasPrefix(text, "nats://") {
		if err := o.setUserFromURL(text); err != nil {
			return err
		}
	}
	for _, name := range []string{"tlscert", "tlskey", "tlscacert"} {
		if text, _ := flags.Typed(name); text != "" {
			o.TLS = true
		}
	}
	if flags.Enabled("tlsverify") {
		o.TLS = true
	}
	if _, typed := flags.Typed("tls"); typed && !flags.Enabled("tls") {
		o.TLS = false
	}
	return nil
}

// setUserFromURL makes the single user that of a URL, as clients are given it, and the
// password too if it has one.
func (o *Options) setUserFromURL(text string) error {
	u, err := conf.ParseURL(text)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if u.User.Username() == "" {
		return fmt.Errorf("--user: %s names no user: want nats://user:password@host, or the name alone", conf.RedactURLs(text))
	}
	o.Username = u.User.Username()
	if password, given := u.User.Password(); given {
		o.Password = password
	}
	return nil
}

// loadWarnings are what the log says at start about values that work but
// should not be used, and about keys that nothing uses.
func loadWarnings(v *conf.Values[Options]) []string {
	var out []string
	for _, e := range v.Warnings {
		out = append(out, e.Error())
	}
	for _, e := range v.Unknown {
		text := e.Error()
		if e.Key != "" {
			text += ", it has no effect"
		}
		out = append(out, text)
	}
	if o := v.Target; len(o.Routes) > 0 && o.Cluster.Port == 0 {
		out = append(out, "Routes are configured, but the cluster has no port: clustering is off")
	}
	return out
}

// ProcessConfigFile reads a configuration file into new Options, which hold what
// the file says and nothing else. Without a name they are empty.
func ProcessConfigFile(configFile string) (*Options, error) {
	o := &Options{}
	if err := o.ProcessConfigFile(configFile); err != nil {
		return nil, err
	}
	return o, nil
}

// ProcessConfigFile lays a configuration file over o. After an error o may hold
// some of the file.
func (o *Options) ProcessConfigFile(configFile string) error {
	o.ConfigFile = configFile
	if configFile == "" {
		return nil
	}
	return loadOptions(o, configFile, nil)
}

// ConfigureOptions reads a command line: it adds the broker's flags to fs,
// parses args, reads the configuration file they name, and lays the flags that
// were typed over it. If the command line asks for the version, the usage or the
// TLS help, it calls the function given for it, and if it asks for a signal to
// another process, it sends it; then it returns nil and nil.
func ConfigureOptions(fs *flag.FlagSet, args []string, printVersion, printHelp, printTLSHelp func()) (*Options, error) {
	return configure(fs, args, informers{version: printVersion, help: printHelp, tlsHelp: printTLSHelp})
}

// informers are called for what a command line asks for. read, if not nil, is
// called once the flags have been read, before anything is done about them.
type informers struct {
	read, version, help, tlsHelp func()
}

// configure is [ConfigureOptions].
func configure(fs *flag.FlagSet, args []string, inform informers) (*Options, error) {
	flags := optionTable().Define(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	words, err := explainWords(fs, flags)
	if err != nil {
		return nil, err
	}
	if inform.read != nil {
		inform.read()
	}
	version, help, err := ProcessCommandLineArgs(fs)
	switch {
	case flags.Enabled("version"):
		inform.version()
		return nil, nil
	case flags.Enabled("help"):
		inform.help()
		return nil, nil
	case flags.Enabled("help_tls"):
		inform.tlsHelp()
		return nil, nil
	case err != nil:
		return nil, err
	case version:
		inform.version()
		return nil, nil
	case help:
		inform.help()
		return nil, nil
	}
	if text, _ := flags.Typed("signal"); text != "" {
		return nil, ProcessSignalArg(text)
	}
	o := &Options{Logtime: true}
	file, _ := flags.Typed("config")
	if err := loadOptions(o, file, flags); err != nil {
		return nil, err
	}
	o.loaded.explain = words
	return o, nil
}

// explainWords returns the arguments of --explain, which stand behind it; flags
// may follow them. They are none if it was not typed.
func explainWords(fs *flag.FlagSet, flags *conf.Flags[Options]) (words []string, err error) {
	for {
		if _, asked := flags.Typed("explain"); !asked || fs.NArg() == 0 {
			break
		}
		rest := fs.Args()
		n := slices.IndexFunc(rest, func(w string) bool { return strings.HasPrefix(w, "-") })
		switch n {
		case -1:
			n = len(rest)
		case 0:
			n = 1 // a lone dash, which is no flag
		}
		words = append(words, rest[:n]...)
		if err := fs.Parse(rest[n:]); err != nil {
			return nil, err
		}
	}
	if first, asked := flags.Typed("explain"); asked {
		words = append([]string{first}, words...)
	}
	return words, nil
}

// ProcessCommandLineArgs looks at the words behind the flags: version and help
// are taken for the flags of those names, any other is an error.
func ProcessCommandLineArgs(cmd *flag.FlagSet) (showVersion, showHelp bool, err error) {
	if cmd.NArg() == 0 {
		return false, false, nil
	}
	switch word := cmd.Arg(0); strings.ToLower(word) {
	case "version":
		return true, false, nil
	case "help":
		return false, true, nil
	default:
		return false, false, fmt.Errorf("unrecognized command: %q", word)
	}
}

// RoutesFromStr splits a list of route URLs at its commas. What does not parse
// is left out.
func RoutesFromStr(routesStr string) []*url.URL {
	var routes []*url.URL
	for text := range strings.SplitSeq(routesStr, ",") {
		if u, err := url.Parse(strings.TrimSpace(text)); err == nil && strings.TrimSpace(text) != "" {
			routes = append(routes, u)
		}
	}
	return routes
}
