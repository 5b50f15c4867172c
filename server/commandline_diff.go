package server

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gnatsd/conf"
	"gnatsd/server/internal/process"
)

// This file is --diff: what a reload with a file would change.

// diffOnly checks the settings as -t does, then compares them with those that are
// running: a file, by its path; a process, by its pid or its pid file; or, if
// running is "true", the only server there is. It changes nothing. The status is 0
// if the reload would be accepted.
func diffOnly(o *Options, running string, stdout, stderr io.Writer) (status int) {
	if o.ConfigFile == "" {
		fmt.Fprintln(stderr, "--diff needs a configuration file, e.g. -c gnatsd.conf")
		return 1
	}
	record, next, what, err := findRunning(o, running)
	if err != nil {
		fmt.Fprintln(stderr, conf.Explain(err))
		return 1
	}
	if status := checkOnly(next, stderr); status != 0 {
		return status
	}
	next = next.Clone()
	next.fill()
	var live, fixed []settingsDifference
	for _, d := range record.differences(next) {
		if d.row.Reload == conf.Fixed {
			fixed = append(fixed, d)
		} else {
			live = append(live, d)
		}
	}
	fmt.Fprint(stdout, diffText(what, live, fixed))
	if len(fixed) > 0 {
		return 1
	}
	return 0
}

// diffText says what a reload would do.
func diffText(what string, live, fixed []settingsDifference) string {
	var b strings.Builder
	list := func(title string, all []settingsDifference) {
		if len(all) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s:\n", title)
		for _, d := range all {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	if len(live)+len(fixed) == 0 {
		return fmt.Sprintf("A reload of %s would change nothing.\n", what)
	}
	list("A reload of "+what+" would change", live)
	if len(fixed) > 0 {
		if b.Len() > 0 {
			b.WriteString("but it would be refused, because this needs a restart:\n")
		} else {
			fmt.Fprintf(&b, "A reload of %s would be refused, because this needs a restart:\n", what)
		}
		for _, d := range fixed {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	return b.String()
}

// findRunning returns the record of what runs, and what o's file would lead to
// there: under the flags of the process, and with its environment.
func findRunning(o *Options, running string) (record *settingsRecord, next *Options, what string, err error) {
	target := running
	if running == "true" { // as package flag says that nothing was written behind it
		target = ""
	}
	if _, err := process.TargetPid(target); err != nil && target != "" {
		return fileRecord(o, target)
	}
	pid, err := process.RunningPid(target)
	if err != nil {
		return nil, nil, "", err
	}
	record, args, env, err := runningSettings(pid)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%w; compare with the file it runs with, --diff=FILE", err)
	}
	next, err = optionsOf(o.ConfigFile, args, env)
	return record, next, "process " + strconv.Itoa(pid), err
}

// fileRecord is the record of a server that would run with a file and the flags of
// o.
func fileRecord(o *Options, file string) (record *settingsRecord, next *Options, what string, err error) {
	old := &Options{Logtime: true}
	if err := loadOptions(old, file, o.loaded.flags); err != nil {
		return nil, nil, "", err
	}
	filled := old.Clone()
	filled.fill()
	return newSettingsRecord(filled), o, "a server with " + file, nil
}

// optionsOf are the settings of a server with this command line and environment,
// if it had this file.
func optionsOf(file string, args, env []string) (*Options, error) {
	fs := flag.NewFlagSet(process.DefaultName, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	flags := optionTable().Define(fs)
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("command line of the running server: %w", err)
	}
	o := &Options{Logtime: true}
	err := loadFrom(o, file, flags, environment(env))
	o.ConfigFile = file
	return o, err
}

// environment is the system with the environment of a process, or with ours if
// that is a secret to us.
func environment(env []string) conf.Source {
	s := conf.System()
	if len(env) == 0 || env[0] == "" {
		return s
	}
	s.Env = func(name string) (string, bool) {
		for _, pair := range env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	return s
}
