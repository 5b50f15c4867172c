// Command gnatsd is a message broker that speaks the NATS protocol.
package main

import (
<<<<<<< HEAD
	"errors"
	"flag"
=======
>>>>>>> 4cede0f (server: one row per setting: file, flags, usage, documentation, --print-config and -t)
	"fmt"
	"io"
	"os"
	"time"

	"gnatsd/server"
)

func main() {
<<<<<<< HEAD
	o := &server.Options{}
	fs := flag.NewFlagSet("gnatsd", flag.ExitOnError)
	fs.StringVar(&o.Host, "a", "", "")
	fs.IntVar(&o.Port, "p", 0, "")
	fs.BoolVar(&o.Debug, "D", false, "")
	fs.BoolVar(&o.Trace, "V", false, "")
	fs.BoolVar(&o.Logtime, "T", true, "")
	fs.StringVar(&o.LogFile, "l", "", "")
	fs.BoolVar(&o.Syslog, "s", false, "")
	fs.StringVar(&o.RemoteSyslog, "r", "", "")
	fs.StringVar(&o.PidFile, "P", "", "")
	fs.StringVar(&o.PortsFileDir, "ports_file_dir", "", "")
	sl := fs.String("sl", "", "")
	v := fs.Bool("v", false, "")
	fs.Parse(os.Args[1:])
	if *v {
		fmt.Printf("nats-server version %s\n", server.Version)
		return
	}
	if *sl != "" {
		os.Exit(sendSignal(*sl, os.Stderr))
	}
	os.Exit(serve(o, os.Stderr))
}

// sendSignal sends a command to another process, and returns the exit code.
func sendSignal(arg string, stderr io.Writer) int {
	if err := server.ProcessSignalArg(arg); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// serve runs a broker until it has stopped, and returns the exit code. What goes
// wrong before there is a log, it tells on stderr, as the classic broker does.
func serve(o *server.Options, stderr io.Writer) int {
	s, err := server.New(o)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if err := s.ConfigureLogger(); err != nil {
		fmt.Fprintf(stderr, "%s %v\n", time.Now().Format("2006/01/02 15:04:05"), err)
		return 1
	}
	err = server.Run(s)
	if pid := (*server.PidFileError)(nil); errors.As(err, &pid) {
		fmt.Fprintf(stderr, "%v\n\n", err)
	}
=======
	opts, status := server.CommandLine(os.Args[1:], os.Stdout, os.Stderr)
	if opts != nil {
		status = run(opts)
	}
	os.Exit(status)
}

// run serves until a signal ends it and returns the exit status.
func run(o *server.Options) int {
	s, err := server.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l := logger.NewStdLogger(o.Logtime, o.Debug, o.Trace, false, true)
	s.SetLogger(l, o.Debug, o.Trace)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-ch; s.Shutdown() }() // ends with the process
	err = s.Run()
	l.Close()
>>>>>>> 4cede0f (server: one row per setting: file, flags, usage, documentation, --print-config and -t)
	if err != nil {
		return 1
	}
	return 0
}
