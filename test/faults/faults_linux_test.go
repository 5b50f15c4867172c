package faults

import (
	"flag"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	all  = flag.Bool("all", false, "run every fault and print the table, as make faults does")
	peer = flag.String("peer", "", "with -all: path of another broker that the faults are run on, too")
	rows = flag.String("rows", "", "with -all: run only the faults whose names match this regular expression")
	logs = flag.String("logs", "", "directory that the logs of the servers are written to")
)

// flags returns the flags of this package as they are set.
func flags() (list []string) {
	for _, name := range []string{"all", "peer", "rows", "logs"} {
		list = append(list, fmt.Sprintf("-%s=%s", name, flag.Lookup(name).Value))
	}
	return list
}

// memoryLimit is what one server may occupy at any time, in bytes.
const memoryLimit = 200 << 20

// row is a fault: what happens to a mesh of three while messages flow.
type row struct {
	name     string
	settings string // lines of the configuration
	seeds    []int  // routes of the first server; the others have a route to it
	network  path   // from the start
	clock    bool   // clocks can be stepped
	size     int    // of a message
	perTick  int    // messages of a publisher
	lasts    time.Duration
	do       func(*trial)  // nil: the network is all that is wrong, for as long as it lasts
	bound    time.Duration // until the mesh is complete, for ours
	hurt     []int         // servers whose clients may be disconnected
	whole    bool          // no message may be lost, as no connection may end
}

// fastPings are settings with which a peer that does not answer is found after three seconds.
const fastPings = "ping_interval: \"1s\"\nping_max: 2"

// faults are the rows of the table.
var faults = []*row{
	{name: "kill -9 and restart of the seed, 3 times", bound: 5 * time.Second, hurt: []int{0, 1},
		do: func(r *trial) { r.killed(0, downTimes...) }},
	{name: "kill -9 and restart of another server, 3 times", bound: 5 * time.Second, hurt: []int{1, 2},
		do: func(r *trial) { r.killed(1, downTimes...) }},
	{name: "SIGSTOP for 5 s", whole: true, bound: 5 * time.Second, hurt: []int{2},
		do: func(r *trial) { r.stoppedFor(2, 5*time.Second) }},
	{name: "SIGSTOP for 12 s, found by pings", settings: fastPings, bound: 10 * time.Second, hurt: []int{2},
		do: func(r *trial) { r.stoppedFor(2, 12*time.Second) }},
	{name: "partition for 5 s", whole: true, bound: 10 * time.Second,
		do: func(r *trial) { r.cutOff(2, 5*time.Second, true) }},
	{name: "partition for 12 s, found by pings", settings: fastPings, bound: 10 * time.Second,
		do: func(r *trial) { r.cutOff(2, 12*time.Second, true) }},
	{name: "one-way loss for 12 s, found by pings", settings: fastPings, bound: 10 * time.Second,
		do: func(r *trial) { r.cutOff(2, 12*time.Second, false) }},
	{name: "100 ms delay", whole: true, network: path{delay: 100 * time.Millisecond}, lasts: 5 * time.Second, bound: 10 * time.Second},
	{name: "1 % loss", whole: true, network: path{loss: 0.01}, lasts: 10 * time.Second, bound: 10 * time.Second},
	{name: "1 Mbit/s", whole: true, network: path{rate: 125_000}, size: 4 << 10, lasts: 10 * time.Second, bound: 10 * time.Second},
	{name: "restart of the seed under another address", seeds: []int{}, bound: 10 * time.Second, hurt: []int{0},
		do: func(r *trial) { r.moved(0) }},
	{name: "restart of another server under another address", bound: 10 * time.Second, hurt: []int{2},
		do: func(r *trial) { r.moved(2) }},
	{name: "rolling restart in lame duck mode", bound: 5 * time.Second, hurt: []int{0, 1, 2},
		do: func(r *trial) { r.rolled((*machine).lameDuck) }},
	{name: "clock +1 h, then -2 h", whole: true, clock: true, settings: fastPings, bound: time.Second, do: (*trial).stepped},
}

// downTimes are how long a server is down that is killed: the others look for it now and then.
var downTimes = []time.Duration{600 * time.Millisecond, time.Second, 1400 * time.Millisecond}

// killed kills a server and starts it again, as often as there are times that it is down.
func (r *trial) killed(i int, down ...time.Duration) {
	m := r.machines[i]
	for _, d := range down {
		r.settle()
		r.wait(warmUp)
		r.stopped(m)
		m.kill(syscall.SIGKILL)
		r.wait(d)
		m.boot()
		r.meshed(time.Now())
	}
}

