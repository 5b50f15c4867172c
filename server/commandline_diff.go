package server

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"gnatsd/conf"
	"gnatsd/server/internal/process"
)

// This file is --diff and --health as far as they depend on Options. The comparison, and the
// questions to a running server, are in package process.

// diffOnly checks the settings as -t does, then compares them with those of running: the path of a
// configuration file, a pid, the path of a pid file, or "true" for the only gnatsd on this machine.
// The status is 0 if that server would accept the settings at a reload.
func diffOnly(o *Options, running string, stdout, stderr io.Writer) (status int) {
	if o.ConfigFile == "" {
		fmt.Fprintln(stderr, "--diff needs a configuration file, e.g. -c gnatsd.conf")
		return 1
	}
	old, next, err := findRunning(o, running)
	if err != nil {
		fmt.Fprintln(stderr, optionTable().Explain(err))
		return 1
	}
	if status := checkOnly(next, stderr); status != 0 {
		return status
	}
	text, refused := old.Diff(next.settings())
	fmt.Fprint(stdout, text)
	if refused {
		return 1
	}
	return 0
}

// findRunning returns the settings of the running server, and those that it would have with o's
// file: under its own flags and with its environment.
func findRunning(o *Options, target string) (old *process.Running, next *Options, err error) {
	if target == "true" { // the value that package flag passes for --diff without one
		target = ""
	}
	if !process.IsTarget(target) {
		filed := &Options{Logtime: true}
		if err := loadOptions(filed, target, o.loaded.flags); err != nil {
			return nil, nil, err
		}
		return process.RunningWith("a server with "+target, filed.settings()), o, nil
	}
	if old, err = process.FindRunning(target); err != nil {
		return nil, nil, err
	}
	fs := flag.NewFlagSet(process.DefaultName, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	flags := optionTable().Define(fs)
	if err := fs.Parse(old.Args()); err != nil {
		return nil, nil, fmt.Errorf("command line of the running server: %w", err)
	}
	source := conf.System()
	source.Env = old.LookupEnv
	next = &Options{Logtime: true}
	err = loadFrom(next, o.ConfigFile, flags, source)
	next.ConfigFile = o.ConfigFile
	return old, next, err
}

// recordSettings publishes the settings in force for --diff, and the open ports for --health, if the
// server has been started by [Run].
func (s *Server) recordSettings() {
	if s.record == nil {
		return
	}
	o, ports := s.options(), s.ports()
	at := process.Listening{Clients: ports.Nats}
	for _, url := range ports.Monitoring {
		at.Monitoring = append(at.Monitoring, url+o.HTTPBasePath)
	}
	s.record.Publish(o.settings(), at)
}

// healthOnly is --health: it says whether running works, which is what diffOnly takes. The status is
// 0 if it does.
func healthOnly(running string, stdout, stderr io.Writer) (status int) {
	if running == "true" { // the value that package flag passes for --health without one
		running = ""
	}
	answer, err := process.Health(running)
	if err != nil {
		for line := range strings.Lines(err.Error()) { // several processes are listed one a line
			fmt.Fprintln(stderr, conf.Printable(strings.TrimSuffix(line, "\n")))
		}
		return 1
	}
	fmt.Fprintln(stdout, conf.Printable(answer))
	return 0
}

// settings returns all settings, with defaults filled in.
func (o *Options) settings() []process.Setting {
	filled, defaults := o.Clone(), &Options{Logtime: true}
	filled.fill()
	defaults.fill()
	var list []process.Setting
	for _, row := range optionTable().Rows() {
		if !row.HoldsValue() || row.Key == "" {
			continue
		}
		s := process.Setting{
			Key: row.Key, Value: row.Text(filled), Shown: row.Shown(filled), Default: row.Text(defaults),
			Set: o.isSet(row), Fixed: row.Reload == conf.Fixed,
		}
		if o.loaded != nil {
			s.Origin = o.loaded.values.Origin(row.Key).String()
		}
		list = append(list, s)
	}
	return list
}
