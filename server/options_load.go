package server

// This file loads the settings: the file first, then the flags of the command line, then what
// follows from both. A reload does the same.

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gnatsd/conf"
)

// loading is how Options were loaded. It does not change.
type loading struct {
	base     *Options // before: what a program had set
	result   *Options // afterwards; the program may have changed the options since
	files    *readFiles
	flags    *conf.Flags[Options]
	values   *conf.Values[Options] // origins of the settings; nil if there was neither file nor flag
	warnings []string              // for the log at start
	explain  []string              // arguments of --explain; nil without it
}

// loadOptions applies a file and flags to o. Either may be missing. The error is of type
// conf.Errors if it is about the file.
func loadOptions(o *Options, file string, flags *conf.Flags[Options]) error {
	return loadFrom(o, file, flags, conf.System())
}

// loadFrom is loadOptions with files and environment from source.
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

// applyLayers applies a file and the flags of l to o, and stores origins and warnings in l.
func (o *Options) applyLayers(l *loading, file string, source conf.Source) error {
	v := optionTable().Fill(o)
	o.incomplete, o.replaced, o.Cluster.authPermissions = nil, nil, nil
	if file != "" {
		if err := loadFile(v, file, source, l.flags); err != nil {
			return err
		}
		o.ConfigFile = file
	}
	inFile := o.restrictions(v)
	if err := o.applyFlags(v, l.flags); err != nil {
		return err
	}
	if problems := o.checkCredentials(v); len(problems) > 0 {
		return problems.Sorted()
	}
	for _, l := range o.listenLists() {
		if v.Origin(l.host).Layer == conf.FromFlag || v.Origin(l.port).Layer == conf.FromFlag {
			*l.also = nil // a flag says where to listen, and there alone
		}
	}
	o.addWarnings(v, inFile)
	o.replaced = nil
	l.values, l.warnings = v, append(loadWarnings(v), unsupportedFlags(l.flags)...)
	return nil
}

// applyFlags applies the flags. A URL in one sets the login only if it has one.
func (o *Options) applyFlags(v *conf.Values[Options], flags *conf.Flags[Options]) error {
	const user, password = "cluster.authorization.user", "cluster.authorization.password"
	fromUser, fromPassword := v.Origin(user), v.Origin(password)
	if err := v.ApplyFlags(flags); err != nil {
		return err
	}
	if text, typed := flags.Typed("cluster"); typed && !strings.Contains(text, "@") {
		v.SetOrigin(user, fromUser)
		v.SetOrigin(password, fromPassword)
	}
	before := o.Password
	if err := o.completeFlags(flags); err != nil {
		return err
	}
	if from := v.Origin("authorization.user"); o.Password != before {
		v.SetOrigin("authorization.password", from)
	}
	return nil
}

