// Command bench compares brokers: the one under test and any number of peers, each a binary of its
// own.
//
// Every round starts one broker as a fresh process on a free loopback port, with the two flags all
// of them understand (-a, -p; for routes also --cluster, --routes), drives it with pre-formatted
// traffic and stops it; rounds alternate between the brokers. What is printed is the median over
// the rounds, and the median of the ratios of the rounds. Nothing that is delivered goes unchecked:
// the bytes a subscriber reads are compared with the frames it must receive, in their order, to the
// last one.
//
//	go run ./test/bench -broker ./gnatsd -peer /usr/sbin/nats-server
//	go run ./test/bench -broker ./gnatsd -peer /usr/sbin/nats-server -run '^1-1/' -rounds 9
//	go run ./test/bench -broker ./gnatsd -peer /usr/sbin/nats-server -want
//	go run ./test/bench -broker ./gnatsd -peer /usr/sbin/nats-server -chart test/bench/speed.svg
//	go run ./test/bench -broker ./gnatsd -peer /usr/sbin/nats-server -growth test/bench/growth.svg
//
// CPU and memory are read from Linux; elsewhere only throughput and latency are printed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

// paths is a flag that may be given several times.
type paths []string

// String lists the paths as they would be typed.
func (p *paths) String() string { return strings.Join(*p, " ") }

// Set adds one more path.
func (p *paths) Set(path string) error {
	*p = append(*p, path)
	return nil
}

// settings are the command line, validated.
type settings struct {
	brokers  []string // paths: the broker under test, then its peers
	selected []scenario
	rounds   int
	heavy    int           // rounds of heavy scenarios
	duration time.Duration // of one measured window
	window   int64         // bytes on their way to one subscriber
	timeout  time.Duration // of one round
	json     string        // file for the results, or none
	chart    string        // file for a chart of them, or none
	growth   string        // file for the curves of growth, or none
	profile  string        // directory for profiles, or none
	want     bool
	list     bool
	progress io.Writer

	taken []*profiles // so far
}

