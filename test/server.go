// Package test starts brokers for tests: those of programs that embed one, and our own.
//
//	func TestGreeting(t *testing.T) {
//		s := test.Start(t, nil)
//		nc, err := nats.Connect(s.ClientURL())
//		…
//	}
//
// Start is the way in. The other functions keep the names and signatures that the classic broker's
// test package had.
package test

import (
	"fmt"
	"testing"
	"time"

	"gnatsd/server"
)

// anyPort makes a broker listen on a port that is free.
const anyPort = -1

// readyIn bounds the wait for the listeners of a broker.
const readyIn = 10 * time.Second

// DefaultTestOptions are the options of RunDefaultServer, and of RunServer without options: the
// classic client port on loopback, no log, no signal handling. They are shared: change a copy.
var DefaultTestOptions = server.Options{
	Host:           "127.0.0.1",
	Port:           4222,
	NoLog:          true,
	NoSigs:         true,
	MaxControlLine: 256,
}

// Start runs a broker until the test ends, on a free port of the loopback interface unless opts say
// otherwise. It does not change opts, which may be nil. ClientURL of the result is where clients
// connect.
func Start(tb testing.TB, opts *server.Options) *server.Server {
	tb.Helper()
	o := quietOptions()
	if opts != nil {
		given := *opts
		o = &given
		if o.Host == "" {
			o.Host = "127.0.0.1"
		}
		if o.Port == 0 {
			o.Port = anyPort
		}
		o.NoSigs = true
	}
	s, err := server.NewServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := start(s); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Shutdown)
	return s
}

// quietOptions are those of a broker on a free loopback port that neither logs nor takes signals.
func quietOptions() *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: anyPort, NoLog: true, NoSigs: true}
}

// start runs a broker and waits until clients can connect. Who calls it ends the broker with Shutdown.
func start(s *server.Server) error {
	go s.Start() // ends with Shutdown
	if !s.ReadyForConnections(readyIn) {
		s.Shutdown()
		return fmt.Errorf("broker not ready in %v", readyIn)
	}
	return nil
}

// RunDefaultServer runs a broker with DefaultTestOptions. Stop it with Shutdown.
func RunDefaultServer() *server.Server { return RunServer(&DefaultTestOptions) }

// RunServer runs a broker with these options, or with DefaultTestOptions if they are nil, and
// panics if it is not ready within ten seconds. Stop it with Shutdown. In a test, Start is simpler.
//
// As by [server.New], options that are not set are set to their defaults, and ports that are -1 to
// those that the broker listens on: programs for other brokers look there.
func RunServer(opts *server.Options) *server.Server { return RunServerCallback(opts, nil) }

// RunServerCallback is RunServer, and calls callback with the broker before it is started.
//
// Deprecated: use server.NewServer.
func RunServerCallback(opts *server.Options, callback func(*server.Server)) *server.Server {
	if opts == nil {
		opts = &DefaultTestOptions
	}
	s := server.New(opts)
	if callback != nil {
		callback(s)
	}
	if err := start(s); err != nil {
		panic(err)
	}
	return s
}

// LoadConfig reads a configuration file for RunServer: without a log and signals. It panics if the
// file has errors.
//
// Deprecated: use server.ProcessConfigFile and Start.
func LoadConfig(configFile string) *server.Options {
	opts, err := server.ProcessConfigFile(configFile)
	if err != nil {
		panic(fmt.Sprintf("Error processing configuration file: %v", err))
	}
	opts.NoSigs, opts.NoLog = true, true
	return opts
}

// RunServerWithConfig is RunServer with the options of a configuration file, which it returns too.
//
// Deprecated: use server.ProcessConfigFile and Start.
func RunServerWithConfig(configFile string) (*server.Server, *server.Options) {
	opts := LoadConfig(configFile)
	return RunServer(opts), opts
}
