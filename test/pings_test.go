package test

import (
	"strings"
	"testing"
	"time"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// liveOptions are those of a broker that pings every interval and gives up after two pings
// unanswered.
func liveOptions(interval time.Duration) *server.Options {
	opts := quietOptions()
	opts.PingInterval, opts.MaxPingsOut = interval, 2
	return opts
}

// connect runs a broker and returns a raw connection to it that is neither verbose nor pedantic.
func connect(t *testing.T, opts *server.Options) *wire.Client {
	t.Helper()
	c := wire.Dial(t, Start(t, opts).Addr().String())
	c.Say(`CONNECT {"verbose":false,"pedantic":false}`)
	return c
}

func TestSilentClientIsPingedTwiceThenStale(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	for _, first := range []string{"CONNECT", "nothing"} {
		t.Run(first+" said", func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			c := wire.Dial(t, Start(t, liveOptions(interval)).Addr().String())
			if first == "CONNECT" {
				c.Say(`CONNECT {"verbose":false}`)
			}
			for i, want := range []string{"PING", "PING", "-ERR 'Stale Connection'"} {
				c.Want(want)
				if got, least := time.Since(begin), time.Duration(i+1)*interval; got < least {
					t.Errorf("%s after %v, want %v at least", want, got, least)
				}
			}
			c.End()
		})
	}
}

func TestPongKeepsASilentClient(t *testing.T) {
	t.Parallel()
	opts := liveOptions(20 * time.Millisecond)
	opts.MaxPingsOut = 10 // a busy machine may be late with some answers
	c := connect(t, opts)
	for range 3 * opts.MaxPingsOut {
		c.Want("PING")
		c.Say("PONG")
	}
}

func TestPingMaxIsTheNumberOfPings(t *testing.T) {
	t.Parallel()
	opts := liveOptions(20 * time.Millisecond)
	opts.MaxPingsOut = 5
	c := connect(t, opts)
	c.Want("PING", "PING", "PING", "PING", "PING", "-ERR 'Stale Connection'")
	c.End()
}

// TestSubscriberThatIsFrozenIsPinged has a client that receives messages all the time and answers
// no PING.
func TestSubscriberThatIsFrozenIsPinged(t *testing.T) {
	t.Parallel()
	opts := liveOptions(100 * time.Millisecond)
	s := Start(t, opts)
	frozen := wire.Dial(t, s.Addr().String())
	frozen.Say(`CONNECT {"verbose":false}`, "SUB busy 1") // without a PING: the answer may come behind one of the broker
	p := wire.Dial(t, s.Addr().String())
	p.Say(`CONNECT {"verbose":false}`)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	pings := 0
	for line := ""; !strings.HasPrefix(line, "-ERR"); {
		<-tick.C
		p.Say("PUB busy 2", "hi")
		var err error
		if line, err = frozen.Line(); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "PING") {
			pings++
		}
	}
	if pings != 2 {
		t.Errorf("it was sent %d pings before it was closed, want 2", pings)
	}
}

func TestPingOfTheClientIsNoActivity(t *testing.T) {
	t.Parallel()
	c := connect(t, liveOptions(50*time.Millisecond))
	var pings, pongs int
	for {
		c.Say("PING")
		line, err := c.Line()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "-ERR") {
			if line != "-ERR 'Stale Connection'\r\n" {
				t.Errorf("got %q", line)
			}
			break
		}
		switch line {
		case "PING\r\n":
			pings++
		case "PONG\r\n":
			pongs++
		default:
			t.Fatalf("got %q", line)
		}
	}
	if pings != 2 || pongs == 0 {
		t.Errorf("got %d pings and %d pongs, want 2 and some", pings, pongs)
	}
}

// busy has a client do something over and over for several ping intervals, in which the broker must
// not ping it although it never answers: whatever it receives is checked by turn. An attempt counts
// only if the machine let the client be busy all the time; else the next one has a longer interval.
func busy(t *testing.T, begin func(*server.Server) (turn func() error)) {
	t.Helper()
	for interval := 500 * time.Millisecond; interval < 10*time.Second; interval *= 2 {
		s := Start(t, liveOptions(interval))
		last, stalled := time.Now(), false
		turn := begin(s)
		for end := last.Add(3 * interval); last.Before(end) && !stalled; {
			err := turn()
			stalled = time.Since(last) > interval*3/4
			if err != nil && !stalled {
				t.Fatal(err)
			}
			last = time.Now()
		}
		if !stalled {
			return
		}
	}
	t.Fatal("this machine is too slow to be busy")
}

func TestActivityReplacesPings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		say  string
		want string
	}{
		{"publishing", "PUB unheard 2\r\nhi\r\n", ""},
		{"subscribing and unsubscribing", "SUB foo 1\r\nUNSUB 1\r\n", ""},
		{"receiving what it publishes", "SUB foo 1\r\nPUB foo 2\r\nhi\r\n", "MSG foo 1 2\r\nhi\r\n"},
		{"connecting again", `CONNECT {"name":"x"}` + "\r\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			busy(t, func(s *server.Server) func() error {
				c := wire.Dial(t, s.Addr().String())
				c.Say(`CONNECT {"verbose":false}`)
				return func() error {
					c.Say(test.say, "PING")
					return c.Expect(test.want + "PONG\r\n")
				}
			})
		})
	}
}
