package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/test/freeport"
)

// This file runs the commands of the NATS command line that ask on $SYS, against one server and a
// mesh of three, of the broker under test and of nats-server, and compares the exit codes and what
// the answers are made of: the keys of JSON, the labels and headings of text. What may differ is in
// systemDifferences.

// systemShapes are how many servers are asked.
var systemShapes = []int{1, 3}

// A systemCommand is one that operators type. ID and CID in args stand for the id of the first
// server, and for the cid of a client of it.
type systemCommand struct {
	args string
	run  func(c *cli, servers *system, args []string) (text string, code int)
}

var systemCommands = []systemCommand{
	{"server list N --json", toEnd},
	{"server ping N", toEnd},
	{"server info n0", toEnd},
	{"server report connections", toEnd},
	{"server report routes", toEnd},
	{"server report accounts", toEnd},
	{"server report health", toEnd},
	{"server request variables", toEnd},
	{"server request connections", toEnd},
	{"server request connections --subscriptions", toEnd},
	{"server request routes", toEnd},
	{"server request subscriptions", toEnd},
	{"server request subscriptions --detail", toEnd},
	{"server request jetstream-health", toEnd},
	{"server check connection --format json", toEnd},
	{"server check server --name n0 --format json", toEnd},
	{"server watch servers", onTerminal},
	{"server graph n0", onTerminal},
	{"server config reload ID --force", toEnd},
	{"server request kick CID ID", toEnd},
	{"server request kick 9999 none", toEnd},
	{"server cluster balance --force", toEnd},
	{"top n0 --output FILE", toFile},
	{"events --json", untilEvents},
	{"account info", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.STATSZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.IDZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.VARZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.CONNZ {\"auth\":true,\"subscriptions\":true}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.ROUTEZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.SUBSZ {\"subscriptions\":true}", toEnd},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.HEALTHZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.PING.STATZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.CONNZ {}", toEnd},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.SUBSZ {\"subscriptions\":true}", toEnd},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.INFO {}", toEnd},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.CONNS {}", toEnd},
	{"req --raw $SYS.REQ.USER.INFO {}", toEnd},
}

// A systemDifference is one between the broker under test and nats-server 2.9.10 that is known.
type systemDifference struct {
	command string // the beginning of the commands
	only    string // which of the two has it, ours or theirs
	what    string // a regular expression: a key, a label, or "exit N"
	reason  string
}

// system is one or several servers of one kind.
type system struct {
	servers []*broker
	ids     []string
	tenant  *listener // a client of another account on the first server
	tenants int       // how many there have been
}

func (s *system) stop() {
	if s.tenant != nil {
		s.tenant.stop()
	}
	for _, b := range s.servers {
		b.stop()
	}
}

// url is that of the first server for a user.
func (s *system) url(user string) string {
	return "nats://" + user + ":" + user + "@" + s.servers[0].addr()
}

const systemConfig = `
server_name: n%d
accounts { SYS { users: [{ user: sys, password: sys }] }, APP { users: [{ user: app, password: app }] } }
system_account: SYS
cluster { name: C, listen: "127.0.0.1:%d", routes: [%s] }
`

// startSystem runs n servers of a binary, which know each other when it returns.
func (c *cli) startSystem(binary string, n int) (s *system, err error) {
	s = &system{}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	seed := ""
	for i := range n {
		port, err := freeport.Get()
		if err != nil {
			return s, err
		}
		file := filepath.Join(c.dir, fmt.Sprintf("%s-%d-%d.conf", filepath.Base(binary), n, i))
		if err := os.WriteFile(file, fmt.Appendf(nil, systemConfig, i, port, seed), 0o600); err != nil {
			return s, err
		}
		if i == 0 && n > 1 {
			seed = strconv.Quote("nats-route://" + freeport.Loopback(port))
		}
		b, err := startBroker(c.ctx, binary, "-c", file)
		if err != nil {
			return s, err
		}
		s.servers = append(s.servers, b)
	}
	for len(s.ids) < n && c.ctx.Err() == nil {
		text, _ := c.nats("--server", s.url("sys"), "server", "list", strconv.Itoa(n), "--json", "--sort", "name", "--reverse", "--timeout", "500ms")
		var list []struct{ Server struct{ ID, Name string } }
		if json.Unmarshal([]byte(text), &list) != nil {
			continue
		}
		s.ids = nil
		slices.SortFunc(list, func(a, b struct{ Server struct{ ID, Name string } }) int {
			return strings.Compare(a.Server.Name, b.Server.Name)
		})
		for _, v := range list {
			s.ids = append(s.ids, v.Server.ID)
		}
	}
	return s, c.startTenant(s)
}

