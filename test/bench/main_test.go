package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if fault := os.Getenv(fakeEnv); fault != "" {
		fmt.Fprintln(os.Stderr, serveFake(fault, os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// smallScenarios is the table at a scale for tests.
func smallScenarios() []scenario {
	return []scenario{
		{name: "publish", prepare: publishOnly(0)},
		{name: "one", prepare: fanOut(1, 128)},
		{name: "fan-out", prepare: fanOut(3, 16)},
		{name: "same sid", prepare: fanOutSame(3, 16)},
		{name: "wildcard", prepare: fanOutWild(3, 200)},
		{name: "pairs", prepare: pairs(3, 128)},
		{name: "queue", prepare: queueGroup(4, 128)},
		{name: "subjects", prepare: distinctSubjects(4000, 16)},
		{name: "route", prepare: overRoute(fanOut(2, 128))},
		{name: "route queue", prepare: overRoute(queueGroup(4, 128))},
		{name: "request", prepare: exchange(false)},
		{name: "request awake", prepare: exchange(true)},
		{name: "idle", prepare: func() runner { return idle(20) }},
		{name: "unread", linux: true, launch: launch{procs: 1}, prepare: unreadOwn("bench.px.eur", "bench.*.eur", 3, 128)},
		{name: "unread same", linux: true, prepare: unreadSame(3, 128)},
		{name: "unread queue", linux: true, prepare: unreadGroup(4, 128)},
		{name: "unread turns", linux: true, prepare: unreadTurns(2, 300)},
		{name: "load request", prepare: beside(emptyMessages(2), exchange(false))},
		{name: "unread many", linux: true, prepare: unreadMany(3, 128)},
		{name: "churn", prepare: besideChurn(2, fanOut(1, 128))},
		{name: "churn among subscriptions", prepare: besideChurn(1, amongSubscriptions(400, exchange(true)))},
		{name: "events", launch: withEvents, prepare: besideEvents(200, 2, onePublisher)},
		{name: "load paced", prepare: beside(onePublisher, pacedPublishers(5, 5*time.Millisecond))},
		{name: "backlog", linux: true, launch: patient, prepare: backlog(200<<10, 16)},
		{name: "tls", launch: launch{secure: true}, prepare: fanOut(2, 128)},
		{name: "tls idle", launch: launch{secure: true}, prepare: func() runner { return idle(20) }},
		{name: "subscriptions", prepare: func() runner { return subscriptions(400, 2) }},
		{name: "among connections", prepare: amongConnections(20)},
		{name: "among subscriptions", prepare: amongSubscriptions(400, fanOut(1, 128))},
	}
}

// smallRun compares brokers in some of the small scenarios.
func smallRun(t *testing.T, pattern string, brokers ...string) (*settings, *report) {
	t.Helper()
	s := &settings{
		brokers: brokers, selected: selectScenarios(smallScenarios(), regexp.MustCompile(pattern)),
		rounds: 1, heavy: 1, duration: 20 * time.Millisecond, window: 1 << 20, timeout: 30 * time.Second, progress: io.Discard,
	}
	r := newReport(s.brokers)
	for _, sc := range s.selected {
		if err := s.compare(sc, r, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s, r
}

// fakeBroker makes the processes that are started from this test binary fakes, and returns its
// path.
func fakeBroker(t *testing.T, fault string) string {
	t.Helper()
	t.Setenv(fakeEnv, fault)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFaithfulBrokerPassesEveryScenario(t *testing.T) {
	s, r := smallRun(t, "", fakeBroker(t, faithful))
	checkMeasured(t, s, r)
}

// measuredBy is what a small scenario must measure.
func measuredBy(name string) []metric {
	wants := []metric{throughput}
	switch name {
	case "request", "request awake":
		wants = append(wants, latency50, latency99, latency999)
	case "churn":
		return append(wants, loadRate)
	case "churn among subscriptions":
		return append(wants, latency50, latency99, latency999, loadRate)
	case "events":
		return append(wants, keptShare, loadRate)
	case "load request", "load paced":
		return append(wants, latency50, latency99, latency999, loadRate)
	case "subscriptions":
		wants = append(wants, timeEach)
	}
	if runtime.GOOS == "linux" {
		wants = append(wants, serverCPU, peakMemory, driverCPU)
	}
	return wants
}

// checkMeasured wants every scenario to have succeeded and to have measured what it is for.
func checkMeasured(t *testing.T, s *settings, r *report) {
	t.Helper()
	for _, failure := range r.failures() {
		t.Error(failure)
	}
	for _, sc := range s.selected {
		if !sc.possible() {
			continue
		}
		for _, k := range measuredBy(sc.name) {
			if v := r.result(sc.name).value(0, k); !(v > 0) {
				t.Errorf("%s: %s is %v, want more than 0", sc.name, metricTable()[k].name, v)
			}
		}
	}
}

func TestABrokerThatErrsIsFoundOut(t *testing.T) {
	for _, tc := range []struct {
		name, fault, scenario, want string
	}{
		{"a dropped message", drops, "^one$", "message 999: got the payload of message 1000"},
		{"a repeated message", repeats, "^one$", "message 1000: got the payload of message 999"},
		{"a corrupted payload", corrupts, "^one$", "message 999: got payload"},
		{"a message dropped for all subscribers", drops, "^fan-out$", "message 999: got the payload of message 1000"},
		{"a message dropped among many subjects", drops, "^subjects$", "message 999: got header"},
		{"a message repeated to a queue group", repeats, "^queue$", "repeated or out of order"},
		{"a message corrupted for a queue group", corrupts, "^queue$", "got payload"},
		{"a queue group of which one member gets everything", favours, "^queue$", "queue group: member"},
		{"a message dropped over a route", drops, "^route$", "message 999: got the payload of message 1000"},
		{"a queue group over a route of which one member gets everything", favours, "^route queue$", "queue group: member"},
		{"a message repeated while none is read", repeats, "^unread$", "message 1000: got the payload of message 999"},
		{"a message dropped in turns", drops, "^unread turns$", "message 333: got the payload of message 33 of the lap"},
		{"a message corrupted in turns", corrupts, "^unread turns$", "got payload"},
		{"a message repeated to a queue group that does not read", repeats, "^unread queue$", "repeated or out of order"},
		{"a message dropped beside requests", drops, "^load paced$", "message 999: got the payload of message 1000"},
		{"a message dropped for a subscriber that does not read", drops, "^backlog$", "message 999: got the payload of message 1000"},
		{"an event that is not published", forgets, "^events$", "no event DISCONNECT has come"},
		{"an event that is published twice", announcesTwice, "^events$", "the event came twice"},
		{"an error in the middle", complains, "^publish$", "publisher 1: the broker says \"-ERR 'Unhappy'\""},
		{"a closed connection", closes, "^publish$", "publisher 1:"},
		{"the broker's last words", complains, "^publish$", "the fake is listening"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, r := smallRun(t, tc.scenario, fakeBroker(t, tc.fault))
			if !s.selected[0].possible() {
				t.Skip("this system has no such scenario")
			}
			if got := strings.Join(r.failures(), "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("failures %q, want %q in them", got, tc.want)
			}
		})
	}
}

func TestAMessageThatNoMemberReceivesEndsTheRound(t *testing.T) {
	s, _ := smallRun(t, "none", fakeBroker(t, drops))
	s.timeout = time.Second
	_, _, err := s.round(launch{path: s.brokers[0]}, queueGroup(4, 128)())
	if err == nil || !strings.Contains(err.Error(), "i/o timeout") {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestABinaryThatIsNoBrokerIsNamed(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("go") // says something else, and ends
	if err != nil {
		t.Fatal(err)
	}
	_, err = launch{path: path}.start()
	if err == nil || !strings.Contains(err.Error(), "before it accepted a connection") {
		t.Errorf("error %v, want it to say that the process ended", err)
	}
}

func TestSmokeOfTheBrokerBuiltHere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gnatsd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, "gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	s, r := smallRun(t, "", path)
	checkMeasured(t, s, r)
	checkProfiles(t, path)
}

// checkProfiles wants profiles of each kind of both servers of a route, and their tops.
func checkProfiles(t *testing.T, broker string) {
	t.Helper()
	s := &settings{
		brokers: []string{broker}, rounds: 1, duration: 20 * time.Millisecond, window: 1 << 20,
		timeout: 30 * time.Second, profile: t.TempDir(), progress: io.Discard,
	}
	r := newReport(s.brokers)
	sc := scenario{name: "route/128", prepare: overRoute(fanOut(1, 128))}
	if err := s.compare(sc, r, nil); err != nil {
		t.Fatal(err)
	}
	for _, failure := range r.failures() {
		t.Error(failure)
	}
	var out strings.Builder
	if err := s.taken[0].print(&out); err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"route-128", "route-128-2"} {
		for _, kind := range []string{"cpu", "heap", "mutex", "block"} {
			if want := fmt.Sprintf("%s.%s.prof\n", filepath.Join(s.profile, server), kind); !strings.Contains(out.String(), want) {
				t.Errorf("no profile %q in\n%s", want, out.String())
			}
		}
	}
	if got := strings.Count(out.String(), "flat%"); got != 8 {
		t.Errorf("%d tops, want 8:\n%s", got, out.String())
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, args string
		want       string // part of the error; none if empty
	}{
		{"nothing is needed", "", ""},
		{"peers may be repeated", "-peer a -peer b -want", ""},
		{"a selection", "-run ^1-1/", ""},
		{"a selection of nothing", "-run nothing", "matches no scenario"},
		{"a pattern that is none", "-run (", "-run: "},
		{"profiles are of one broker", "-profile x -peer a", "leave out -peer"},
		{"thresholds need a peer", "-want", "name one with -peer"},
		{"a scale of nothing", "-scale 0", "-scale must be"},
		{"no rounds", "-rounds -1", "-rounds must be"},
		{"a binary without its flag", "gnatsd", "unexpected argument"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseArgs(strings.Fields(tc.args), io.Discard)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestShortRunsLess(t *testing.T) {
	t.Parallel()
	full, err := parseArgs(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	short, err := parseArgs([]string{"-short"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if short.duration >= full.duration || short.rounds >= full.rounds || short.heavy >= full.heavy {
		t.Errorf("short %+v, full %+v, want less of everything", short, full)
	}
}

func TestTheLastWordsAreKept(t *testing.T) {
	t.Parallel()
	words := &tail{}
	for i := range 1000 {
		fmt.Fprintf(words, "line %d\n", i)
	}
	got := words.String()
	if len(got) > tailSize || !strings.HasSuffix(got, "line 998\nline 999\n") {
		t.Errorf("kept %q, want the end in at most %d bytes", got, tailSize)
	}
}
