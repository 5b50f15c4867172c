// Command mkpasswd makes passwords for gnatsd and the bcrypt hashes that its configuration files
// take in their place.
//
//	mkpasswd          a random password and its hash
//	mkpasswd -p       the hash of a password that is typed, or read from a pipe: one line, or two that must be equal
//	mkpasswd -c 12    with another bcrypt cost, 4 to 31; the default is 11
package main

import (
	"os"

	"gnatsd/util/internal/mkpasswd"
)

func main() { os.Exit(mkpasswd.Main(os.Args[1:])) }