// loadFile applies a file to the values, and returns all errors in it together. With -t, unknown
// keys are errors. Other flags are applied only to find errors that depend on them.
func loadFile(v *conf.Values[Options], file string, source conf.Source, flags *conf.Flags[Options]) error {
	root, err := v.Read(source, file)
	if root == nil {
		return err
	}
	var all conf.Errors
	errors.As(err, &all)
	v.ApplyFile(root)
	v.Target.replaced = replacedParts(root, "")
	refuseUnknown(v, root)
	v.Target.checkFile(v)
	hideLogins(v)
	all = append(all, v.Errors...)
	var unknown conf.Errors
	if flags.Enabled("t") {
		unknown = v.Unknown
	}
	if len(all)+len(unknown) > 0 {
		all = append(all, v.Target.tlsErrors(v, all)...)
		if !root.Partial && v.ApplyFlags(flags) == nil {
			all = append(all, unrelated(v.Target.checkCredentials(v), all)...)
		}
		for _, e := range unknown {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
		return all.Sorted()
	}
	v.Target.completeFile(v)
	return nil
}

// unrelated returns those errors that cannot follow from others: of keys and sections without an error.
func unrelated(errs, others conf.Errors) (rest conf.Errors) {
	for _, e := range errs {
		section := e.Key[:strings.LastIndexByte(e.Key, '.')+1]
		if !slices.ContainsFunc(others, func(o *conf.Error) bool { return o.Key == e.Key || section != "" && strings.HasPrefix(o.Key, section) }) {
			rest = append(rest, e)
		}
	}
	return rest
}

// checkFile adds errors about settings of the file that contradict each other.
func (o *Options) checkFile(v *conf.Values[Options]) {
	if !o.TLSMap { // with verify_and_map, users need no password
		v.Errors = append(v.Errors, o.incomplete...)
	}
	inFile := func(key string) bool { return v.Origin("authorization."+key).Layer == conf.FromFile }
	user := inFile("user") && o.Username != ""
	password := inFile("password") && o.Password != "" // allowed beside users: often a variable called PASS
	token := inFile("token") && o.Authorization != ""
	users := inFile("users") && o.Users != nil
	for _, conflict := range []struct {
		found   bool
		message string
	}{
		{(user || password) && token, "cannot have a user/pass and token"},
		{users && user, "can not have a single user/pass and a users array"},
		{users && token, "can not have a token and a users array"},
	} {
		if conflict.found {
			v.Errors = append(v.Errors, &conf.Error{Pos: v.Origin("authorization").Pos, Key: "authorization", Msg: conflict.message})
		}
	}
	for _, l := range o.listenLists() {
		v.Errors = append(v.Errors, l.check(v)...)
	}
	v.Errors = append(v.Errors, o.checkAccounts(v)...)
	if o.NoAuthUser != "" && (inFile("users") || len(o.accounts) > 0) && !o.usersBroken && !o.hasUser(o.NoAuthUser) {
		v.Errors = append(v.Errors, &conf.Error{Pos: v.Origin("no_auth_user").Pos, Key: "no_auth_user",
			Msg: fmt.Sprintf("user %q is not in the list of users", o.NoAuthUser)})
	}
}

func (o *Options) hasUser(name string) bool {
	users, _, _ := o.loginUsers()
	for _, u := range users {
		if u.Username == name || u.Nkey == name {
			return true
		}
	}
	return false
}

// completeFile does what needs the whole file: it fills in default permissions and chooses the
// means of authentication.
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
		o.dropOtherAuth(v)
	}
}

// dropOtherAuth drops the users of an earlier layer if the file sets a single user or a token.
func (o *Options) dropOtherAuth(v *conf.Values[Options]) {
	inFile := func(key string) bool { return v.Origin("authorization."+key).Layer == conf.FromFile }
	if !inFile("users") && (inFile("user") || inFile("token")) {
		o.Users = nil
	}
}

