package logger

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var stamp = time.Date(2026, 11, 22, 13, 33, 48, 298513999, time.FixedZone("", 3600))

func TestTextLine(t *testing.T) {
	t.Parallel()
	all := Options{Time: true, PID: true}
	for _, c := range []struct {
		name string
		o    Options
		lv   level
		text string
		want string
	}{
		{"pid, time and label", all, notice, "Server is ready", "[31989] 2026/11/22 13:33:48.298513 [INF] Server is ready\n"},
		{"UTC moves the time", Options{Time: true, PID: true, UTC: true}, notice, "x", "[31989] 2026/11/22 12:33:48.298513 [INF] x\n"},
		{"no time leaves the whole field out", Options{PID: true}, debug, "x", "[31989] [DBG] x\n"},
		{"no pid leaves the whole field out", Options{}, failure, "x", "[ERR] x\n"},
		{"fatal", Options{}, fatal, "x", "[FTL] x\n"},
		{"trace", Options{}, trace, "x", "[TRC] x\n"},
		{"warning", Options{}, warning, "x", "[WRN] x\n"},
		{"line breaks inside stay", Options{}, trace, "a\r\nb\x00\n", "[TRC] a\r\nb\x00\n\n"},
		{"green notice", Options{Colors: true}, notice, "x", "[\x1b[32mINF\x1b[0m] x\n"},
		{"cyan debug", Options{Colors: true}, debug, "x", "[\x1b[36mDBG\x1b[0m] x\n"},
		{"red error", Options{Colors: true}, failure, "x", "[\x1b[31mERR\x1b[0m] x\n"},
		{"red fatal", Options{Colors: true}, fatal, "x", "[\x1b[31mFTL\x1b[0m] x\n"},
		{"yellow trace", Options{Colors: true}, trace, "x", "[\x1b[33mTRC\x1b[0m] x\n"},
		{"bright yellow warning", Options{Colors: true}, warning, "x", "[\x1b[0;93mWRN\x1b[0m] x\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(textEncoder(c.o, 31989)(nil, stamp, c.lv, []byte(c.text))); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestJSONLine(t *testing.T) {
	t.Parallel()
	all := Options{Time: true, PID: true}
	for _, c := range []struct {
		name string
		o    Options
		lv   level
		text string
		want string
	}{
		{"time, level, pid and message", all, notice, "Server is ready",
			`{"time":"2026-11-22T13:33:48.298513+01:00","level":"info","pid":31989,"msg":"Server is ready"}`},
		{"UTC ends in Z", Options{Time: true, UTC: true}, warning, "x",
			`{"time":"2026-11-22T12:33:48.298513Z","level":"warn","msg":"x"}`},
		{"a client has fields", Options{}, failure, "127.0.0.1:4 - cid:7 - authorization error",
			`{"level":"error","addr":"127.0.0.1:4","cid":7,"msg":"authorization error"}`},
		{"a route has fields", Options{}, debug, "::1:58352 - rid:12 - Router connection closed",
			`{"level":"debug","addr":"::1:58352","rid":12,"msg":"Router connection closed"}`},
		{"a connection without address", Options{}, trace, "- - cid:7 - a - b",
			`{"level":"trace","addr":"-","cid":7,"msg":"a - b"}`},
		{"a number that JSON does not know is text", Options{}, fatal, "x - cid:07 - y",
			`{"level":"fatal","msg":"x - cid:07 - y"}`},
		{"quotes, breaks, control bytes and broken UTF-8", Options{}, notice, "\"\\\n\r\t\x01\x7f\xff é\u2028",
			`{"level":"info","msg":"\"\\\n\r\t\u0001\u007f` + "\ufffd é\u2028" + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(jsonEncoder(c.o, 31989)(nil, stamp, c.lv, []byte(c.text))); got != c.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEveryLevelHasEveryName(t *testing.T) {
	t.Parallel()
	for i, n := range levelNames {
		if n.label == "" || n.colour == "" || n.json == "" || n.tag == "" || n.event == 0 || n.severity == 0 {
			t.Errorf("level %d: %+v", i, n)
		}
	}
}

func FuzzJSONLine(f *testing.F) {
	f.Add([]byte("127.0.0.1:4 - cid:7 - authorization error"))
	f.Add([]byte("- - rid:0 - "))
	f.Add([]byte("\xff\x00\"\\\u2028"))
	f.Add([]byte("x - cid:1"))
	enc := jsonEncoder(Options{Time: true, PID: true}, 1)
	f.Fuzz(func(t *testing.T, text []byte) {
		line := enc(nil, stamp, notice, text)
		var got struct {
			Addr, Msg string
			Cid, Rid  json.Number
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Count(string(line), "\n") != 1 {
			t.Errorf("%q is not one line", line)
		}
		whole := got.Msg
		switch {
		case got.Cid != "":
			whole = got.Addr + " - cid:" + got.Cid.String() + " - " + got.Msg
		case got.Rid != "":
			whole = got.Addr + " - rid:" + got.Rid.String() + " - " + got.Msg
		}
		if want := string(text); utf8.Valid(text) && whole != want {
			t.Errorf("got  %q\nwant %q", whole, want)
		}
	})
}
