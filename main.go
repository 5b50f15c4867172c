// Command gnatsd is a message broker for NATS clients.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"gnatsd/server"
)

func main() {
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 0 // what is sampled can be asked for at the profiling port only, and takes memory
	stderr := server.Stderr()
	opts, status := server.CommandLine(os.Args[1:], os.Stdout, stderr)
	if opts != nil {
		if opts.ProfPort != 0 {
			runtime.MemProfileRate = rate
		}
		status = serve(opts, stderr)
	}
	os.Exit(status)
}

// serve runs a server until it is shut down, and returns the exit status. Errors before the log is
// open, and that of the pid file, are printed on stderr.
func serve(o *server.Options, stderr io.Writer) int {
	s, err := server.NewServer(o)
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
	if err != nil {
		return 1
	}
	return 0
}
