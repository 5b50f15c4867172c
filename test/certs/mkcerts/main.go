// Command mkcerts writes the certificates that the README's examples name:
//
//	go run ./test/certs/mkcerts [directory]
//
// The directory is ./test/configs/certs unless given.
package main

import (
	"fmt"
	"os"

	"gnatsd/test/certs"
)

func main() {
	dir := "./test/configs/certs"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := certs.WriteAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "mkcerts:", err)
		os.Exit(1)
	}
	fmt.Println("wrote", dir)
}