// startTenant connects the tenant.
func (c *cli) startTenant(s *system) (err error) {
	s.tenants++
	if s.tenant, err = c.listen("--server", s.url("app"), "--connection-name", s.tenantName(), "sub", "orders.>"); err != nil {
		return err
	}
	for c.ctx.Err() == nil {
		if _, err = c.tenantID(s); err == nil {
			return nil
		}
	}
	return c.ctx.Err()
}

func (s *system) tenantName() string { return "tenant " + strconv.Itoa(s.tenants) }

// tenantID is the cid of the tenant.
func (c *cli) tenantID(s *system) (string, error) {
	text, err := c.nats("--server", s.url("sys"), "server", "request", "connections", "--name", "n0")
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			Connections []struct {
				CID  uint64
				Name string
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return "", err
	}
	for _, conn := range answer.Data.Connections {
		if conn.Name == s.tenantName() {
			return strconv.FormatUint(conn.CID, 10), nil
		}
	}
	return "", errors.New("the tenant is not connected")
}

// toEnd runs a command to its end.
func toEnd(c *cli, _ *system, args []string) (string, int) {
	cmd := c.command(args...)
	text, _ := cmd.Output()
	return string(text), cmd.ProcessState.ExitCode()
}

// toFile runs a command that writes to FILE.
func toFile(c *cli, s *system, args []string) (string, int) {
	file := filepath.Join(c.dir, "out-"+s.ids[0])
	for i, arg := range args {
		if arg == "FILE" {
			args[i] = file
		}
	}
	_, code := toEnd(c, s, args)
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error(), code
	}
	os.Remove(file)
	return string(text), code
}

// onTerminal runs a command on a terminal until it shows the name of the first server.
func onTerminal(c *cli, _ *system, args []string) (string, int) {
	nats := c.command(args...)
	words := []string{"stty rows 60 cols 160;"}
	for _, word := range nats.Args {
		words = append(words, "'"+word+"'")
	}
	cmd := exec.CommandContext(c.ctx, "script", "-qefc", strings.Join(words, " "), "/dev/null")
	cmd.Env = append(nats.Env, "TERM=xterm")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err.Error(), -1
	}
	if err := cmd.Start(); err != nil {
		return err.Error(), -1
	}
	late := time.AfterFunc(15*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "n0") {
		n, err := out.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			cmd.Wait()
			return "it ended: " + seen.String(), -1
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return "Shows: n0", 0
}

// untilEvents runs a command that shows events until it has shown that a client came and went, and
// that another one could not log in. Events of other clients may come between, and the last one may
// not be there in full.
func untilEvents(c *cli, s *system, args []string) (string, int) {
	events, err := c.listen(args...)
	if err != nil {
		return err.Error(), -1
	}
	defer events.stop()
	text, complete := "", false
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && !complete; {
		c.nats("--server", s.url("app"), "pub", "events", "one")
		c.nats("--server", strings.Replace(s.url("app"), "app@", "wrong@", 1), "rtt", "1")
		text, complete = wholeEvents(events.text.String())
	}
	if !complete {
		return "it does not show all events: " + events.text.String(), -1
	}
	return text, 0
}