// stoppedFor stops the process of a server.
func (r *trial) stoppedFor(i int, d time.Duration) {
	r.machines[i].signal(syscall.SIGSTOP)
	r.wait(d)
	r.machines[i].signal(syscall.SIGCONT)
	r.meshed(time.Now())
}

// cutOff loses what a server and the others send each other, or only what it sends.
func (r *trial) cutOff(i int, d time.Duration, both bool) {
	r.network.isolate(i, path{cut: true}, both)
	r.wait(d)
	r.network.setAll(path{})
	r.meshed(time.Now())
}

// moved kills a server and starts it under another address.
func (r *trial) moved(i int) {
	m := r.machines[i]
	r.stopped(m)
	m.kill(syscall.SIGKILL)
	m.move()
	m.boot()
	r.meshed(time.Now())
}

// rolled restarts all servers, one after the other.
func (r *trial) rolled(end func(*machine)) {
	for _, m := range r.machines {
		r.stopped(m)
		end(m)
		m.boot()
		r.meshed(time.Now())
		r.settle()
	}
}

// stepped steps the clock of each server, each to another time.
func (r *trial) stepped() {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		for i, m := range r.machines {
			if err := m.clock.step(step + time.Duration(i)*time.Minute); err != nil {
				r.t.Fatal(err)
			}
		}
		r.meshed(time.Now())
		r.wait(4 * time.Second) // pings that are due
	}
}

// try runs one row on our broker, quicker than the table.
func try(t *testing.T, f row) {
	if !isolated(t) {
		return
	}
	f.fill()
	got := f.run(t, broker{name: "gnatsd", program: program()})
	t.Logf("%s %s", f.name, got.cells())
}

// fill sets what a row leaves open.
func (f *row) fill() {
	if f.size == 0 {
		f.size = 128
	}
	if f.perTick == 0 {
		f.perTick = 2
	}
	if f.seeds == nil {
		f.seeds = []int{0} // a route to itself, as where all have one configuration
	}
}

func TestKilledServerComesBack(t *testing.T) {
	try(t, row{name: "kill -9", bound: 10 * time.Second, hurt: []int{0}, do: func(r *trial) { r.killed(0, 0) }})
}

func TestStoppedServerGoesOn(t *testing.T) {
	try(t, row{name: "SIGSTOP", whole: true, bound: 10 * time.Second, size: 4 << 10, do: func(r *trial) { r.stoppedFor(2, 2*time.Second) }})
}

func TestCutNetworkHeals(t *testing.T) {
	try(t, row{name: "partition", whole: true, bound: 10 * time.Second, do: func(r *trial) { r.cutOff(2, 2*time.Second, true) }})
}

func TestServerMovesBehindItsName(t *testing.T) {
	try(t, row{name: "another address", seeds: []int{}, bound: 10 * time.Second, hurt: []int{0}, do: func(r *trial) { r.moved(0) }})
}

func TestRollingRestartUnderLoad(t *testing.T) {
	try(t, row{name: "rolling restart", bound: 10 * time.Second, hurt: []int{0, 1, 2},
		do: func(r *trial) { r.rolled(func(m *machine) { m.kill(syscall.SIGTERM) }) }})
}

// TestFaultsBesideAPeer runs all faults, on another broker as well, and prints the table.
func TestFaultsBesideAPeer(t *testing.T) {
	if !*all {
		t.Skip("takes minutes: make faults")
	}
	if !isolated(t) {
		return
	}
	only := regexp.MustCompile(*rows)
	brokers := []broker{{name: "gnatsd", program: program()}}
	if *peer != "" {
		out, err := exec.Command(*peer, "-v").CombinedOutput()
		if err != nil {
			t.Fatalf("%s -v: %v", *peer, err)
		}
		brokers = append(brokers, broker{strings.ReplaceAll(strings.TrimSpace(string(out)), ": v", " "), *peer, true})
	}
	var table strings.Builder
	table.WriteString("| Fault | Broker | Full mesh after ms | Messages lost | Twice | Clients disconnected | Memory of a server, MB |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, f := range faults {
		if !only.MatchString(f.name) || f.clock && clockCode[runtime.GOARCH] == nil {
			continue
		}
		f.fill()
		for _, b := range brokers {
			var got *result
			t.Run(f.name+" of "+b.name, func(t *testing.T) { got = f.run(t, b) })
			line := fmt.Sprintf("| %s | %s %s\n", f.name, b.name, got.cells())
			fmt.Print(line) // the whole takes minutes
			table.WriteString(line)
		}
	}
	fmt.Printf("\n%s\n", table.String())
}
