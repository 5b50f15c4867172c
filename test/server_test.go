package test

import (
	"bytes"
	"testing"

	"gnatsd/server"
)

func TestStartLeavesTheOptionsAlone(t *testing.T) {
	t.Parallel()
	opts := &server.Options{MaxPayload: 100}
	s := Start(t, opts)
	if opts.Port != 0 || opts.Host != "" || opts.NoSigs {
		t.Errorf("got changed options: %+v", opts)
	}
	c := dialRaw(t, s.Addr().String())
	c.say("PUB foo 101")
	c.hear(t, "-ERR 'Maximum Payload Violation'")
}

func TestStartStopsTheBrokerWhenTheTestEnds(t *testing.T) {
	t.Parallel()
	var c *peer
	t.Run("inner", func(inner *testing.T) {
		c = dialRaw(t, Start(inner, nil).Addr().String())
	})
	if err := c.expectClosed(); err != nil {
		t.Error(err)
	}
}

// TestRunServer does not run in parallel, and uses a copy of the shared options on a free port.
func TestRunServer(t *testing.T) {
	opts := DefaultTestOptions
	opts.Port = anyPort
	s := RunServer(&opts)
	defer s.Shutdown()
	c := dialRaw(t, s.Addr().String())
	c.say("SUB " + string(bytes.Repeat([]byte("a"), 256)) + " 1")
	c.hear(t, "-ERR 'Maximum Control Line Exceeded'")
}
