// Command mkcerts writes the certificates that the README's examples name:
//
//	go run ./test/certs/mkcerts [directory]
//
// The directory is ./test/configs/certs unless given.
package main

import (
	"flag"
	"fmt"
	"os"

	"gnatsd/test/certs"
)

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "Usage: mkcerts [directory]   (default: ./test/configs/certs)") }
	flag.Parse()
	dir := "./test/configs/certs"
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	if err := certs.WriteAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "mkcerts:", err)
		os.Exit(1)
	}
	fmt.Println("wrote", dir)
}
