package test

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server"
)

// settings are the options a transcript may set, each under the name it has in a configuration file.
var settings = map[string]func(*server.Options, string) error{
	"max_payload":       intSetting(func(o *server.Options, n int) { o.MaxPayload = n }),
	"max_control_line":  intSetting(func(o *server.Options, n int) { o.MaxControlLine = n }),
	"max_connections":   intSetting(func(o *server.Options, n int) { o.MaxConn = n }),
	"max_subscriptions": intSetting(func(o *server.Options, n int) { o.MaxSubs = n }),
	"max_pending":       intSetting(func(o *server.Options, n int) { o.MaxPending = int64(n) }),
	"ping_interval":     durationSetting(func(o *server.Options, d time.Duration) { o.PingInterval = d }),
	"ping_max":          intSetting(func(o *server.Options, n int) { o.MaxPingsOut = n }),
	"write_deadline":    durationSetting(func(o *server.Options, d time.Duration) { o.WriteDeadline = d }),
	"config":            useConfig,
}

// useConfig takes the settings of a file in testdata. It comes first among the options of a transcript.
func useConfig(o *server.Options, name string) error {
	loaded, err := server.ProcessConfigFile(filepath.Join("testdata", name))
	if err != nil {
		return err
	}
	loaded.Host, loaded.Port, loaded.NoLog, loaded.NoSigs = o.Host, o.Port, o.NoLog, o.NoSigs
	*o = *loaded
	return nil
}

func intSetting(set func(*server.Options, int)) func(*server.Options, string) error {
	return func(o *server.Options, text string) error {
		n, err := strconv.Atoi(text)
		set(o, n)
		return err
	}
}

func durationSetting(set func(*server.Options, time.Duration)) func(*server.Options, string) error {
	return func(o *server.Options, text string) error {
		d, err := time.ParseDuration(text)
		set(o, d)
		return err
	}
}

// serverOptions are the options of the broker that a transcript is played to.
func serverOptions(tr *transcript) (*server.Options, error) {
	opts := quietOptions()
	for _, o := range tr.options {
		set, ok := settings[o.name]
		if !ok {
			return nil, fmt.Errorf("%s: unknown option %q", o.place, o.name)
		}
		if err := set(opts, o.value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", o.place, o.name, err)
		}
	}
	return opts, nil
}

// player plays a transcript, in one way after the other, to a broker with its options.
type player struct {
	opts  *server.Options
	s     *server.Server
	fresh bool // each replay has a broker of its own
}

// newPlayer starts the broker. A transcript that expects INFO expects the numbers that clients of a new broker have.
func newPlayer(t *testing.T, tr *transcript) *player {
	t.Helper()
	opts, err := serverOptions(tr)
	must(t, err)
	p := &player{opts: opts, fresh: slices.ContainsFunc(tr.steps, func(s step) bool { return s.verb == expectInfo })}
	p.restart(t)
	t.Cleanup(func() { p.s.Shutdown() })
	return p
}

func (p *player) restart(t *testing.T) {
	t.Helper()
	s, err := start(p.opts)
	must(t, err)
	p.s = s
}

// play replays the transcript and waits until the broker is as it was before.
func (p *player) play(t *testing.T, tr *transcript, cut cutter) {
	t.Helper()
	addr := p.s.Addr().String()
	if err := replay(tr, func() (net.Conn, error) { return net.Dial("tcp", addr) }, cut); err != nil {
		t.Error(err)
	}
	if p.fresh {
		p.s.Shutdown()
		p.restart(t)
		return
	}
	eventually(t, "end of all connections and subscriptions", func() bool { return p.s.NumClients() == 0 && p.s.NumSubscriptions() == 0 })
}

// TestTranscripts plays every transcript of testdata line by line, with pipelined lines in one write, one byte at a time, and with
// every send cut in two at every byte of its control lines and around the ends of its payloads.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	all, err := readTranscripts("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		t.Run(strings.TrimSuffix(filepath.Base(tr.path), ".txt"), func(t *testing.T) {
			t.Parallel()
			pipelined := tr.merged()
			p := newPlayer(t, tr)
			ok := t.Run("line by line", func(t *testing.T) { p.play(t, tr, whole) }) &&
				t.Run("pipelined", func(t *testing.T) { p.play(t, pipelined, whole) }) &&
				t.Run("one byte at a time", func(t *testing.T) { p.play(t, pipelined, everywhere) })
			if !ok {
				return // the cuts would fail in the same place, each after its wait
			}
			t.Run("cut at every byte", func(t *testing.T) {
				if testing.Short() {
					t.Skip("slow")
				}
				for k := range pipelined.mostCuts() {
					if p.play(t, pipelined, cutAt(k)); t.Failed() {
						t.Fatalf("cut at place %d", k)
					}
				}
			})
		})
	}
}
