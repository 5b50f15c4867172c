package test

import (
	"bytes"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

func TestStartLeavesTheOptionsAlone(t *testing.T) {
	t.Parallel()
	opts := &server.Options{MaxPayload: 100}
	s := Start(t, opts)
	if opts.Port != 0 || opts.Host != "" || opts.NoSigs {
		t.Errorf("got changed options: %+v", opts)
	}
	c := wire.Dial(t, s.Addr().String())
	c.Say("PUB foo 101")
	c.Want("-ERR 'Maximum Payload Violation'")
}

func TestStartStopsTheBrokerWhenTheTestEnds(t *testing.T) {
	t.Parallel()
	var c *wire.Client
	t.Run("inner", func(inner *testing.T) {
		c = wire.Dial(t, Start(inner, nil).Addr().String())
	})
	c.End()
}

// TestRunServer does not run in parallel, and uses a copy of the shared options on a free port.
func TestRunServer(t *testing.T) {
	opts := DefaultTestOptions
	opts.Port = anyPort
	s := RunServer(&opts)
	defer s.Shutdown()
	c := wire.Dial(t, s.Addr().String())
	c.Say("SUB " + string(bytes.Repeat([]byte("a"), 256)) + " 1")
	c.Want("-ERR 'Maximum Control Line Exceeded'")
}
