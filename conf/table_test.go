package conf

import (
	"flag"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// lamp is what the settings of these tests are kept in.
type lamp struct {
	Host     string
	Port     int
	Watts    int64
	Max      int
	On       bool
	Glow     bool
	Fade     time.Duration
	Ping     time.Duration
	Wait     float64
	Colour   string
	Code     string
	Friends  []string
	Links    []*url.URL
	Shade    shade
	Mode     string
	LinksOff string
}

type shade struct {
	Port  int
	Cloth string
	Given bool
}

func lampTable() *Table[lamp] {
	port := func(l *lamp) *int { return &l.Port }
	host := func(l *lamp) *string { return &l.Host }
	return NewTable([]Row[lamp]{
		{Key: "listen", Expands: []string{"host", "port"}, Type: Address(host, port)},
		{Key: "host", Aliases: []string{"net"}, Default: `"0.0.0.0"`, Reload: Fixed, Type: Text(host), Doc: "Where it stands.",
			Flags: []Flag{{Names: []string{"a", "addr"}, Hidden: []string{"net"}, Arg: "<host>", Group: "Lamp", Usage: "Stand here (default: 0.0.0.0)"}}},
		{Key: "port", Default: "4222", Reload: Fixed, Type: Port(port), Doc: "Its socket.",
			Flags: []Flag{{Names: []string{"p", "port"}, Arg: "<port>", Group: "Lamp", Usage: "Use socket"}}},
		{Key: "watts", Default: "1MB", Reload: "power", Type: Size(func(l *lamp) *int64 { return &l.Watts }, Between(1<<10, 1<<30)),
			Flags: []Flag{{Names: []string{"ws", "watts"}, Arg: "<n>", Group: "Lamp", Usage: "Burn\nor not"}}},
		{Key: "max", Type: Int(func(l *lamp) *int { return &l.Max }, AtLeast(-1))},
		{Key: "on", Reload: "power", Type: Bool(func(l *lamp) *bool { return &l.On }), Default: "true",
			Flags: []Flag{{Names: []string{"D", "on"}, Group: "Lamp", Usage: "Shine"}}},
		{Key: "glow", Type: Bool(func(l *lamp) *bool { return &l.Glow }), Flags: []Flag{{Names: []string{"V"}}}},
		{Flags: []Flag{{Names: []string{"DV"}, Late: true}}, Expands: []string{"on", "glow"}, Type: Custom(CustomType[lamp]{
			Name: "boolean", Switch: true,
			Parse: func(s string, l *lamp) error {
				v, err := ParseSwitch(s)
				l.On, l.Glow = v, v
				return err
			}})},
		{Key: "fade", Default: `"2s"`, Type: Duration(func(l *lamp) *time.Duration { return &l.Fade }, AtLeast(0), "fade should be converted to a duration"),
			Flags: []Flag{{Names: []string{"fade"}}}},
		{Key: "ping", Type: Duration(func(l *lamp) *time.Duration { return &l.Ping }, AtLeast(int64(time.Second)), "")},
		{Key: "wait", Default: "0.5", Type: Seconds(func(l *lamp) *float64 { return &l.Wait }, AtLeast(0)), Flags: []Flag{{Names: []string{"wait"}}}},
		{Key: "colour", Default: "red", Type: Enum(func(l *lamp) *string { return &l.Colour }, "red", "green"), Flags: []Flag{{Names: []string{"colour"}}}},
		{Key: "passcode", Secret: true, Type: Text(func(l *lamp) *string { return &l.Code }), Flags: []Flag{{Names: []string{"passcode"}}}},
		{Key: "friends", Type: List("list of strings", func(l *lamp) *[]string { return &l.Friends },
			func(s string) (string, error) { return s, nil }, func(s string, _ bool) string { return Quote(s) })},
		{Key: "links", Type: URLs(func(l *lamp) *[]*url.URL { return &l.Links }, "link", func(u *url.URL) error {
			if u.Port() == "" {
				return fmt.Errorf("the port is missing")
			}
			return nil
		}), Flags: []Flag{{Names: []string{"links"}}}},
		{Key: "shade", Reload: "shade", Type: Section(SectionType[lamp]{
			Opened: func(l *lamp) { l.Shade.Given = true }, On: func(l *lamp) bool { return l.Shade.Port != 0 }, Bare: true,
			Strict: func(name string) string { return fmt.Sprintf("no such thing as %q on a shade", name) }})},
		{Key: "shade.port", Type: Port(func(l *lamp) *int { return &l.Shade.Port })},
		{Key: "shade.cloth", Default: `"silk"`, Type: Text(func(l *lamp) *string { return &l.Shade.Cloth })},
		{Type: Command[lamp](true), Flags: []Flag{{Names: []string{"h", "help"}, Group: "Common", Usage: "Show this"}}},
		{Type: Command[lamp](false), Flags: []Flag{{Names: []string{"sl", "signal"}, Arg: "<signal>[=<pid>]", Group: "Common", Usage: "Send signal"}}},
		{Type: Command[lamp](true), Flags: []Flag{{Names: []string{"long_only"}, Arg: "<bool>", Group: "Common", Usage: "Long"}}},
	}, map[string]Foreign{"genie": {Hint: "that is another lamp"}, "lock": {Hint: "that locks another lamp", Restricts: true}})
}

func read(t *testing.T, text string) *Values[lamp] {
	t.Helper()
	root, err := testSource().Text("x.conf", text)
	if err != nil {
		t.Fatal(err)
	}
	v := lampTable().Fill(new(lamp))
	v.ApplyFile(root)
	return v
}

func lines(es Errors) string {
	if len(es) == 0 {
		return ""
	}
	return es.Error()
}

func TestFileFillsFields(t *testing.T) {
	t.Parallel()
	v := read(t, `
		HOST: "h"; port: -1; watts: 64kb; max: -1; on: yes; fade: "1m"; ping: 90; wait: 1.5
		colour: GREEN; passcode: x; friends: [a, b]; links: ["n://u:p@h:1"]; shade { port: 5, cloth: wool }`)
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	link, _ := url.Parse("n://u:p@h:1")
	want := lamp{Host: "h", Port: -1, Watts: 64 << 10, Max: -1, On: true, Fade: time.Minute, Ping: 90 * time.Second, Wait: 1.5,
		Colour: "green", Code: "x", Friends: []string{"a", "b"}, Links: []*url.URL{link}, Shade: shade{Port: 5, Cloth: "wool", Given: true}}
	if !reflect.DeepEqual(*v.Target, want) {
		t.Errorf("got %+v, want %+v", *v.Target, want)
	}
}

func TestFileIsCheckedAgainstRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, errors, warnings, unknown string }{
		{"a wrong kind", "port: abc", `x.conf:1:7: port: want an integer from -1 to 65535, have string "abc"`, "", ""},
		{"an alias is named as the file spells it", "NET: 5", `x.conf:1:6: net: want a string, have integer 5 (put it in quotes)`, "", ""},
		{"out of bounds", "port: 70000\nwatts: 1\nmax: -2", `x.conf:1:7: port: want an integer from -1 to 65535, have integer 70000
x.conf:2:8: watts: want a size from 1KB to 1GB, have integer 1
x.conf:3:6: max: want an integer of at least -1, have integer -2`, "", ""},
		{"a boolean in quotes", `on: "true"`, `x.conf:1:5: on: want a boolean (true or false), have string "true"`, "", ""},
		{"a map for a scalar", `on { a: 1 }`, `x.conf:1:4: on: want a boolean (true or false), have map`, "", ""},
		{"a scalar for a map", `shade: 1`, `x.conf:1:8: shade: want a map, have integer 1`, "", ""},
		{"a secret is not shown", `passcode: 12345`, `x.conf:1:11: passcode: want a string, have integer (put it in quotes)`, "", ""},
		{"a value from a variable", "v=abc\nport: $v", `x.conf:2:7: port: want an integer from -1 to 65535, have string "abc" from $v`, "", ""},
		{"a number from a variable", "v=5\nnet: $v", `x.conf:2:6: net: want a string, have integer 5 from $v (put it in quotes where the variable is set)`, "", ""},
		{"a wrong element", `friends: [a, 5, [b]]`, `x.conf:1:14: friends: want a string, have integer 5 (put it in quotes)
x.conf:1:17: friends: want a string, have array`, "", ""},
		{"wrong URLs without their secrets", `links: ["n://u:p@h", "n://u:p%zz@h:1", "n://u:p@h:x"]`,
			`x.conf:1:9: links: error parsing link url ["n://[REDACTED]@h"]: the port is missing
x.conf:1:22: links: error parsing link url ["n://[REDACTED]@h:1"]: ` + errUserInfo.Error() + `
x.conf:1:40: links: error parsing link url ["n://[REDACTED]@h:x"]: invalid port ":x" after host`, "", ""},
		{"a URL without a scheme", `links: ["127.0.0.1:6000"]`,
			`x.conf:1:9: links: error parsing link url ["127.0.0.1:6000"]: the scheme is missing, as in nats-route://host:port`, "", ""},
		{"a brace around the file is not closed", "{ host: h,", "", "x.conf:1:1: the brace around the file is never closed: the file may be cut off", ""},
		{"typographic quotes", "host: “h”\nport: 5", "", `x.conf:1:7: host: typographic quotes, or a blank that does not break lines, are a part of the value`, ""},
		{"a blank of word processors", "host: a\u00a0b", "", `x.conf:1:7: host: typographic quotes, or a blank that does not break lines, are a part of the value`, ""},
		{"typographic quotes in quotes", `host: "“h”"`, "", "", ""},
		{"a number with a comma", "port: 5,000", "", "", "x.conf:1:9: a key without a value is unknown, and not shown: it may be a secret"},
		{"a key without a value", "port: 5\non", "", "", "x.conf:2:1: on: it has no value"},
		{"addresses", "listen: nope\nlisten: 1.2.3.4:x", `x.conf:2:9: listen: could not parse port "x"`, "x.conf:1:1: listen: it is given twice: x.conf:2:1 counts, this has no effect", ""},
		{"an address without port", "listen: nope", `x.conf:1:9: listen: could not parse address string "nope"`, "", ""},
		{"an address of the wrong kind", "listen: yes", `x.conf:1:9: listen: want host:port or a port, have boolean yes`, "", ""},
		{"a duration that does not read", `fade: "2x"`, `x.conf:1:7: fade: error parsing fade: time: unknown unit "x" in duration "2x" (the units are h, m, s and ms, as in "1h30m")`, "", ""},
		{"a duration as a number", "fade: 5\nping: 5", "", `x.conf:1:7: fade: fade should be converted to a duration`, ""},
		{"a duration out of bounds", `fade: "-1s"`, `x.conf:1:7: fade: want a duration such as "2s" of at least 0s, have string "-1s"`, "", ""},
		{"a duration as a size", "ping: 2kb", `x.conf:1:7: ping: want a duration such as "2s" of at least 1s, have integer 2kb`, "", ""},
		{"a duration beyond time", "ping: 99999999999999", `x.conf:1:7: ping: want a duration such as "2s" of at least 1s, have integer 99999999999999`, "", ""},
		{"seconds as text", `wait: soon`, `x.conf:1:7: wait: want a number of seconds of at least 0s, have string "soon"`, "", ""},
		{"a word that is not offered", "colour: blue", `x.conf:1:9: colour: want "red" or "green", have string "blue"`, "", ""},
		{"an unknown key", "prot: 1", "", "", `x.conf:1:1: prot: unknown field "prot" (did you mean "port"?)`},
		{"a key with other punctuation", "col-our: red", "", "", `x.conf:1:1: col-our: unknown field "col-our" (did you mean "colour"?)`},
		{"a key from another place", "cloth: 1", "", "", `x.conf:1:1: cloth: unknown field "cloth" (it belongs in "shade")`},
		{"a key like no other", "zzzzzz: 1", "", "", `x.conf:1:1: zzzzzz: unknown field "zzzzzz"`},
		{"a key of a related program", "genie: 1", "", "", `x.conf:1:1: genie: unknown field "genie" (that is another lamp)`},
		{"an unknown key where it is an error", "shade { host: x, prt: 1 }", `x.conf:1:9: shade.host: no such thing as "host" on a shade (it belongs outside of all braces)
x.conf:1:18: shade.prt: no such thing as "prt" on a shade (did you mean "port"?)`, "", ""},
		{"variables are not unknown", "v=1\nport: $v\nshade { w=2, port=$w }", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := read(t, tc.text)
			for _, check := range []struct {
				what, want string
				got        Errors
			}{{"errors", tc.errors, v.Errors}, {"warnings", tc.warnings, v.Warnings}, {"unknown keys", tc.unknown, v.Unknown}} {
				if got := lines(check.got); got != check.want {
					t.Errorf("%s:\ngot:  %s\nwant: %s", check.what, got, check.want)
				}
			}
		})
	}
}

func TestKeysApplyInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text, host string
		port             int
	}{
		{"the short form last", "host: a\nport: 1\nlisten: b:2", "b", 2},
		{"the short form first", "listen: b:2\nport: 1\nhost: a", "a", 1},
		{"a repeated key counts where it stands last", "port: 1\nlisten: b:2\nport: 3", "b", 3},
		{"spellings are the same key", "port: 1\nPORT: 2\nPort: 3", "", 3},
		{"a port alone clears the host", "host: a\nlisten: 7", "", 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := read(t, tc.text).Target
			if l.Host != tc.host || l.Port != tc.port {
				t.Errorf("got %s:%d, want %s:%d", l.Host, l.Port, tc.host, tc.port)
			}
		})
	}
}

// parse reads a command line; errors of package flag are returned with what it printed.
func parse(t *testing.T, args ...string) (*Flags[lamp], string) {
	t.Helper()
	fs := flag.NewFlagSet("lamp", flag.ContinueOnError)
	var out strings.Builder
	fs.SetOutput(&out)
	fs.Usage = func() {}
	f := lampTable().Define(fs)
	if err := fs.Parse(args); err != nil {
		return f, out.String()
	}
	return f, ""
}

func TestFlagsCoverTheFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file string
		args       []string
		want       lamp
	}{
		{"by any name, with one dash or two", "", []string{"-p", "1", "--addr=x"}, lamp{Host: "x", Port: 1}},
		{"the last use counts", "", []string{"-p", "1", "--port", "2", "-net", "a", "-a", "b"}, lamp{Host: "b", Port: 2}},
		{"in Go's notations and in the file's", "", []string{"-p", "0x10", "-ws", "2kb"}, lamp{Port: 16, Watts: 2048}},
		{"an empty string is a value", "host: h\npasscode: c", []string{"-a", "", "--passcode="}, lamp{}},
		{"off is a value", "on: true", []string{"-D=false"}, lamp{}},
		{"late flags come last", "", []string{"-DV=false", "-D"}, lamp{}},
		{"an empty list is a value", `links: ["n://h:1"]`, []string{"-links", ""}, lamp{}},
		{"what was not typed stays", "port: 5\non: true", []string{"-a", "x"}, lamp{Host: "x", Port: 5, On: true}},
		{"times", "", []string{"-fade", "3s", "-wait", "2"}, lamp{Fade: 3 * time.Second, Wait: 2}},
		{"times as numbers", "", []string{"-fade", "3s", "-wait", "0.25"}, lamp{Fade: 3 * time.Second, Wait: .25}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, bad := parse(t, tc.args...)
			if bad != "" {
				t.Fatal(bad)
			}
			for range 2 { // the same again at a reload
				v := read(t, tc.file)
				if err := v.ApplyFlags(f); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(*v.Target, tc.want) {
					t.Errorf("got %+v, want %+v", *v.Target, tc.want)
				}
			}
		})
	}
}

