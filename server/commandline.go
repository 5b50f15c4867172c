package server

// This file is the program's command line: what it prints, and with which status
// it ends.

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"gnatsd/logger"
	"gnatsd/server/internal/process"
	"gnatsd/server/internal/tlsfiles"
)

// CommandLine reads the arguments of the program. It returns the options to run
// with; or nil, if all that was asked for is done or failed, and the exit status.
func CommandLine(args []string, stdout, stderr io.Writer) (opts *Options, status int) {
	fs := flag.NewFlagSet(process.DefaultName, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stdout, usageText()) }
	misused := true // until the flags have been read: package flag reports that
	opts, err := configure(fs, args, informers{
		read:    func() { misused = false },
		version: func() { fmt.Fprint(stdout, versionText()) },
		help:    func() { fmt.Fprint(stdout, usageText()) },
		tlsHelp: func() { fmt.Fprint(stdout, tlsfiles.Help()) },
	})
	switch {
	case err != nil && !misused:
		fmt.Fprintln(stderr, optionTable().Explain(err))
		return nil, 1
	case err != nil:
		return nil, 1
	case opts == nil:
		return nil, 0
	}
	for _, w := range opts.loaded.values.Warnings {
		if w.Msg == plainWriteDeadline {
			fmt.Fprintln(stdout, "WARNING: "+w.Msg) // as 1.x does
		}
	}
	flags := opts.loaded.flags
	running, diff := flags.Typed("diff")
	switch {
	case diff:
		return nil, diffOnly(opts, running, stdout, stderr)
	case flags.Enabled("t"):
		return nil, checkOnly(opts, stderr)
	case flags.Enabled("print-config"):
		fmt.Fprint(stdout, opts.describe())
		return nil, 0
	case opts.loaded.explain != nil:
		return nil, answer(opts, stdout, stderr)
	}
	return opts, 0
}

// answer is --explain.
func answer(o *Options, stdout, stderr io.Writer) (status int) {
	text, err := Explain(o, o.loaded.explain)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, text)
	return 0
}

// checkOnly is -t: it reports what a start would report, without starting.
func checkOnly(o *Options, stderr io.Writer) (status int) {
	for _, w := range o.loaded.values.Warnings {
		fmt.Fprintln(stderr, "warning: "+w.Error())
	}
	problems := o.startProblems()
	if _, err := New(o); err != nil {
		problems = append(problems, err)
	}
	for _, err := range problems {
		fmt.Fprintln(stderr, optionTable().Explain(err))
	}
	if len(problems) > 0 {
		return 1
	}
	what := "the command line is valid; it names no configuration file"
	if o.ConfigFile != "" {
		what = fmt.Sprintf("configuration file %s is valid", o.ConfigFile)
	}
	fmt.Fprintf(stderr, "%s: %s\n", process.DefaultName, what)
	return 0
}

// startProblems are what a start would run into after New, each with its place
// if a file is to blame.
func (o *Options) startProblems() (problems []error) {
	for _, a := range o.advertised() {
		if a.err != nil {
			err := fmt.Errorf("Error setting %s INFO with %s value of %s, err=%w", a.whose, a.field, a.text, a.err)
			problems = append(problems, o.place(&settingError{a.key, err}))
		}
	}
	if err := logger.CheckSyslog(o.RemoteSyslog); err != nil && logDestination(o, false) == toRemoteSyslog {
		problems = append(problems, o.place(&settingError{"remote_syslog", err}))
	}
	if err := o.checkMonitoring(); err != nil {
		problems = append(problems, o.place(&settingError{"https_port", noMonitoring(err)}))
	}
	return problems
}

// advertisedAddress is an address that others are told.
type advertisedAddress struct {
	key, field string // of the setting
	whose      string // INFO it stands in
	text       string
	err        error // it cannot be used
}

// advertised are the addresses that the settings name.
func (o *Options) advertised() []advertisedAddress {
	list := []advertisedAddress{
		{key: "client_advertise", field: "ClientAdvertise", whose: "server", text: o.ClientAdvertise},
		{key: "cluster.cluster_advertise", field: "Cluster.Advertise", whose: "route", text: o.Cluster.Advertise},
	}
	for i, a := range list {
		if a.text != "" {
			_, _, list[i].err = hostAndPort(strings.TrimSpace(a.text), DefaultPort)
		}
	}
	return list
}

// describe is --print-config: the settings in force, defaults included.
func (o *Options) describe() string {
	filled := o.Clone()
	filled.fill()
	v := *o.loaded.values
	v.Target = filled
	return v.Print()
}

// usageText is what -h prints.
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

// versionText is what -v prints. Tools look for the name.
func versionText() string {
	return fmt.Sprintf("nats-server version %s\n", Version)
}

// OptionsMarkdown documents every key of the configuration file and every flag,
// for conf/README.md.
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

// PrintAndDie prints a message to standard error and ends the process with
// status 1.
func PrintAndDie(msg string) {
	fmt.Fprintln(os.Stderr, msg)
	os.Exit(1)
}

// PrintServerAndExit prints the version to standard output and ends the process
// with status 0.
func PrintServerAndExit() {
	fmt.Print(versionText())
	os.Exit(0)
}

// PrintTLSHelpAndDie prints the TLS help to standard output and ends the process
// with status 0.
func PrintTLSHelpAndDie() {
	fmt.Print(tlsfiles.Help())
	os.Exit(0)
}
