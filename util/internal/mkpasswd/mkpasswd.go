// Package mkpasswd is the program that makes passwords for gnatsd, and the bcrypt hashes that its
// configuration files take in their place. It is a package because there are two ways to it:
// util/mkpasswd, and util/mkpasswd.go, which is where it was in gnatsd 1.x.
package mkpasswd

import (
	"bufio"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

const (
	defaultCost    = 11
	passwordLength = 22
	alphabet       = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@$#%^&*()"
	usage          = "Usage: mkpasswd [-p <stdin password>] [-c COST] "
)

var errMismatch = errors.New("Error, passwords do not match") //lint:ignore ST1005 a text of the classic tool

// Main runs the program with the streams of the process, and returns its exit status.
func Main(args []string) int {
	return run(args, streams{in: terminal(os.Stdin), out: os.Stdout, errs: os.Stderr})
}

// streams is what the program reads and writes.
type streams struct {
	in        lineReader
	out, errs io.Writer
}

// lineReader reads a password. Its error is io.EOF at the end of the input.
type lineReader func() (string, error)

// terminal returns a reader of the lines of f: without echo if f is a terminal.
func terminal(f *os.File) lineReader {
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		return func() (string, error) {
			b, err := term.ReadPassword(fd)
			return string(b), err
		}
	}
	return linesOf(f)
}

// linesOf returns a reader of the lines of r. The last one needs no line end.
func linesOf(r io.Reader) lineReader {
	b := bufio.NewReader(r)
	return func() (string, error) {
		s, err := b.ReadString('\n')
		if err == io.EOF && s != "" {
			err = nil
		}
		s = strings.TrimSuffix(s, "\n")
		return strings.TrimSuffix(s, "\r"), err
	}
}

// run is the program. It returns the exit status.
func run(args []string, s streams) int {
	flags := flag.NewFlagSet("mkpasswd", flag.ContinueOnError)
	flags.SetOutput(s.errs)
	flags.Usage = func() { fmt.Fprintln(s.errs, usage) }
	ask := flags.Bool("p", false, "ask for the password")
	cost := flags.Int("c", defaultCost, "bcrypt cost")
	if flags.Parse(args) != nil {
		return 1
	}
	if err := produce(*ask, *cost, s); err != nil {
		fmt.Fprintln(s.errs, err)
		return 1
	}
	return 0
}

// produce prints the hash of a password that is read, or a new password and its hash.
func produce(ask bool, cost int, s streams) error {
	source := randomPassword
	if ask {
		source = s.askTwice
	}
	password, err := source()
	if err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return fmt.Errorf("Error producing bcrypt hash: %w", err) //lint:ignore ST1005 a text of the classic tool
	}
	text := fmt.Sprintf("bcrypt hash: %s\n", hash)
	if !ask {
		text = fmt.Sprintf("pass: %s\n", password) + text
	}
	if _, err := io.WriteString(s.out, text); err != nil {
		return fmt.Errorf("Error printing: %w", err) //lint:ignore ST1005 like the other texts
	}
	return nil
}

// askTwice reads a password twice, and returns an error if they differ. From a pipe, once is
// enough.
func (s streams) askTwice() (string, error) {
	fmt.Fprint(s.out, "Enter Password: ")
	first, err := s.in()
	if err != nil {
		return "", fmt.Errorf("Error reading password: %w", err) //lint:ignore ST1005 like the other texts
	}
	fmt.Fprint(s.out, "\nReenter Password: ")
	second, err := s.in()
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("Error reading password: %w", err) //lint:ignore ST1005 like the other texts
	}
	if err == nil && second != first {
		return "", errMismatch
	}
	fmt.Fprintln(s.out)
	return first, nil
}

// randomPassword returns a password of 22 random characters of the alphabet: 135 bits.
func randomPassword() (string, error) {
	p := make([]byte, passwordLength)
	for i := range p {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", fmt.Errorf("Error producing password: %w", err) //lint:ignore ST1005 like the other texts
		}
		p[i] = alphabet[n.Int64()]
	}
	return string(p), nil
}
