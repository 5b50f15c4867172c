package test

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server"
	"gnatsd/test/transcript"
)

// settings are the options a transcript may set, each under the name it has in a configuration
// file.
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
	// The first PING of a client that says what it is written in comes two seconds after CONNECT:
	// soon enough to come in between on a machine that is busy.
	"short_first_ping": boolSetting(func(o *server.Options, on bool) { o.DisableShortFirstPing = !on }),
}

// useConfig takes the settings of a file in testdata. It comes first among the options of a
// transcript.
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

func boolSetting(set func(*server.Options, bool)) func(*server.Options, string) error {
	return func(o *server.Options, text string) error {
		on, err := strconv.ParseBool(text)
		set(o, on)
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
func serverOptions(tr *transcript.Transcript) (*server.Options, error) {
	opts := quietOptions()
	for _, o := range tr.Options {
		set, ok := settings[o.Name]
		if !ok {
			return nil, fmt.Errorf("%s: unknown option %q", o.Place, o.Name)
		}
		if err := set(opts, o.Value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", o.Place, o.Name, err)
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

// newPlayer starts the broker. A transcript that expects INFO expects the numbers that clients of a
// new broker have.
func newPlayer(t *testing.T, tr *transcript.Transcript) *player {
	t.Helper()
	opts, err := serverOptions(tr)
	must(t, err)
	p := &player{opts: opts, fresh: tr.ExpectsInfo()}
	p.restart(t)
	t.Cleanup(func() { p.s.Shutdown() })
	return p
}

func (p *player) restart(t *testing.T) {
	t.Helper()
	s, err := server.NewServer(p.opts)
	if err == nil {
		err = start(s)
	}
	must(t, err)
	p.s = s
}

// play replays the transcript and waits until the broker is as it was before.
func (p *player) play(t *testing.T, tr *transcript.Transcript, cut transcript.Cutter) {
	t.Helper()
	addr := p.s.Addr().String()
	if err := tr.Replay(func() (net.Conn, error) { return net.Dial("tcp", addr) }, cut); err != nil {
		t.Error(err)
	}
	if p.fresh {
		p.s.Shutdown()
		p.restart(t)
		return
	}
	eventually(t, "end of all connections and subscriptions", func() bool { return p.s.NumClients() == 0 && p.s.NumSubscriptions() == 0 })
}

// TestTranscripts plays every transcript of testdata line by line, with pipelined lines in one
// write, one byte at a time, and with every send cut in two at every byte of its control lines and
// around the ends of its payloads.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	all, err := transcript.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		t.Run(strings.TrimSuffix(filepath.Base(tr.Path), ".txt"), func(t *testing.T) {
			t.Parallel()
			pipelined := tr.Merged()
			p := newPlayer(t, tr)
			ok := t.Run("line by line", func(t *testing.T) { p.play(t, tr, transcript.Whole) }) &&
				t.Run("pipelined", func(t *testing.T) { p.play(t, pipelined, transcript.Whole) }) &&
				t.Run("one byte at a time", func(t *testing.T) { p.play(t, pipelined, transcript.Everywhere) })
			if !ok {
				return // the cuts would fail in the same place, each after its wait
			}
			t.Run("cut at every byte", func(t *testing.T) {
				if testing.Short() {
					t.Skip("slow")
				}
				step := 1
				if raceEnabled { // a race is a matter of the code more than of the place
					step = 7
				}
				for k := 0; k < pipelined.MostCuts(); k += step {
					if p.play(t, pipelined, transcript.CutAt(k)); t.Failed() {
						t.Fatalf("cut at place %d", k)
					}
				}
			})
		})
	}
}

// TestEveryTranscriptHoldsForTheBinary is a second, cheap look at what TestTranscripts shows in
// detail: the program itself, with its logging on, answers as the embedded broker does.
func TestEveryTranscriptHoldsForTheBinary(t *testing.T) {
	t.Parallel()
	all, err := transcript.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		if len(tr.Options) > 0 || strings.Contains(tr.Path, "info") {
			continue // needs a broker of its own
		}
		t.Run(strings.TrimSuffix(filepath.Base(tr.Path), ".txt"), func(t *testing.T) {
			t.Parallel()
			addr := spawnQuiet(t)
			if err := tr.Merged().Replay(func() (net.Conn, error) { return net.Dial("tcp", addr) }, transcript.Whole); err != nil {
				t.Error(err)
			}
		})
	}
}

// spawnQuiet starts the binary with everything traced to a loop that throws it away.
func spawnQuiet(t *testing.T) string {
	t.Helper()
	p := spawn(t, "-D", "-V")
	addr := p.addr(t)
	go func() { // ends with the program
		for range p.lines {
		}
	}()
	return addr
}
