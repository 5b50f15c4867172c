//go:build ignore

// This file is where gnatsd 1.x has the program: go run util/mkpasswd.go makes a password. The
// command is util/mkpasswd.
package main

import (
	"os"

	"gnatsd/util/internal/mkpasswd"
)

func main() { os.Exit(mkpasswd.Main(os.Args[1:])) }