// completeFlags does what follows from the flags.
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
	if text, _ := flags.Typed("user"); isUserURL(text) {
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

// isUserURL reports whether the value of --user is a URL such as clients use, or one without its
// scheme, user:password@host, rather than a name.
func isUserURL(text string) bool {
	user, _, found := strings.Cut(text, "@")
	return strings.Contains(text, "://") || found && strings.Contains(user, ":")
}

// setUserFromURL sets the single user, and the password if there is one, from a URL such as clients
// use.
func (o *Options) setUserFromURL(text string) error {
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := conf.ParseURL(text)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if u.User.Username() == "" {
		return fmt.Errorf("--user: no user in %s: want nats://user:password@host, or the name alone", conf.RedactURLText(text))
	}
	o.Username = u.User.Username()
	if password, given := u.User.Password(); given {
		o.Password = password
	}
	return nil
}

// addWarnings adds warnings about settings that contradict each other or let no client in, and names
// what happens because of them. inFile are the restrictions of the file.
func (o *Options) addWarnings(v *conf.Values[Options], inFile map[string]conf.Pos) {
	filled := o.Clone()
	filled.fill()
	given := func(keys ...string) (key string) { // the last of them that was set
		for _, k := range keys {
			if v.Origin(k).Layer != conf.FromDefault {
				key = k
			}
		}
		return key
	}
	warn := func(key, format string, args ...any) {
		from := v.Origin(key)
		v.Warnings = append(v.Warnings, placedAt(conf.Origin{Layer: from.Layer, Pos: from.Pos, Flag: from.Flag}, key, fmt.Sprintf(format, args...)))
	}
	_, replaced := o.checkReplaced(v)
	v.Warnings = append(v.Warnings, replaced...)
	o.warnOfUnusedFlags(v, warn)
	o.warnOfReplacingFlags(v, inFile, warn)
	o.warnOfUnusedCluster(v, warn)
	if o.Users != nil && len(o.Users) == 0 && v.Origin("authorization.users").Layer == conf.FromFile {
		warn("authorization.users", "the list of users is empty: no client can connect")
	}
	if key := given("max_payload", "max_pending"); key != "" && int64(filled.MaxPayload) > filled.MaxPending {
		warn(key, "max_payload (%d) is more than max_pending (%d): a message of more than %d bytes disconnects its subscribers as slow consumers",
			filled.MaxPayload, filled.MaxPending, filled.MaxPending)
	}
	if key := given("max_pending", "max_pending_total"); key != "" && filled.MaxPending > filled.MaxPendingTotal {
		warn(key, "max_pending (%d) is more than max_pending_total (%d): no connection can have so much pending", filled.MaxPending, filled.MaxPendingTotal)
	}
	for _, verify := range []struct {
		key string
		on  bool
	}{{"tls.verify_and_map", o.TLSMap}, {"tls.verify", o.TLSVerify && !o.TLSMap}} {
		if verify.on && given(verify.key) != "" && given("tls.ca_file") == "" {
			warn(verify.key, "there is no ca_file: a certificate of any authority that this system trusts is accepted")
		}
	}
	v.Warnings = v.Warnings.Sorted()
}

// warnOfUnusedFlags warns of logins on the command line that have no effect: users of a file count
// before a token, and that before a single user.
func (o *Options) warnOfUnusedFlags(v *conf.Values[Options], warn func(key, format string, args ...any)) {
	const users, token = "authorization.users", "authorization.token"
	for _, key := range []string{"authorization.user", "authorization.password", token} {
		switch by := v.Origin(users); {
		case v.Origin(key).Layer != conf.FromFlag:
		case by.Layer == conf.FromFile && o.Users != nil:
			warn(key, "it has no effect: the file has users, at %s", by.Pos)
		case key != token && v.Origin(token).Layer == conf.FromFile && o.Authorization != "":
			warn(key, "it has no effect: the file has a token, at %s", v.Origin(token).Pos)
		}
	}
}

// restrictions returns the places of what restricts access in the file and flags can replace, by keys.
func (o *Options) restrictions(v *conf.Values[Options]) map[string]conf.Pos {
	places := map[string]conf.Pos{}
	for key, on := range map[string]bool{
		"tls": o.TLS, "tls.verify": o.TLSVerify, "authorization.user": o.Username != "", "authorization.password": o.Password != "",
		"authorization.token": o.Authorization != "",
	} {
		if from := v.Origin(key); on && from.Layer == conf.FromFile {
			places[key] = from.Pos
		}
	}
	return places
}

// warnOfReplacingFlags warns of flags that replace restrictions of the file.
func (o *Options) warnOfReplacingFlags(v *conf.Values[Options], inFile map[string]conf.Pos, warn func(key, format string, args ...any)) {
	const user, password, token = "authorization.user", "authorization.password", "authorization.token"
	for _, f := range []struct {
		flag, key string // their rows
		replaces  bool
		format    string
	}{
		{"--tls", "tls", !o.TLS, "it turns off the tls block of the file, at %s"},
		{"tls.verify", "tls.verify", !o.TLSVerify && !o.TLSMap, "it turns off verify of the file, at %s"},
		{user, user, o.Users == nil, "it replaces the user of the file, at %s"},
		{password, password, o.Users == nil, "it replaces the password of the file, at %s"},
		{token, token, o.Users == nil, "it replaces the token of the file, at %s"},
		{token, user, o.Users == nil && o.Authorization != "", "it replaces the user of the file, at %s"},
	} {
		if at, ok := inFile[f.key]; ok && f.replaces && v.Origin(f.flag).Layer == conf.FromFlag {
			warn(f.flag, f.format, at)
		}
	}
}

// warnOfUnusedCluster warns of a cluster block without a port.
func (o *Options) warnOfUnusedCluster(v *conf.Values[Options], warn func(key, format string, args ...any)) {
	if o.Cluster.Port != 0 || v.Origin("cluster.port").Layer == conf.FromFlag {
		return
	}
	for _, r := range optionTable().Rows() {
		name, inside := strings.CutPrefix(r.Key, "cluster.")
		listens := name == "listen" || name == "host" || name == "port" || name == "also_listen"
		if inside && !listens && v.Origin(r.Key).Layer == conf.FromFile {
			warn("cluster", "it has no effect: there is no cluster port (set listen, or port)")
			return
		}
	}
}

// loadWarnings returns the warnings for the log at start: deprecated values, and keys without
// effect.
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
	return out
}