func TestFlagsRefuseWhatDoesNotRead(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--nosuch"}, "flag provided but not defined: -nosuch"},
		{[]string{"-p"}, "flag needs an argument: -p"},
		{[]string{"-p", "abc"}, `invalid value "abc" for flag -p: parse error`},
		{[]string{"-p", "99999999999999999999"}, `invalid value "99999999999999999999" for flag -p: value out of range`},
		{[]string{"-p", "70000"}, `invalid value "70000" for flag -p: want an integer from -1 to 65535`},
		{[]string{"-D=maybe"}, `invalid boolean value "maybe" for -D: parse error`},
		{[]string{"-h=maybe"}, `invalid boolean value "maybe" for -h: parse error`},
		{[]string{"---D"}, `bad flag syntax: ---D`},
		{[]string{"-colour", "blue"}, `invalid value "blue" for flag -colour: want "red" or "green"`},
		{[]string{"-fade", "x"}, `invalid value "x" for flag -fade: parse error`},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			if _, got := parse(t, tc.args...); got != tc.want+"\n" {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestFlagsThatReadOnlyAsAWholeFailLater(t *testing.T) {
	t.Parallel()
	f, bad := parse(t, "-links", "n://u:p@h:1, n://u:p@x")
	if bad != "" {
		t.Fatal(bad)
	}
	err := lampTable().Fill(new(lamp)).ApplyFlags(f)
	if want := `--links: error parsing link url ["n://[REDACTED]@x"]: the port is missing`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTypedFlagsCanBeAskedFor(t *testing.T) {
	t.Parallel()
	f, _ := parse(t, "-h", "-net", "x", "--signal", "stop")
	if !f.Enabled("help") || f.Enabled("D") {
		t.Error("help was asked for, and nothing else")
	}
	if got, ok := f.Typed("addr"); !ok || got != "x" {
		t.Errorf("got %q %v, want x", got, ok)
	}
	if got, _ := f.Typed("sl"); got != "stop" {
		t.Errorf("got %q, want stop", got)
	}
	var none *Flags[lamp]
	if none.Enabled("help") || lampTable().Fill(new(lamp)).ApplyFlags(none) != nil {
		t.Error("no flags at all are no error")
	}
}

func TestDefaultsFillWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       lamp
	}{
		{"everything that has one and is in force", "", lamp{Host: "0.0.0.0", Port: 4222, Watts: 1 << 20, Fade: 2 * time.Second, Wait: .5, Colour: "red"}},
		{"sections that are on", "port: 1\nshade { port: 1 }", lamp{Host: "0.0.0.0", Port: 1, Watts: 1 << 20, Fade: 2 * time.Second, Wait: .5, Colour: "red",
			Shade: shade{Port: 1, Cloth: "silk", Given: true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := read(t, tc.text)
			v.table.Defaults(v.Target)
			if !reflect.DeepEqual(*v.Target, tc.want) {
				t.Errorf("got %+v, want %+v", *v.Target, tc.want)
			}
		})
	}
}

func TestMergeAndCompare(t *testing.T) {
	t.Parallel()
	a := read(t, `port: 1, passcode: secret1, friends: [a], links: ["n://u:p@h:1"], watts: 1mb`).Target
	b := read(t, `port: 2, passcode: secret2, friends: [a], links: ["n://u:q@h:1"], fade: "90s"`).Target
	tb := lampTable()
	var got []string
	for _, c := range tb.Compare(a, b) {
		got = append(got, c.Row.Key+" "+c.Old+" "+c.New)
	}
	want := []string{"port 1 2", "watts 1MB 0", `fade  "1m30s"`, `passcode "[REDACTED]" "[REDACTED]"`, `links ["n://[REDACTED]@h:1"] ["n://[REDACTED]@h:1"]`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	tb.Merge(a, b)
	if a.Port != 2 || a.Watts != 1<<20 || a.Fade != 90*time.Second {
		t.Errorf("got %+v", *a)
	}
	var c lamp
	tb.Copy(&c, a)
	if len(tb.Compare(&c, a)) != 0 {
		t.Errorf("got %+v, want %+v", c, *a)
	}
	if c.Friends[0] = "z"; a.Friends[0] != "a" {
		t.Error("a copy shares its list")
	}
}

func TestPrintSaysWhereValuesCameFrom(t *testing.T) {
	t.Parallel()
	t.Run("and hides secrets", func(t *testing.T) {
		v := read(t, "listen: h:1\nv=3s\nfade: $v\npasscode: hush\nlinks: [\"n://u:hush@h:1\"]\nfriends: ['a\"\n']\n")
		f, _ := parse(t, "-D", "-ws=2mb", "-DV=true")
		if err := v.ApplyFlags(f); err != nil {
			t.Fatal(err)
		}
		v.table.Defaults(v.Target)
		want := `# Variables stand for secrets. To read this file set LAMP_PASSCODE, LAMP_LINKS_1
host: "h"                                # x.conf:1:1
port: 1                                  # x.conf:1:1
watts: 2MB                               # flag --watts
# max: not set
on: true                                 # flag -DV
glow: true                               # flag -DV
fade: "3s"                               # x.conf:3:1 from $v
# ping: not set
wait: 0.5                                # default
colour: "red"                            # default
passcode: "${LAMP_PASSCODE}"             # x.conf:4:1
friends: ["a\"\n"]                       # x.conf:6:1
links: ["n://${LAMP_LINKS_1}@h:1"]       # x.conf:5:1
# shade: off
`
		want = strings.Replace(want, "# max: not set", "max: 0                                   # default", 1)
		if got := v.Print("LAMP_"); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
	t.Run("and reads back as the same", func(t *testing.T) {
		v := read(t, "listen: h:1\nwatts: 3000\nfade: 1h\nfriends: ['a\"\n\\x']\nshade { port: 2, cloth: '' }")
		v.table.Defaults(v.Target)
		again := read(t, v.Print("LAMP_"))
		if err := again.Err(); err != nil || len(again.Unknown) != 0 {
			t.Fatal(err, again.Unknown)
		}
		if diff := lampTable().Compare(v.Target, again.Target); len(diff) != 0 {
			t.Errorf("got %+v, want %+v", *again.Target, *v.Target)
		}
	})
}

func TestUsageKeepsTheClassicLayout(t *testing.T) {
	t.Parallel()
	tb := lampTable()
	got := tb.UsageGroup("Lamp") + tb.UsageGroup("Common")
	want := `    -a, --addr <host>                Stand here (default: 0.0.0.0)
    -p, --port <port>                Use socket
    -ws,--watts <n>                  Burn
                                     or not
    -D, --on                         Shine
    -h, --help                       Show this
    -sl,--signal <signal>[=<pid>]    Send signal
        --long_only <bool>           Long
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMarkdownListsEveryKey(t *testing.T) {
	t.Parallel()
	tb := lampTable()
	got := tb.Markdown("")
	for _, want := range []string{
		"| `host`, `net` | `-a`, `--addr`, `--net` | string | `\"0.0.0.0\"` | no | Where it stands. |\n",
		"| `on` | `-D`, `-on` | boolean | `true` | yes |  |\n",
	} {
		if !strings.Contains(got, strings.Replace(want, "`-on`", "`-on`", 1)) {
			t.Errorf("got:\n%s\nwant in it:\n%s", got, want)
		}
	}
	if got := tb.Markdown("shade"); !strings.Contains(got, "| `cloth` |") || strings.Contains(got, "`port`, ") {
		t.Errorf("got:\n%s", got)
	}
	if got := tb.Sections(); !reflect.DeepEqual(got, []string{"", "shade"}) {
		t.Errorf("got %q", got)
	}
}

func TestTablesThatContradictThemselvesPanic(t *testing.T) {
	t.Parallel()
	on := Bool(func(l *lamp) *bool { return &l.On })
	for _, tc := range []struct {
		name string
		rows []Row[lamp]
	}{
		{"two rows for a key", []Row[lamp]{{Key: "a", Type: on}, {Key: "b", Aliases: []string{"a"}, Type: on}}},
		{"a key without its section", []Row[lamp]{{Key: "a.b", Type: on}}},
		{"a row that is replaced by one that does not restrict", []Row[lamp]{{Key: "a", Restricts: true, Instead: []string{"b"}, Type: on}, {Key: "b", Type: on}}},
		{"a row that stands for nothing", []Row[lamp]{{Key: "a", Expands: []string{"b"}, Type: on}}},
		{"a row without a name", []Row[lamp]{{Type: on}}},
		{"a secret that an error may show", []Row[lamp]{{Key: "token", Secret: true, Type: on}}},
		{"a secret whose key does not say so", []Row[lamp]{{Key: "a", Secret: true, Type: Text(func(l *lamp) *string { return &l.Code })}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			NewTable(tc.rows, nil)
		})
	}
}

func TestReportsHaveAnEnd(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	v := read(t, b.String()+"port: x\n"+strings.Repeat("z", 1<<20)+": 1")
	if len(v.Unknown) != maxErrors+1 || v.Unknown[maxErrors].Msg != "too many of them, the rest is not shown" || len(v.Errors) != 1 {
		t.Errorf("got %d unknown keys and %d errors", len(v.Unknown), len(v.Errors))
	}
	if v := read(t, strings.Repeat("z", 1<<20)+": 1"); len(v.Unknown) != 1 || len(v.Unknown[0].Error()) > 500 {
		t.Error("a long key is shown as a whole")
	}
	many := make(Errors, 1000)
	for i := range many {
		many[i] = errorAt(Pos{File: "a", Line: i + 1, Col: 1}, "x")
	}
	if got := many.Sorted(); len(got) != maxErrors+1 || got[maxErrors].Pos.Line != maxErrors+1 {
		t.Errorf("got %d errors", len(got))
	}
}

func TestErrorsAreSortedByFileAndPlace(t *testing.T) {
	t.Parallel()
	at := func(file string, line, col int) *Error {
		return &Error{Pos: Pos{File: file, Line: line, Col: col}, Msg: "x"}
	}
	es := Errors{at("a", 3, 1), at("b", 2, 1), at("a", 1, 9), at("b", 1, 1), at("a", 1, 2)}
	want := "a:1:2: x\na:1:9: x\na:3:1: x\nb:1:1: x\nb:2:1: x"
	if got := es.Sorted().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestQuotedStringsReadBack(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a b", `"\`, "\n\r\t", "\x00\x7f", "ü", "\xff"} {
		n, err := literal(Quote(s))
		if err != nil || n.Str != s {
			t.Errorf("got %q %v, want %q", n.Str, err, s)
		}
	}
}

func TestDistanceCountsMistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xbc", 1}, {"", "abc", 3}, {"port", "host", 2}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q %q: got %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
