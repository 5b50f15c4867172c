// Command gnatsd is a message broker that speaks the NATS protocol.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"gnatsd/logger"
	"gnatsd/server"
)

func main() {
	o := &server.Options{}
	fs := flag.NewFlagSet("gnatsd", flag.ExitOnError)
	fs.StringVar(&o.Host, "a", "", "")
	fs.IntVar(&o.Port, "p", 0, "")
	fs.BoolVar(&o.Debug, "D", false, "")
	fs.BoolVar(&o.Trace, "V", false, "")
	v := fs.Bool("v", false, "")
	fs.Parse(os.Args[1:])
	if *v {
		fmt.Printf("nats-server version %s\n", server.Version)
		return
	}
	s, err := server.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := logger.NewStdLogger(true, o.Debug, o.Trace, false, true)
	s.SetLogger(l, o.Debug, o.Trace)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-ch; s.Shutdown() }()
	err = s.Run()
	l.Close()
	if err != nil {
		os.Exit(1)
	}
}
