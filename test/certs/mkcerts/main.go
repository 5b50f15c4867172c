// Command mkcerts writes the certificates that the README's examples name:
//
//	go run ./test/certs/mkcerts [directory ...]
//
// The directory is ./test/configs/certs unless given. Each directory gets an authority of its own.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"gnatsd/test/certs"
)

// usage is what -h prints.
const usage = `Usage: mkcerts [directory ...]   (default: ./test/configs/certs)

Writes ca.pem, and for each of server, client, srva and srvb a certificate and a
key that are valid for localhost, for trying out TLS. They replace what is there.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns its exit status.
func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("mkcerts", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return 0
	} else if err != nil {
		fmt.Fprintf(errs, "mkcerts: %v\n%s", err, usage)
		return 2
	}
	dirs := flags.Args()
	if len(dirs) == 0 {
		dirs = []string{"./test/configs/certs"}
	}
	for _, dir := range dirs {
		if err := certs.WriteAll(dir); err != nil {
			fmt.Fprintln(errs, "mkcerts:", err)
			return 1
		}
		fmt.Fprintln(out, "wrote", dir)
	}
	return 0
}