func main() {
	s, err := parseArgs(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := s.execute(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parseArgs reads the flags; usage and complaints about them go to out.
func parseArgs(args []string, out io.Writer) (*settings, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(out)
	var peers paths
	fs.Var(&peers, "peer", "binary to compare with; may be repeated")
	broker := fs.String("broker", "./gnatsd", "binary under test")
	run := fs.String("run", "", "only the scenarios whose name matches this regular expression")
	list := fs.Bool("list", false, "list the scenarios and stop")
	scale := fs.Float64("scale", 1, "multiply the length of every measured window")
	short := fs.Bool("short", false, "a quick look: shorter windows, fewer rounds")
	rounds := fs.Int("rounds", 0, "rounds per scenario and broker (default 5, heavy scenarios 3)")
	window := fs.Int("window", 16, "MiB published and not yet received, per subscriber")
	timeout := fs.Duration("timeout", 2*time.Minute, "limit for one round")
	json := fs.String("json", "", "write every value of every round to this file")
	chart := fs.String("chart", "", "draw the ratios to the first peer into this file, as SVG")
	growth := fs.String("growth", "", "measure with more and more of one thing instead, and draw the curves into this file, as SVG")
	profile := fs.String("profile", "", "write profiles of the broker under test into this directory, and print their tops")
	want := fs.Bool("want", false, "exit 1 when a ratio to the first peer misses its threshold")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: binaries are named with -broker and -peer", fs.Arg(0))
	}
	pattern, err := regexp.Compile(*run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	all := scenarios()
	if *growth != "" {
		all = growthScenarios()
	}
	s := &settings{
		brokers: append([]string{*broker}, peers...), selected: selectScenarios(all, pattern), growth: *growth,
		rounds: 5, heavy: 3, duration: time.Duration(float64(800*time.Millisecond) * *scale),
		window: int64(*window) << 20, timeout: *timeout, json: *json, chart: *chart, profile: *profile,
		want: *want, list: *list, progress: out,
	}
	if *short {
		s.rounds, s.heavy, s.duration = 2, 1, s.duration/4
	}
	if *rounds != 0 {
		s.rounds, s.heavy = *rounds, *rounds
	}
	if *profile != "" {
		s.rounds, s.heavy = 1, 1
	}
	return s, s.validate(len(peers))
}

// validate refuses settings that cannot work.
func (s *settings) validate(peers int) error {
	switch {
	case len(s.selected) == 0:
		return errors.New("-run matches no scenario; -list shows them")
	case s.duration <= 0:
		return errors.New("-scale must be more than 0")
	case s.window <= 0:
		return errors.New("-window must be at least 1 MiB")
	case s.rounds <= 0:
		return errors.New("-rounds must be at least 1")
	case s.chart != "" && peers == 0:
		return errors.New("-chart draws a comparison with a peer: name one with -peer")
	case s.profile != "" && peers > 0:
		return errors.New("-profile looks at the broker under test alone: leave out -peer")
	case s.want && peers == 0:
		return errors.New("-want compares with a peer: name one with -peer")
	}
	return nil
}

// execute runs what was selected and reports it to out. It fails when a scenario did, or a
// threshold was missed.
func (s *settings) execute(out io.Writer) error {
	if s.list {
		for _, sc := range s.selected {
			fmt.Fprintf(out, "%-26s%s\n", sc.name, sc.about)
		}
		return nil
	}
	raiseOpenFiles()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)

	if s.profile != "" {
		if err := os.MkdirAll(s.profile, 0o755); err != nil {
			return err
		}
	}
	r := newReport(s.brokers)
	for _, sc := range s.selected {
		if err := s.compare(sc, r, interrupted); err != nil {
			return err
		}
	}
	if s.growth != "" {
		r.printGrowth(out)
		if err := r.saveGrowth(s.growth); err != nil {
			return err
		}
	} else {
		r.print(out)
	}
	if s.json != "" {
		if err := r.save(s.json); err != nil {
			return err
		}
	}
	if s.chart != "" {
		if err := r.saveChart(s.chart); err != nil {
			return err
		}
	}
	for _, p := range s.taken {
		if err := p.print(out); err != nil {
			return err
		}
	}
	failures := r.failures()
	if s.want {
		failures = append(failures, misses(thresholds(), r)...)
	}
	if len(failures) > 0 {
		return errors.New(strings.Join(failures, "\nbench: "))
	}
	return nil
}

// compare runs all rounds of one scenario, the brokers taking turns.
func (s *settings) compare(sc scenario, r *report, interrupted <-chan os.Signal) error {
	rounds := s.rounds
	if sc.heavy {
		rounds = s.heavy
	}
	fmt.Fprintf(s.progress, "%s: %s\n", sc.name, sc.about)
	if !sc.possible() {
		fmt.Fprintln(s.progress, "  skipped: only Linux can be asked what this measures")
		return nil
	}
	if s.profile != "" {
		sc.launch.profiles = newProfiles(s.profile, sc.name)
		s.taken = append(s.taken, sc.launch.profiles)
	}
	run := sc.prepare()
	for round := range rounds {
		for i, path := range s.brokers {
			select {
			case <-interrupted:
				return errors.New("interrupted")
			default:
			}
			m, version, err := s.round(sc.with(path), run)
			r.add(sc.name, i, round, m, err)
			r.setVersion(i, version)
		}
	}
	return nil
}

// round measures one scenario once against one fresh broker.
func (s *settings) round(l launch, run runner) (measures, string, error) {
	p, err := l.start()
	if err != nil {
		return nil, "", err
	}
	defer p.stop()
	m, err := run(newRound(p, s))
	if err == nil && l.profiles != nil {
		err = l.profiles.err
	}
	if err != nil {
		return nil, p.version, fmt.Errorf("%w%s", err, p.lastWords())
	}
	return m, p.version, nil
}
