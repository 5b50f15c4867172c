package process

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeBroker is a Broker that reports what it is made to do.
type fakeBroker struct {
	// set before use
	onShutdown func()
	reloads    chan bool // ends a Reload; nil if none waits
	notReady   bool
	runErr     error // result of Run

	leaving atomic.Bool
	events  chan string
	stopped chan struct{}
	stop    func()
}

// newFakeBroker is a broker that works.
func newFakeBroker() *fakeBroker {
	b := &fakeBroker{events: make(chan string, 100), stopped: make(chan struct{})}
	b.stop = sync.OnceFunc(func() { close(b.stopped) })
	return b
}

func (b *fakeBroker) Run() error {
	b.events <- "run"
	<-b.stopped
	return b.runErr
}
func (b *fakeBroker) ReadyForConnections(wait time.Duration) bool {
	if b.notReady {
		<-time.After(wait)
	}
	return !b.notReady
}
func (b *fakeBroker) Shutdown() {
	b.events <- "shutdown"
	if b.onShutdown != nil {
		b.onShutdown()
	}
	b.stop()
}
func (b *fakeBroker) Reload() {
	b.events <- "reload"
	if b.reloads != nil {
		<-b.reloads
	}
}
func (b *fakeBroker) ReOpenLogFile()   { b.events <- "reopen" }
func (b *fakeBroker) LameDuck()        { b.leaving.Store(true); b.events <- "lame duck" }
func (b *fakeBroker) Rebalance()       { b.events <- "rebalance" }
func (b *fakeBroker) InLameDuck() bool { return b.leaving.Load() }
func (b *fakeBroker) Noticef(format string, v ...any) {
	b.events <- "notice " + fmt.Sprintf(format, v...)
}
func (b *fakeBroker) Debugf(format string, v ...any) {
	b.events <- "debug " + fmt.Sprintf(format, v...)
}

// want waits for events.
func (b *fakeBroker) want(t *testing.T, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := <-b.events; got != want {
			t.Fatalf("broker: got %q, want %q", got, want)
		}
	}
}

// seen takes all events so far.
func (b *fakeBroker) seen() []string {
	var list []string
	for len(b.events) > 0 {
		list = append(list, <-b.events)
	}
	return list
}

// The service in a bubble: states that it reported, as text.
func runFakeService(b *fakeBroker, controls <-chan serviceControl) (code uint32, reports string) {
	var states []string
	code = runService(b, controls, func(s serviceStatus) { states = append(states, fmt.Sprintf("%d/%d", s.state, s.accepts)) })
	return code, strings.Join(states, " ")
}

func TestServiceObeys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		controls    []serviceControl
		want        []string
		wantReports string
	}{
		{"stop", []serviceControl{1}, []string{"run", "shutdown"}, "2/0 4/13 3/0"},
		{"shutdown of the machine", []serviceControl{5}, []string{"run", "shutdown"}, "2/0 4/13 3/0"},
		{"interrogate repeats the state", []serviceControl{4, 1}, []string{"run", "shutdown"}, "2/0 4/13 4/13 3/0"},
		{"change of parameters reloads", []serviceControl{6, 1}, []string{"run", "reload", "shutdown"}, "2/0 4/13 4/13 3/0"},
		{"128 reopens the log", []serviceControl{128, 1}, []string{"run", "reopen", "shutdown"}, "2/0 4/13 4/13 3/0"},
		{"129 is lame duck mode", []serviceControl{129, 1}, []string{"run", "lame duck", "shutdown"}, "2/0 4/13 4/13 3/0"},
		{"130 rebalances", []serviceControl{130, 1}, []string{"run", "rebalance", "shutdown"}, "2/0 4/13 4/13 3/0"},
		{"anything else is a surprise", []serviceControl{2, 1},
			[]string{"run", "debug Unexpected control request: 2", "shutdown"}, "2/0 4/13 4/13 3/0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				controls := make(chan serviceControl)
				go func() {
					synctest.Wait() // the broker has started
					for _, c := range tt.controls {
						controls <- c
					}
				}()
				code, reports := runFakeService(b, controls)
				if got := b.seen(); code != 0 || !slices.Equal(got, tt.want) || reports != tt.wantReports {
					t.Errorf("got code %d, %q, states %s; want %q, states %s", code, got, reports, tt.want, tt.wantReports)
				}
			})
		})
	}
}

func TestServiceEndsWithItsBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		time.AfterFunc(time.Minute, b.stop)
		code, reports := runFakeService(b, nil)
		if want := "2/0 4/13 3/0"; code != 0 || reports != want {
			t.Errorf("got code %d, states %s, want 0, %s", code, reports, want)
		}
	})
}

func TestServiceWhoseBrokerFailsFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.runErr = errFake
		time.AfterFunc(time.Minute, b.stop)
		if code, _ := runFakeService(b, nil); code != 1 {
			t.Errorf("got code %d, want 1", code)
		}
	})
}

func TestServiceThatDoesNotListenFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.notReady = true
		defer b.stop()
		began := time.Now()
		code, reports := runFakeService(b, nil)
		if waited := time.Since(began); code != 1 || reports != "2/0" || waited != 10*time.Second {
			t.Errorf("got code %d, states %s after %v, want 1, 2/0 after 10s", code, reports, waited)
		}
	})
}

// fakeHandle is a service that takes some time to reach its last state.
type fakeHandle struct {
	states     []serviceState // of Control, then of each Query; the last one stays
	controlErr error
	queryErr   error
	sent       []serviceControl
	closed     bool
}

func (h *fakeHandle) next() serviceState {
	state := h.states[0]
	if len(h.states) > 1 {
		h.states = h.states[1:]
	}
	return state
}

func (h *fakeHandle) Control(c serviceControl) (serviceState, error) {
	h.sent = append(h.sent, c)
	return h.next(), h.controlErr
}
func (h *fakeHandle) Query() (serviceState, error) { return h.next(), h.queryErr }
func (h *fakeHandle) Close() error                 { h.closed = true; return nil }

func TestControlService(t *testing.T) {
	t.Parallel()
	running, stopping, stopped := []serviceState{4}, []serviceState{3, 3, 3, 3, 1}, []serviceState{1}
	tests := []struct {
		name     string
		cmd      string
		handle   fakeHandle
		openErr  error
		wantSent []serviceControl
		wantTime time.Duration
		wantErr  string
	}{
		{name: "stop waits until it has stopped", cmd: commandStop, handle: fakeHandle{states: stopping},
			wantSent: []serviceControl{1}, wantTime: 4 * servicePoll},
		{name: "quit is stop", cmd: commandQuit, handle: fakeHandle{states: stopped}, wantSent: []serviceControl{1}},
		{name: "term is stop", cmd: commandTerm, handle: fakeHandle{states: stopped}, wantSent: []serviceControl{1}},
		{name: "reopen is 128", cmd: commandReopen, handle: fakeHandle{states: running}, wantSent: []serviceControl{128}},
		{name: "reload is a change of parameters", cmd: commandReload, handle: fakeHandle{states: running}, wantSent: []serviceControl{6}},
		{name: "ldm is 129", cmd: commandLameDuck, handle: fakeHandle{states: running}, wantSent: []serviceControl{129}},
		{name: "rebalance is 130", cmd: commandRebalance, handle: fakeHandle{states: running}, wantSent: []serviceControl{130}},
		{name: "an unknown command sends nothing", cmd: "halt", wantErr: `unknown signal "halt"`},
		{name: "no such service", cmd: commandStop, openErr: errFake, wantErr: "could not access service: it does not work"},
		{name: "a control that is refused", cmd: commandReload, handle: fakeHandle{states: stopped, controlErr: errFake},
			wantSent: []serviceControl{6}, wantErr: "could not send control=6: it does not work"},
		{name: "a service that vanishes", cmd: commandStop, handle: fakeHandle{states: running, queryErr: errFake},
			wantSent: []serviceControl{1}, wantTime: servicePoll, wantErr: "could not retrieve service status: it does not work"},
		{name: "a service that does not stop", cmd: commandStop, handle: fakeHandle{states: running},
			wantSent: []serviceControl{1}, wantTime: 10 * time.Second, wantErr: "timeout waiting for service to go to state=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := tt.handle
				began := time.Now()
				err := controlService(tt.cmd, "gnatsd", func(string) (serviceHandle, error) { return &h, tt.openErr })
				if errText(err) != tt.wantErr || !slices.Equal(h.sent, tt.wantSent) || time.Since(began) != tt.wantTime {
					t.Errorf("got %v, sent %v, after %v; want %q, %v, %v", err, h.sent, time.Since(began), tt.wantErr, tt.wantSent, tt.wantTime)
				}
				if h.closed != (tt.openErr == nil) {
					t.Errorf("closed: %v", h.closed)
				}
			})
		})
	}
}

func TestDockerized(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "1": true} {
		t.Setenv("NATS_DOCKERIZED", value)
		if got := dockerized(); got != want {
			t.Errorf("NATS_DOCKERIZED=%s: got %v, want %v", value, got, want)
		}
	}
}
