package server

// This file is the command line of the program: what it prints, and its exit status.

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/logger"
	"gnatsd/server/internal/access"
	"gnatsd/server/internal/process"
	"gnatsd/server/internal/tlsfiles"
)

// CommandLine parses the arguments of the program and loads the settings. It returns the options to
// run a server with; or nil and the exit status, if the arguments ask for something else, such as
// -v or -t, which is done then, or if they are wrong. What cannot be printed in full is an error:
// stdout may be a file that is used as a configuration.
func CommandLine(args []string, stdout, stderr io.Writer) (opts *Options, status int) {
	out := &firstError{w: stdout}
	opts, status = commandLine(args, out, stderr)
	if opts == nil && status == 0 && out.err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", process.DefaultName, out.err)
		return nil, 1
	}
	return opts, status
}

// firstError is a writer that remembers its first error, and writes nothing after it.
type firstError struct {
	w   io.Writer
	err error
}

// Write writes, unless it has failed before.
func (f *firstError) Write(p []byte) (n int, err error) {
	if f.err == nil {
		n, f.err = f.w.Write(p)
	}
	return n, f.err
}

// commandLine is CommandLine, whatever becomes of what it prints.
func commandLine(args []string, stdout, stderr io.Writer) (opts *Options, status int) {
	fs := flag.NewFlagSet(process.DefaultName, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // its errors are printed here, without the whole usage text
	fs.Usage = func() {}
	opts, err := configure(fs, args, printers{
		version: func() { fmt.Fprint(stdout, versionText()) },
		help:    func() { fmt.Fprint(stdout, usageText()) },
		tlsHelp: func() { fmt.Fprint(stdout, tlsfiles.Help()) },
	})
	switch {
	case err != nil:
		fmt.Fprintln(stderr, optionTable().Explain(err))
		if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
			if hint := optionTable().FlagHint(name); hint != "" {
				fmt.Fprintln(stderr, hint)
			}
			fmt.Fprintln(stderr, process.DefaultName+" -h lists all flags")
		}
		return nil, 1
	case opts == nil:
		return nil, 0
	}
	opts.printDeadlineWarning(stdout)
	flags := opts.loaded.flags
	running, diff := flags.Typed("diff")
	asked, health := flags.Typed("health")
	top, watch := flags.Typed("top")
	shell, completion := flags.Typed("completion")
	section, man := flags.Typed("man")
	switch {
	case completion:
		return nil, printOr(stdout, stderr)(completionText(shell))
	case man:
		return nil, printOr(stdout, stderr)(manText(section))
	case diff:
		return nil, diffOnly(opts, running, stdout, stderr)
	case health:
		return nil, healthOnly(asked, stdout, stderr)
	case watch:
		times, _ := flags.Typed("n")
		return nil, topOnly(top, times, stdout, stderr)
	case flags.Enabled("t"):
		return nil, checkOnly(opts, stderr)
	case flags.Enabled("print-config"):
		fmt.Fprint(stdout, opts.describe())
		return nil, 0
	case flags.Enabled("schema"):
		stdout.Write(schemaText())
		return nil, 0
	case opts.loaded.explain != nil:
		return nil, explainOnly(opts, stdout, stderr)
	}
	return opts, 0
}

// printDeadlineWarning prints a warning about a write_deadline that is a number. As in 1.x that is no
// line of the log, and every start and reload has it.
func (o *Options) printDeadlineWarning(stdout io.Writer) {
	if o.loaded == nil || o.loaded.values == nil {
		return
	}
	for _, w := range o.loaded.values.Warnings {
		if w.Msg == plainWriteDeadline {
			fmt.Fprintln(stdout, "WARNING: "+w.Msg)
		}
	}
}

