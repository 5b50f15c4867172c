//go:build ignore

// This file lets the line of gnatsd 1.x, go run util/mkpasswd.go, make a password. The program is the
// package in util/mkpasswd.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

func main() {
	cmd := exec.Command("go", append([]string{"run", "gnatsd/util/mkpasswd"}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkpasswd:", err)
		os.Exit(1)
	}
}
