// Command clients runs small programs, written with the clients that people use today, against a
// broker: publish, subscribe, queue groups, requests, headers, no responders, drain, reconnect,
// nkeys. `make clients` calls it.
//
// Each client is a row of clientRows: how it is installed, into a directory that is removed
// afterwards, and how it is run. A program finds the broker at NATS_URL. When it prints a line
// "restart" the broker is killed and started again on the same port. Another broker, at NKEY_URL,
// admits the user that signs with the seed in the file NKEY_SEED, that of the public key
// NKEY_PUBLIC.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"gnatsd/test/freeport"

	"github.com/nats-io/nkeys"
)

// limit bounds one client, its installation included.
const limit = 5 * time.Minute

func main() {
	binary := flag.String("broker", "./gnatsd", "binary under test")
	sources := flag.String("sources", "test/clients", "directory of the programs")
	only := flag.String("only", "", "run only the client of this name")
	flag.Parse()
	failed := false
	for _, row := range clientRows {
		if *only != "" && row.name != *only {
			continue
		}
		if err := runClient(row, *binary, *sources); err != nil {
			fmt.Printf("FAIL %s: %v\n", row.name, err)
			failed = true
			continue
		}
		fmt.Printf("PASS %s\n", row.name)
	}
	if failed {
		os.Exit(1)
	}
}

// runClient installs a client and runs it against a broker of its own.
func runClient(row clientRow, binary, sources string) error {
	dir, err := os.MkdirTemp("", "gnatsd-clients-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	w := &work{ctx: ctx, dir: dir, sources: filepath.Join(sources, row.name)}
	if err := row.install(w); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if w.broker, err = startBroker(ctx, binary); err != nil {
		return err
	}
	defer w.broker.stop()
	if w.nkey, err = newNkeyUser(dir); err != nil {
		return err
	}
	if w.signed, err = startBroker(ctx, binary, "-c", w.nkey.config); err != nil {
		return err
	}
	defer w.signed.stop()
	return row.run(w)
}

// nkeyUser is a user with an nkey.
type nkeyUser struct {
	public string
	seed   string // file
	config string // file of a broker that knows this user only
}

// newNkeyUser makes a user, with files in dir.
func newNkeyUser(dir string) (nkeyUser, error) {
	u := nkeyUser{seed: filepath.Join(dir, "user.nk"), config: filepath.Join(dir, "nkey.conf")}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return u, err
	}
	if u.public, err = pair.PublicKey(); err != nil {
		return u, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return u, err
	}
	config := fmt.Sprintf("authorization { timeout: 30, users: [ { nkey: %s } ] }\n", u.public)
	return u, errors.Join(os.WriteFile(u.seed, seed, 0o600), os.WriteFile(u.config, []byte(config), 0o600))
}

// work is one client being tried.
type work struct {
	ctx     context.Context
	dir     string // for what is installed
	sources string
	broker  *broker
	signed  *broker // for the user with the nkey
	nkey    nkeyUser
}

// command prepares a program that finds the broker in its environment.
func (w *work) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.ctx, name, args...)
	cmd.Env = os.Environ()
	if w.broker != nil {
		cmd.Env = append(cmd.Env, "NATS_URL="+w.broker.url(), "NKEY_URL="+w.signed.url(),
			"NKEY_PUBLIC="+w.nkey.public, "NKEY_SEED="+w.nkey.seed)
	}
	return cmd
}

// output runs a program to its end and returns all that it wrote.
func (w *work) output(name string, args ...string) (string, error) {
	text, err := w.command(name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return string(text), err
}

// follow runs a program that says when the broker is to be restarted.
func (w *work) follow(name string, args ...string) error {
	cmd := w.command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	restarts := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != "restart" {
			fmt.Printf("  %s\n", lines.Text())
			continue
		}
		restarts++
		if err := w.broker.restart(w.ctx); err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return err
		}
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	if restarts == 0 {
		return errors.New("it never had the broker restarted")
	}
	return nil
}

// broker is a broker as a process.
type broker struct {
	binary string
	args   []string
	port   int
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// startBroker runs the binary on a free port and waits until it answers.
func startBroker(ctx context.Context, binary string, args ...string) (*broker, error) {
	port, err := freeport.Get()
	if err != nil {
		return nil, err
	}
	b := &broker{binary: binary, args: args, port: port}
	return b, b.start(ctx)
}

func (b *broker) addr() string { return freeport.Loopback(b.port) }

func (b *broker) url() string { return "nats://" + b.addr() }

func (b *broker) start(ctx context.Context) error {
	b.cmd = exec.CommandContext(ctx, b.binary, append([]string{"-a", "127.0.0.1", "-p", strconv.Itoa(b.port)}, b.args...)...)
	var log bytes.Buffer
	b.cmd.Stdout, b.cmd.Stderr, b.exited = &log, &log, make(chan struct{})
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	go func() { // ends with the process
		defer close(b.exited)
		b.cmd.Wait() // how it ended is in ProcessState
	}()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		nc, err := net.Dial("tcp", b.addr())
		if err == nil {
			nc.Close()
			return nil
		}
		select {
		case <-b.exited:
			return fmt.Errorf("the broker does not listen on %s, but ended with %s:\n%s", b.addr(), b.cmd.ProcessState, log.String())
		case <-ctx.Done():
			b.stop()
			return fmt.Errorf("the broker does not listen on %s: %w\n%s", b.addr(), ctx.Err(), log.String())
		case <-poll.C:
		}
	}
}

// stop kills the broker: clients must cope with that.
func (b *broker) stop() {
	b.cmd.Process.Kill()
	<-b.exited
}

func (b *broker) restart(ctx context.Context) error {
	b.stop()
	return b.start(ctx)
}