// topOnly is --top: it shows a running server, times times if that is not empty. The status is 0 if
// the server could be asked.
func topOnly(target, times string, stdout, stderr io.Writer) (status int) {
	count := 0
	if times != "" {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 {
			fmt.Fprintf(stderr, "with --top, -n is a number of times, not %q\n", conf.Printable(times))
			return 1
		}
		count = n
	}
	if err := process.Top(target, count, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// printOr returns what prints a text, or an error. It returns the exit status.
func printOr(stdout, stderr io.Writer) func(text string, err error) (status int) {
	return func(text string, err error) int {
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		fmt.Fprint(stdout, text)
		return 0
	}
}

// explainOnly is --explain. The status is 0 if the action is allowed.
func explainOnly(o *Options, stdout, stderr io.Writer) (status int) {
	text, allowed, err := access.Explain(clientLogin(o), o.loaded.explain)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, text)
	if !allowed {
		return 1
	}
	return 0
}

// checkOnly is -t: it reports what a start would report, without starting.
func checkOnly(o *Options, stderr io.Writer) (status int) {
	problems := o.startProblems()
	s, err := NewServer(o)
	if err != nil {
		problems = append(problems, err)
	}
	for _, w := range o.startWarnings(s) {
		fmt.Fprintln(stderr, "warning: "+w)
	}
	for _, err := range problems {
		fmt.Fprintln(stderr, optionTable().Explain(err))
	}
	if len(problems) > 0 {
		return 1
	}
	for _, file := range o.loaded.files.included {
		fmt.Fprintf(stderr, "included: %s\n", file)
	}
	valid := "the command line is valid; it names no configuration file"
	if o.ConfigFile != "" {
		valid = fmt.Sprintf("configuration file %s is valid", o.ConfigFile)
	}
	fmt.Fprintf(stderr, "%s: %s\n", process.DefaultName, valid)
	return 0
}

// startWarnings returns the warnings that the log of a start would have, with their places first, as
// errors have them. s is nil if it cannot start.
func (o *Options) startWarnings(s *Server) (warnings []string) {
	for _, w := range o.loaded.values.Warnings {
		warnings = append(warnings, w.Error())
	}
	warnings = append(warnings, unsupportedFlags(o.loaded.flags)...)
	warnings = append(warnings, o.missingFolders()...)
	if s == nil {
		return warnings
	}
	p := s.policy.Load()
	for _, w := range p.warnings {
		if w.At != "" {
			w.Text = w.At + ": " + w.Text
		}
		warnings = append(warnings, w.Text)
	}
	for _, w := range s.certWarnings(time.Now()) {
		warnings = append(warnings, w.text(o.where(w.key)))
	}
	return warnings
}

// startProblems returns the errors that would end a start after New, with their places in the file.
func (o *Options) startProblems() (problems []error) {
	for _, a := range o.advertised() {
		if a.err != nil {
			err := fmt.Errorf("Error setting %s INFO with %s value of %s, err=%w", a.info, a.field, conf.Printable(a.text), a.err)
			problems = append(problems, o.place(&settingError{a.key, err}))
		}
	}
	if err := logger.CheckSyslog(o.RemoteSyslog); err != nil && logDestination(o, false) == toRemoteSyslog {
		problems = append(problems, o.place(&settingError{"remote_syslog", err}))
	}
	if err := o.checkMonitoring(); err != nil {
		problems = append(problems, o.place(&settingError{o.monitoringKey(), monitoringError(err)}))
	}
	return problems
}

// missingFolders returns warnings about files that a start could not write: the folder is missing, the
// name is that of a folder, or this user may not write there. They are no errors: the file may be checked on
// another machine than that of the start.
func (o *Options) missingFolders() (warnings []string) {
	warn := func(key, message string) {
		from := o.loaded.values.Origin(key)
		at := conf.Origin{Layer: from.Layer, Pos: from.Pos, Flag: from.Flag}
		warnings = append(warnings, placedAt(at, key, message).Error())
	}
	for _, file := range []struct{ key, path string }{{"log_file", o.LogFile}, {"pid_file", o.PidFile}, {"http_socket", o.HTTPSocket}} {
		if file.path == "" {
			continue
		}
		if why := notWritable(file.path, process.MayWrite); why != "" {
			warn(file.key, "a start fails here, "+why)
		}
	}
	if dir := o.PortsFileDir; dir != "" {
		if info, err := os.Stat(dir); err != nil {
			warn("ports_file_dir", fmt.Sprintf("no ports file can be written here, the folder is missing: %v", err))
		} else if !info.IsDir() {
			warn("ports_file_dir", "no ports file can be written here, "+dir+" is not a folder")
		} else if err := process.MayWrite(dir); err != nil {
			warn("ports_file_dir", fmt.Sprintf("no ports file can be written here: %v", err))
		}
	}
	return warnings
}

// notWritable returns why a file could not be written, or "". mayWrite returns an error if this
// process may not write to a file or a folder.
func notWritable(path string, mayWrite func(path string) error) string {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Sprintf("the folder is missing: %v", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return path + " is a folder"
	}
	target := path
	if err != nil { // a new file
		target = dir
	}
	if err := mayWrite(target); err != nil {
		return fmt.Sprintf("this user may not write there: %v", err)
	}
	return ""
}

// advertisedAddress is a setting for an address that INFO advertises.
type advertisedAddress struct {
	key, field string // of the setting
	info       string // which INFO has it: server (to clients) or route
	text       string
	err        error // nil if the address is valid
}

// advertised returns these settings.
func (o *Options) advertised() []advertisedAddress {
	list := []advertisedAddress{
		{key: "client_advertise", field: "ClientAdvertise", info: "server", text: o.ClientAdvertise},
		{key: "cluster.cluster_advertise", field: "Cluster.Advertise", info: "route", text: o.Cluster.Advertise},
	}
	for i, a := range list {
		if a.text != "" {
			_, _, list[i].err = advertisedAddr(a.text, DefaultPort)
		}
	}
	return list
}

// describe returns the output of --print-config: the settings in force, defaults included, as a file
// that can be read again.
func (o *Options) describe() string {
	filled := o.Clone()
	filled.fill()
	switch { // what has no effect beside them could not be read again
	case filled.Users != nil:
		filled.Username, filled.Authorization = "", ""
	case filled.Authorization != "":
		filled.Username, filled.Password = "", ""
	}
	v := *o.loaded.values
	v.Target = filled
	return v.Print("GNATSD_")
}

// usageText returns the output of -h.
func usageText() string {
	var b strings.Builder
	b.WriteString("\nUsage: " + process.DefaultName + " [options]\n")
	for _, group := range []string{serverGroup, loggingGroup, authGroup, tlsGroup, clusterGroup, commonGroup} {
		b.WriteString("\n")
		if group == commonGroup {
			b.WriteString("\n")
		}
		b.WriteString(group + ":\n" + optionTable().UsageGroup(group))
	}
	return b.String() + "\n"
}

// versionText returns the output of -v. Tools look for the name nats-server.
func versionText() string {
	return fmt.Sprintf("nats-server version %s\n", Version)
}

// OptionsMarkdown returns the tables of conf/README.md: every key of the configuration file and
// every flag.
func OptionsMarkdown() string {
	var b strings.Builder
	tb := optionTable()
	for _, section := range tb.Sections() {
		title := "Top level"
		if section != "" {
			title = "`" + section + "`"
		}
		fmt.Fprintf(&b, "#### %s\n\n%s\n", title, tb.Markdown(section))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// PrintAndDie prints a message to standard error and exits with status 1.
func PrintAndDie(msg string) {
	fmt.Fprintln(os.Stderr, msg)
	os.Exit(1)
}

// PrintServerAndExit prints the version to standard output and exits with status 0.
func PrintServerAndExit() {
	fmt.Print(versionText())
	os.Exit(0)
}

// PrintTLSHelpAndDie prints the TLS help to standard output and exits with status 0.
func PrintTLSHelpAndDie() {
	fmt.Print(tlsfiles.Help())
	os.Exit(0)
}