// wholeEvents returns the events in JSON that are there in full, without what is between them, and
// reports whether they are those that untilEvents waits for.
func wholeEvents(text string) (whole string, complete bool) {
	var came, went, refused bool
	for at := strings.IndexByte(text, '{'); at >= 0; at = strings.IndexByte(text, '{') {
		text = text[at:]
		var e struct {
			Type, Reason string
			Client       struct{ User string }
		}
		in := json.NewDecoder(strings.NewReader(text))
		var syntax *json.SyntaxError
		switch err := in.Decode(&e); {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return whole, came && went && refused
		case errors.As(err, &syntax):
			text = text[1:] // something else was printed in between
			continue
		}
		whole += text[:in.InputOffset()] + "\n"
		text = text[in.InputOffset():]
		app := e.Client.User == "app"
		came = came || app && strings.HasSuffix(e.Type, "client_connect")
		went = went || app && strings.HasSuffix(e.Type, "client_disconnect")
		refused = refused || e.Reason == "Authentication Failure"
	}
	return whole, came && went && refused
}

var (
	labelled = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z /()]*):`)
	ofColour = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	digits   = regexp.MustCompile(`[0-9]`)
)

// madeOf is what an answer is made of.
func madeOf(text string, code int) map[string]bool {
	parts := map[string]bool{fmt.Sprintf("exit %d", code): true}
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		in := json.NewDecoder(strings.NewReader(text))
		for {
			var v any
			if err := in.Decode(&v); err != nil {
				if err != io.EOF {
					parts["text behind JSON"] = true
				}
				return parts
			}
			addKeys(parts, "", v)
		}
	}
	for line := range strings.Lines(ofColour.ReplaceAllString(text, "")) {
		if m := labelled.FindStringSubmatch(line); m != nil {
			parts[m[1]+":"] = true
		}
		if !strings.Contains(line, "│") {
			continue
		}
		for cell := range strings.SplitSeq(line, "│") {
			if cell = strings.TrimSpace(cell); cell != "" && !digits.MatchString(cell) {
				parts[cell] = true
			}
		}
	}
	return parts
}

// addKeys adds the paths of all keys in a JSON value.
func addKeys(parts map[string]bool, path string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			addKeys(parts, path, e)
		}
	case map[string]any:
		for key, e := range v {
			at := strings.TrimPrefix(path+"."+key, ".")
			parts[at] = true
			if key != "http_req_stats" { // its keys are those that were asked for
				addKeys(parts, at, e)
			}
		}
	}
}

// installSystem installs the command line, and nats-server to compare with.
func installSystem(w *work) error {
	return errors.Join(need(w, "nats-server", "nats-server"), installCLI(w))
}

// runSystem compares every command.
func runSystem(w *work) error {
	c := &cli{w}
	var failures []error
	used := map[*systemDifference]bool{}
	for _, n := range systemShapes {
		var theirs map[string]map[string]bool
		done := make(chan error)
		go func() { // most of the time they wait for more answers
			var err error
			theirs, err = c.madeBy("nats-server", n)
			done <- err
		}()
		ours, err := c.madeBy(w.broker.binary, n)
		if err := errors.Join(err, <-done); err != nil {
			return err
		}
		for _, command := range systemCommands {
			for side, pair := range map[string][2]map[string]bool{"ours": {ours[command.args], theirs[command.args]}, "theirs": {theirs[command.args], ours[command.args]}} {
				for part := range pair[0] {
					if pair[1][part] {
						continue
					}
					d := knownDifference(command.args, side, part)
					if d == nil {
						failures = append(failures, fmt.Errorf("%d server(s), nats %s: only %s has %q", n, command.args, side, part))
						continue
					}
					used[d] = true
				}
			}
		}
	}
	for i := range systemDifferences {
		if d := &systemDifferences[i]; !used[d] {
			failures = append(failures, fmt.Errorf("a difference that is no more: %+v", *d))
		}
	}
	return errors.Join(failures...)
}

func knownDifference(command, side, part string) *systemDifference {
	for i := range systemDifferences {
		d := &systemDifferences[i]
		if strings.HasPrefix(command, d.command) && d.only == side && regexp.MustCompile("^("+d.what+")$").MatchString(part) {
			return d
		}
	}
	return nil
}

// madeBy runs every command against n servers of a binary and returns what the answers are made of.
func (c *cli) madeBy(binary string, n int) (map[string]map[string]bool, error) {
	s, err := c.startSystem(binary, n)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	made := map[string]map[string]bool{}
	for _, command := range systemCommands {
		cid, err := c.tenantID(s)
		if err != nil {
			return nil, err
		}
		args := []string{"--server", s.url("sys"), "--timeout", "1s"}
		for word := range strings.FieldsSeq(command.args) {
			switch word {
			case "N":
				word = strconv.Itoa(n)
			case "ID":
				word = s.ids[0]
			case "CID":
				word = cid
			}
			args = append(args, word)
		}
		text, code := command.run(c, s, args)
		made[command.args] = madeOf(text, code)
		fmt.Printf("  %s, %d server(s): %s: exit %d, %d parts\n", filepath.Base(binary), n, command.args, code, len(made[command.args]))
		if strings.Contains(command.args, "kick CID") && code == 0 || strings.Contains(command.args, "balance") { // it may be on another server now
			s.tenant.stop()
			if err := c.startTenant(s); err != nil {
				return nil, err
			}
		}
	}
	return made, nil
}

// Reasons of differences. test/README.md has them.
const (
	ofLater    = "fields, and requests, of later versions of nats-server"
	ofOurs     = "what this broker has and nats-server does not have"
	notHere    = "JetStream, gateways, leaf nodes, MQTT, WebSocket and a base path that is empty are left out"
	noImports  = "accounts share nothing here, so they have no imports"
	unmeasured = "the round-trip time of a connection is left out until it has been measured"
)

// systemDifferences are the known ones.
var systemDifferences = []systemDifference{
	{"", "ours", `server\.flags`, ofLater},
	{"server list", "ours", `statsz\.gomaxprocs`, ofLater},
	{"server request variables", "ours", `data\.(git_commit|slow_consumer_stats\..*)`, ofLater}, // Debian's has no commit
	{"server request jetstream-health", "ours", `data\.status_code`, ofLater},
	{"server request kick CID", "ours", `server.*|exit 0`, ofLater},
	{"server request kick CID", "theirs", `exit 1`, ofLater},
	{"server config reload", "ours", `.*:|exit 0`, ofLater},
	{"server config reload", "theirs", `exit 1`, ofLater},
	{"events", "ours", `client\.name_tag`, ofLater},
	{"req --raw $SYS.REQ.USER.INFO", "ours", `(data|server).*`, ofLater},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.STATSZ", "ours", `statsz\.(gomaxprocs|received_from_clients.*|sent_to_clients.*)`, ofLater},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.IDZ", "ours", `host|id|name`, ofLater},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.VARZ", "ours", `data\.((in|out)_client_(msgs|bytes)|slow_consumer_stats.*|stale_connections|stalled_clients)`, ofLater},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.ROUTEZ", "ours", `data\.routes\.remote_name`, ofLater},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.HEALTHZ", "ours", `data\.status_code`, ofLater},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.PING.STATZ", "ours", `data\.account_statz\.(name|num_subscriptions|(sent|received)\..*)`, ofLater},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.CONNS", "ours", `name|num_subscriptions|(sent|received)\..*`, ofLater},
	{"server request connections --subscriptions", "ours", `data\.connections\.subscriptions_list_detail\.account`, ofOurs},
	{"req --raw --replies N", "ours", `data\.(server_name|connections\.pending_for|subscriptions_list\.client_name)`, ofOurs},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.VARZ", "ours", `data\.(addr|dropped_msgs|git_commit|max_pending_total|pending_bytes|system_stats.*)`, ofOurs},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.ROUTEZ", "ours", `data\.(expected.*|routes\.(remote_version|pool.*))`, ofOurs},
	{"req --raw --replies N $SYS.REQ.SERVER.PING.VARZ", "theirs", `data\.(gateway|jetstream|leaf|leafnodes|mqtt|websocket|http_base_path)`, notHere},
	{"req --raw --replies N $SYS.REQ.ACCOUNT.APP.INFO", "theirs", `data\.imports.*`, noImports},
	{"", "theirs", `(client|data\.connections|data\.routes)\.rtt`, unmeasured},
}