// ProcessConfigFile reads a configuration file into new Options, which have no defaults filled in.
// They are empty if configFile is "". The error lists everything that is wrong, with the place of
// each, file:line:col.
func ProcessConfigFile(configFile string) (*Options, error) {
	o := &Options{}
	if err := o.ProcessConfigFile(configFile); err != nil {
		return nil, err
	}
	return o, nil
}

// ProcessConfigFile applies a configuration file to o: its settings replace those of o. After an
// error o may have some settings of the file.
func (o *Options) ProcessConfigFile(configFile string) error {
	o.ConfigFile = configFile
	if configFile == "" {
		return nil
	}
	return loadOptions(o, configFile, nil)
}

// ConfigureOptions processes a command line: it adds the broker's flags to fs, parses args, reads
// the configuration file that they name, and applies the flags, which take precedence. If the
// command line asks for the version, the usage or the TLS help, it calls printVersion, printHelp or
// printTLSHelp, and with -sl it signals the other process; in these cases it returns nil, nil.
func ConfigureOptions(fs *flag.FlagSet, args []string, printVersion, printHelp, printTLSHelp func()) (*Options, error) {
	return configure(fs, args, printers{version: printVersion, help: printHelp, tlsHelp: printTLSHelp})
}

// printers are called when a command line asks for one of them.
type printers struct {
	version, help, tlsHelp func()
}

// configure is [ConfigureOptions].
func configure(fs *flag.FlagSet, args []string, print printers) (*Options, error) {
	flags := optionTable().Define(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	explain, err := explainArgs(fs, flags)
	if err != nil {
		return nil, err
	}
	version, help, err := ProcessCommandLineArgs(fs)
	if err != nil && flags.LastIsSensitive() {
		err = errSensitiveWord
	}
	switch {
	case flags.Enabled("version"):
		print.version()
		return nil, nil
	case flags.Enabled("help"):
		print.help()
		return nil, nil
	case flags.Enabled("help_tls"):
		print.tlsHelp()
		return nil, nil
	case err != nil:
		return nil, err
	case version:
		print.version()
		return nil, nil
	case help:
		print.help()
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
	o.loaded.explain = explain
	return o, nil
}

// errSensitiveWord is the error about a word that follows a password or a URL on the command line,
// and may be part of it.
var errSensitiveWord = fmt.Errorf("unrecognized command: %q (a value with blanks needs quotes)", conf.Redacted)

// explainArgs returns the arguments that follow --explain, nil without it. Flags may follow them.
func explainArgs(fs *flag.FlagSet, flags *conf.Flags[Options]) (args []string, err error) {
	for {
		if _, asked := flags.Typed("explain"); !asked || fs.NArg() == 0 {
			break
		}
		if flags.LastIsSensitive() {
			return nil, errSensitiveWord
		}
		rest := fs.Args()
		n := slices.IndexFunc(rest, func(arg string) bool { return strings.HasPrefix(arg, "-") })
		switch n {
		case -1:
			n = len(rest)
		case 0:
			n = 1 // a lone dash, which is not a flag
		}
		args = append(args, rest[:n]...)
		if err := fs.Parse(rest[n:]); err != nil {
			return nil, err
		}
	}
	if first, asked := flags.Typed("explain"); asked {
		args = append([]string{first}, args...)
	}
	return args, nil
}

// ProcessCommandLineArgs checks the arguments that follow the flags: version and help, in any case,
// have the effect of the flags of that name, any other is an error.
func ProcessCommandLineArgs(cmd *flag.FlagSet) (showVersion, showHelp bool, err error) {
	if cmd.NArg() == 0 {
		return false, false, nil
	}
	switch arg := cmd.Arg(0); strings.ToLower(arg) {
	case "version":
		return true, false, nil
	case "help":
		return false, true, nil
	default:
		return false, false, fmt.Errorf("unrecognized command: %q", arg)
	}
}

// RoutesFromStr parses a comma-separated list of route URLs. It skips those that cannot be parsed.
func RoutesFromStr(routesStr string) []*url.URL {
	var routes []*url.URL
	for text := range strings.SplitSeq(routesStr, ",") {
		if u, err := url.Parse(strings.TrimSpace(text)); err == nil && strings.TrimSpace(text) != "" {
			routes = append(routes, u)
		}
	}
	return routes
}
