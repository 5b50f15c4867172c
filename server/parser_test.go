package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gnatsd/server/internal/netio"
)

func TestEveryVerbHasItsRow(t *testing.T) {
	t.Parallel()
	seen := map[int]string{}
	for v := verbNone + 1; v < verbCount; v++ {
		row := &verbRows[v]
		if row.name == "" || row.from == 0 {
			t.Errorf("verb %d has no row", v)
			continue
		}
		at := letterIndex(row.name[0], row.name[1])
		if other, taken := seen[at]; taken {
			t.Errorf("%s and %s begin alike", row.name, other)
		}
		seen[at] = row.name
		if row.form == argsSplit && (row.min < 1 || row.max < row.min || row.max > maxArgs) {
			t.Errorf("%s takes %d to %d words", row.name, row.min, row.max)
		}
		if row.form == argsSplit && parserNames[v] == "" {
			t.Errorf("errors of %s have no name in the log", row.name)
		}
	}
}

func TestEveryEndHasItsRow(t *testing.T) {
	t.Parallel()
	for r := keepOpen; r < closeCount; r++ {
		if closeRows[r].name == "" {
			t.Errorf("reason %d has no name", r)
		}
		if row := closeRows[r]; (row.log == "") != (row.level == levelNone) {
			t.Errorf("%s: a line of the log needs a level, and a level a line", row.name)
		}
	}
	if got, want := len(frameCloseReasons), int(framePayload)+1; got != want {
		t.Errorf("got ends for %d framing errors, want %d", got, want)
	}
	for err := frameUnknown; err <= framePayload; err++ {
		if frameCloseReasons[err] == keepOpen {
			t.Errorf("framing error %d does not end the connection", err)
		}
	}
}

// event is one step of a framed stream, written so that two framings compare.
func event(o *op) string {
	var b strings.Builder
	b.WriteString(verbRows[o.verb].name)
	if row := &verbRows[o.verb]; row.form == argsSplit {
		for _, w := range o.arg[:o.argCount] {
			fmt.Fprintf(&b, " %q", w)
		}
		if row.payload {
			fmt.Fprintf(&b, " %d %q", o.size, o.payload)
		}
		if row.headers {
			fmt.Fprintf(&b, " %d", o.header)
		}
	} else if row.form != argsIgnored {
		fmt.Fprintf(&b, " %q", o.args)
	}
	return b.String()
}

// frameAll frames stream as a connection would that reads step bytes at a time, in place, and stops
// at the first error.
func frameAll(l *frameLimits, stream []byte, step int) (events []string) {
	var buf []byte
	var o op
	want := 0
	for len(stream) > 0 {
		k := min(step, len(stream))
		// A new array each time: what was framed before must not matter.
		buf = append(bytes.Clone(buf), stream[:k]...)
		stream = stream[k:]
		o = op{}
		at := 0
		for at < len(buf) && len(buf)-at >= want {
			n, more, keep, err := l.next(buf[at:], &o)
			if err != frameOK {
				return append(events, fmt.Sprintf("error %d", err))
			}
			if n == 0 {
				want = more
				if keep > 0 {
					buf = buf[:at+keep]
				}
				break
			}
			events = append(events, event(&o))
			at += n
			want = 0
		}
		buf = buf[at:]
	}
	// A connection waits for as many bytes as were wanted; what is there may be wrong already.
	o = op{}
	if _, _, _, err := l.next(buf, &o); len(buf) > 0 && err != frameOK {
		events = append(events, fmt.Sprintf("error %d", err))
	}
	return events
}

// frameSlowly is the obvious framing of complete input: one operation at a time, with strings,
// straight from the grammar.
func frameSlowly(l *frameLimits, stream string) (events []string) {
	for stream != "" {
		line, rest, complete := strings.Cut(stream, "\n")
		if !complete {
			return events // what an unfinished line leads to is not for this one to say
		}
		v := verbNone
		for k := verbNone + 1; k < verbCount; k++ {
			if row := &verbRows[k]; row.from&l.role != 0 && len(line) >= len(row.name) && strings.EqualFold(line[:len(row.name)], row.name) {
				v = k
			}
		}
		if v == verbNone {
			return append(events, fmt.Sprintf("error %d", frameUnknown))
		}
		row := &verbRows[v]
		line = line[len(row.name):]
		stream = rest
		if row.form == argsIgnored {
			events = append(events, row.name)
			continue
		}
		args := strings.TrimLeft(line, " \t")
		blanks := len(line) - len(args)
		if blanks > l.line {
			return append(events, fmt.Sprintf("error %d", frameLineLimit))
		}
		if row.form != argsText && blanks == 0 {
			return append(events, fmt.Sprintf("error %d", frameUnknown))
		}
		args = strings.TrimSuffix(args, "\r")
		if len(args) > l.line {
			return append(events, fmt.Sprintf("error %d", frameLineLimit))
		}
		if row.form != argsSplit {
			events = append(events, fmt.Sprintf("%s %q", row.name, args))
			continue
		}
		if strings.ContainsFunc(args, func(r rune) bool {
			return (r < ' ' || r == 0x7f) && r != '\t' && (r != '\r' || row.payload)
		}) {
			return append(events, fmt.Sprintf("error %d", frameArgs))
		}
		words := strings.FieldsFunc(args, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
		if len(words) < row.min || len(words) > row.max {
			return append(events, fmt.Sprintf("error %d", frameArgs))
		}
		e := row.name
		for _, w := range words {
			e += fmt.Sprintf(" %q", w)
		}
		if !row.payload {
			events = append(events, e)
			continue
		}
		size, digits := 0, words[len(words)-1]
		if strings.Trim(digits, "0123456789") != "" {
			return append(events, fmt.Sprintf("error %d", frameSize))
		}
		if len(digits) > 9 {
			return append(events, fmt.Sprintf("error %d", framePayload))
		}
		fmt.Sscanf(digits, "%d", &size)
		if l.payload >= 0 && size > l.payload {
			return append(events, fmt.Sprintf("error %d", framePayload))
		}
		header := 0
		if row.headers {
			digits := words[len(words)-2]
			if strings.Trim(digits, "0123456789") != "" {
				return append(events, fmt.Sprintf("error %d", frameSize))
			}
			fmt.Sscanf(digits, "%d", &header) // what does not fit is 0
			if len(digits) > 9 || header > size {
				return append(events, fmt.Sprintf("error %d", frameHeader))
			}
		}
		if len(stream) < size+2 {
			if len(stream) > size && stream[size] != '\r' {
				return append(events, fmt.Sprintf("error %d", frameUnknown))
			}
			return events
		}
		if stream[size:size+2] != "\r\n" {
			return append(events, fmt.Sprintf("error %d", frameUnknown))
		}
		e = fmt.Sprintf("%s %d %q", e, size, stream[:size+2])
		if row.headers {
			e = fmt.Sprintf("%s %d", e, header)
		}
		events = append(events, e)
		stream = stream[size+2:]
	}
	return events
}

func TestFramingHeaders(t *testing.T) {
	t.Parallel()
	const block = "NATS/1.0\r\n\r\n"
	refused := func(err frameError) []string { return []string{fmt.Sprintf("error %d", err)} }
	cases := []struct {
		name, input string
		role        role
		want        []string
	}{
		{"HPUB without a reply", "HPUB a 12 14\r\n" + block + "hi\r\n", roleClient,
			[]string{`HPUB "a" "12" "14" 14 "NATS/1.0\r\n\r\nhi\r\n" 12`}},
		{"HPUB with a reply, blanks and a zero in front", "hPub a  r\t12 012 \r\n" + block + "\r\n", roleClient,
			[]string{`HPUB "a" "r" "12" "012" 12 "NATS/1.0\r\n\r\n\r\n" 12`}},
		{"HMSG on a route", "HMSG a s r 12 12\r\n" + block + "\r\n", roleRoute,
			[]string{`HMSG "a" "s" "r" "12" "12" 12 "NATS/1.0\r\n\r\n\r\n" 12`}},
		{"HMSG from a client", "HMSG a s r 12 12\r\n", roleClient, refused(frameUnknown)},
		{"HPUB on a route", "HPUB a 12 12\r\n", roleRoute, refused(frameUnknown)},
		{"too few arguments", "HPUB a 12\r\n", roleClient, refused(frameArgs)},
		{"too many arguments", "HPUB a b c 12 12\r\n", roleClient, refused(frameArgs)},
		{"far too many arguments", "HPUB a b c d e f 12 12\r\n", roleClient, refused(frameArgs)},
		{"headers larger than the whole", "HPUB a 13 12\r\n", roleClient, refused(frameHeader)},
		{"headers too short to be any", "HPUB a 1 2\r\nhi\r\n", roleClient, []string{`HPUB "a" "1" "2" 2 "hi\r\n" 1`}},
		{"empty headers", "HPUB a 0 2\r\nhi\r\n", roleClient, []string{`HPUB "a" "0" "2" 2 "hi\r\n" 0`}},
		{"a header size that overflows", "HPUB a 18446744073709551628 20\r\n", roleClient, refused(frameHeader)},
		{"a header size that is no number", "HPUB a 1x 20\r\n", roleClient, refused(frameSize)},
		{"a total above the limit", "HPUB a 12 101\r\n", roleClient, refused(framePayload)},
		{"headers of another protocol", "HPUB a 12 12\r\nHTTP/1.0\r\n\r\n\r\n", roleClient,
			[]string{`HPUB "a" "12" "12" 12 "HTTP/1.0\r\n\r\n\r\n" 12`}},
		{"headers with a status", "HPUB a 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", roleClient,
			[]string{`HPUB "a" "16" "16" 16 "NATS/1.0 503\r\n\r\n\r\n" 16`}},
		{"headers without their end", "HPUB a 12 14\r\nNATS/1.0\r\nhi\r\n\r\n", roleClient,
			[]string{`HPUB "a" "12" "14" 14 "NATS/1.0\r\nhi\r\n\r\n" 12`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := &frameLimits{role: c.role, line: 64, payload: 100}
			for _, step := range []int{len(c.input), 1} {
				if got := frameAll(l, []byte(c.input), step); !slices.Equal(got, c.want) {
					t.Errorf("%d bytes at a time: got %q, want %q", step, got, c.want)
				}
			}
		})
	}
}

// TestNextSaysWhatIsThereAndWhatIsMissing looks at each answer of the parser about beginnings of
// operations, at the limits of lines and payloads.
func TestNextSaysWhatIsThereAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		input         string
		n, want, keep int // want and keep count where n is 0 and there is no error
		err           frameError
	}{
		{input: "", want: 1},
		{input: "p", want: 2},
		{input: "P", want: 2},
		{input: "-", want: 2},
		{input: "q", err: frameUnknown},
		{input: "M", want: 2}, // of a verb that routes have
		{input: "MS", err: frameUnknown},
		{input: "PU", want: 3},
		{input: "PX", err: frameUnknown},
		{input: "PUx", err: frameUnknown},
		{input: "PINX", err: frameUnknown},
		{input: "PUB", want: 4},
		{input: "PUB ", want: 5},
		{input: "PUB a", want: 6},
		{input: "PUB\n", err: frameUnknown},
		{input: "PUBa", err: frameUnknown},
		{input: "PUB\r", err: frameUnknown},
		{input: "PUB \n", err: frameArgs},
		{input: "PUB a\n", err: frameArgs},
		{input: "PUB a b c 5\r\n", err: frameArgs},
		{input: "PING", want: 5, keep: 4},
		{input: "PING anything", want: 5, keep: 4},
		{input: "PING\n", n: 5},
		{input: "pInG x\r\nPING\r\n", n: 8},
		{input: "CONNECT", want: 8},
		{input: "CONNECT{}", want: 10},
		{input: "CONNECT{}\r\n", n: 11},
		{input: "CONNECT\n", n: 8},
		{input: "-ERR\n", err: frameUnknown},
		{input: "-ERR 'x'\nP", n: 9},
		{input: "SUB a 1\r\n", n: 9},
		{input: "SUB ! 1\r\n", n: 9},
		{input: "UNSUB 1\n", n: 8},
		{input: "SUB a 1\r", want: 9},
		{input: "SUB abcde 12\r\n", n: 14}, // eight bytes of arguments
		{input: "SUB abcdef 12", err: frameLineLimit},
		{input: "SUB abcdef 12\r\n", err: frameLineLimit},
		{input: "SUB" + strings.Repeat(" ", 8), want: 12},
		{input: "SUB" + strings.Repeat(" ", 9), err: frameLineLimit},
		{input: "SUB" + strings.Repeat("\t", 8) + "abcde 12\r\n", n: 21},
		{input: "PUB a 5\r\n", want: 16},
		{input: "PUB a 5\r\nhell", want: 16},
		{input: "PUB a 5\r\nhello", want: 16},
		{input: "PUB a 5\r\nhello\r", want: 16},
		{input: "PUB a 5\r\nhello\r\n", n: 16},
		{input: "PUB a 5\r\nhello\r\nPUB", n: 16},
		{input: "PUB a 5\r\nhello\n", err: frameUnknown},
		{input: "PUB a 5\r\nhello\rx", err: frameUnknown},
		{input: "PUB a 6\r\n", err: framePayload},
		{input: "PUB a 0\r\n", want: 11},
		{input: "PUB a 0\r\n\r\n", n: 11},
		{input: "PUB a /\r\n", err: frameSize},
		{input: "PUB a :\r\n", err: frameSize},
		{input: "HPUB a 3 5\r\n", want: 19},
		{input: "HPUB a 6 5\r\n", err: frameHeader},
		{input: "HPUB a x 5\r\n", err: frameSize},
		{input: "HPUB a 5 5\r\nhello\r\n", n: 19},
	} {
		l := &frameLimits{role: roleClient, line: 8, payload: 5}
		var o op
		n, want, keep, err := l.next([]byte(tt.input), &o)
		if n != tt.n || err != tt.err || n == 0 && err == frameOK && (want != tt.want || keep != tt.keep) {
			t.Errorf("%q: got %d bytes, %d wanted, %d kept, error %d; want %d, %d, %d, error %d",
				tt.input, n, want, keep, err, tt.n, tt.want, tt.keep, tt.err)
		}
	}
}

func TestAPayloadMayBeForbidden(t *testing.T) {
	t.Parallel()
	l := &frameLimits{role: roleClient, line: 64, payload: 0}
	var o op
	if n, _, _, err := l.next([]byte("PUB a 0\r\n\r\n"), &o); n != 11 || err != frameOK {
		t.Errorf("an empty payload: got %d, error %d", n, err)
	}
	if _, _, _, err := l.next([]byte("PUB a 1\r\n"), &o); err != framePayload {
		t.Errorf("one byte: got error %d", err)
	}
	l.payload = 999_999_999
	if n, want, _, err := l.next([]byte("PUB a 999999999\r\n"), &o); n != 0 || want != 17+999_999_999+2 || err != frameOK {
		t.Errorf("nine digits: got %d, %d, error %d", n, want, err)
	}
	if _, _, _, err := l.next([]byte("PUB a 0000000001\r\n"), &o); err != framePayload {
		t.Errorf("ten digits: got error %d", err)
	}
}

// TestEqualOperationsAreCounted repeats operations whose lines have every length, and changes each
// byte of the next line in turn.
func TestEqualOperationsAreCounted(t *testing.T) {
	t.Parallel()
	l := &frameLimits{role: roleClient, line: 64, payload: 100}
	count := func(stream []byte) (int, int) {
		var o op
		n, _, _, err := l.next(stream, &o)
		if err != frameOK {
			t.Fatalf("%q: error %d", stream, err)
		}
		return o.count, n
	}
	for size := range 20 {
		one := []byte("PUB " + strings.Repeat("a", size+1) + " 2\r\nhi\r\n")
		for _, k := range []int{1, 2, 3, maxCount - 1, maxCount, maxCount + 1, 2 * maxCount} {
			stream := bytes.Repeat(one, k)
			if got, n := count(stream); got != min(k, maxCount) || n != got*len(one) {
				t.Fatalf("%q %d times: got %d of %d bytes", one, k, got, n)
			}
			if got, n := count(append(stream, one[:len(one)-1]...)); got != min(k, maxCount) || n != got*len(one) {
				t.Fatalf("%q %d times and a part: got %d of %d bytes", one, k, got, n)
			}
		}
		for at := range one {
			stream := bytes.Repeat(one, 3)
			stream[len(one)+at] ^= 1
			want := 1
			if payload := len(one) - 4; at >= payload && at < payload+2 {
				want = 3 // payloads differ
			}
			if got, n := count(stream); got != want || n != got*len(one) {
				t.Errorf("%q, with byte %d changed in the second one: got %d of %d bytes", one, at, got, n)
			}
		}
	}
	l.single = true
	if got, n := count([]byte("PUB a 0\r\n\r\nPUB a 0\r\n\r\n")); got != 1 || n != 11 {
		t.Errorf("where they are not counted: got %d of %d bytes", got, n)
	}
}

// FuzzFrame compares framings of the same stream: whole, a byte at a time, in pieces, and by the
// obvious way. They must agree about every operation; only an error may be noticed before the
// obvious way has a whole line.
func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		"PUB foo 2\r\nhi\r\nPUB foo 2\r\nho\r\nPING\r\n",
		"CONNECT {\"verbose\":false}\r\nSUB foo  1\r\nUNSUB 1 \r\nPUB foo bar 0\r\n\r\n",
		"PINGxyz\r\npOnG\n+OK\r\n-ERR 'x'\r\nINFO {}\r\n",
		"INFO \r\n-ERR \r\nCONNECT \r\n",
		"SUB fo\ro 1\r\nSUB\nSUB \r\n",
		"PUB a 680444720440\r\n",
		"PUB a -1\r\nPUB a 2\r\nhiX\n",
		"MSG a RSID:1:1 r 2\r\nhi\r\nMSG a RSID:1:1 2\r\nhi\r\n",
		"PUB   a\t1\r\nx\r\nPUB   a\t1\r\ny\rz",
		"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nho\r\nPUB a 0\r\n\r\n",
		"HPUB a r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nHPUB a 12 12\r\nNATS/1.1\r\n\r\n\r\n",
		"HPUB a 13 12\r\nNATS/1.0\r\n\r\n\r\n",
		"HMSG a RSID:1:1 r 12 12\r\nNATS/1.0\r\n\r\n\r\nMSG a RSID:1:1 0\r\n\r\n",
		"SUB " + strings.Repeat("a", 70) + " 1\r\n",
	} {
		f.Add([]byte(seed), uint8(3), false)
		f.Add([]byte(seed), uint8(7), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint8, route bool) {
		l := &frameLimits{role: roleClient, line: 64, payload: 100, single: true}
		if route {
			l = &frameLimits{role: roleRoute, line: 64, payload: -1, single: true}
		}
		whole := frameAll(l, stream, max(len(stream), 1))
		for _, k := range []int{1, int(step) + 1} {
			if got := frameAll(l, stream, k); fmt.Sprint(got) != fmt.Sprint(whole) {
				t.Fatalf("%q in pieces of %d: got %q, want %q", stream, k, got, whole)
			}
		}
		slow := frameSlowly(l, string(stream))
		early := len(whole) == len(slow)+1 && strings.HasPrefix(whole[len(slow)], "error")
		if !early && fmt.Sprint(whole) != fmt.Sprint(slow) || early && fmt.Sprint(whole[:len(slow)]) != fmt.Sprint(slow) {
			t.Fatalf("%q: got %q, want %q", stream, whole, slow)
		}
	})
}

// FuzzConnectionMemory feeds a stream to the buffer of a connection and checks that no more memory
// is taken than what arrived justifies.
func FuzzConnectionMemory(f *testing.F) {
	f.Add([]byte("PUB a 99999999\r\nabc"), uint8(1))
	f.Add([]byte("PUB a 1000000\r\n"+strings.Repeat("x", 3000)), uint8(200))
	f.Add([]byte("HPUB a 12 1000000\r\nNATS/1.0\r\n\r\n"+strings.Repeat("x", 3000)), uint8(50))
	f.Add([]byte("HPUB a 999999 1000000\r\nNATS/1.0\r\n"), uint8(0))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		const limit = 1 << 10
		const growth = 4 // memory over bytes that arrived, and once more for the sizes that there are
		l := &frameLimits{role: roleClient, line: 64, payload: 1 << 20}
		var in netio.ReadBuffer
		defer in.Clear()
		var o op
		for len(stream) > 0 {
			space := in.Space(limit)
			if most := max(limit, growth*(len(in.Unread())+1)) * growth; cap(in.Bytes()) > most {
				t.Fatalf("%d bytes of memory for %d that arrived", cap(in.Bytes()), len(in.Unread()))
			}
			n := copy(space[:min(len(space), int(step)+1)], stream)
			in.Filled(n)
			stream = stream[n:]
			o = op{}
			for !in.Incomplete() {
				n, want, keep, err := l.next(in.Unread(), &o)
				if err != frameOK {
					return
				}
				if n == 0 {
					in.Need(want, keep)
					break
				}
				in.Consume(n)
			}
		}
	})
}

func TestSizesBeyondAllLimits(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"680444720440", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551617", "99999999999999999999", "-1", "+1", "1048577", "0x10", "1e3"} {
		for _, verb := range []string{"PUB o ", "HPUB o 12 "} {
			var o op
			l := frameLimits{role: roleClient, line: 4096, payload: 1 << 20}
			line := []byte(verb + size + "\r\n")
			if n, _, _, err := l.next(line, &o); n != 0 || err != framePayload && err != frameSize {
				t.Errorf("%q is taken: %d bytes, %v", line, n, err)
			}
		}
	}
}

// TestControlBytesAreInNoArgument puts every byte into every argument of every verb.
func TestControlBytesAreInNoArgument(t *testing.T) {
	t.Parallel()
	for v := verbNone + 1; v < verbCount; v++ {
		row := &verbRows[v]
		if row.form != argsSplit {
			continue
		}
		for count := row.min; count <= row.max; count++ {
			for at := range count {
				for b := range 256 {
					separates := b == ' ' || b == '\t' || b == '\n' || b == '\r' && !row.payload
					if isSize := row.payload && at >= count-1 || row.headers && at >= count-2; separates || isSize {
						continue
					}
					args := slices.Repeat([]string{"12"}, count)
					args[at] = "evt.x" + string([]byte{byte(b)}) + "2"
					line := row.name + " " + strings.Join(args, " ") + "\r\n"
					if row.payload {
						line += "NATS/1.0\r\n\r\n\r\n"
					}
					want := frameOK
					if b < ' ' || b == 0x7f {
						want = frameArgs
					}
					l := &frameLimits{role: row.from &^ (row.from - 1), line: 64, payload: -1}
					var o op
					if _, _, _, err := l.next([]byte(line), &o); err != want {
						t.Errorf("%q: got error %d, want %d", line, err, want)
					} else if err == frameOK && string(o.arg[at]) != args[at] {
						t.Errorf("%q: got argument %q, want %q", line, o.arg[at], args[at])
					}
				}
			}
		}
	}
}

// TestArgLen compares it with the obvious way, at every length and place in a word of the machine.
func TestArgLen(t *testing.T) {
	t.Parallel()
	for size := range 20 {
		for at := range size {
			for b := range 256 {
				for _, next := range []byte{'a', ' ', 0, 0x21, 0x7f, 0x80, 0xff} {
					text := bytes.Repeat([]byte{next}, size)
					copy(text, strings.Repeat("\xa1", at))
					text[at] = byte(b)
					want := 0
					for want < size && text[want] > ' ' && text[want] != 0x7f {
						want++
					}
					if got := argLen(text); got != want {
						t.Fatalf("%q: got %d, want %d", text, got, want)
					}
				}
			}
		}
	}
}

// BenchmarkParse parses publications, of which no two that follow each other have equal lines, and
// subscriptions.
func BenchmarkParse(b *testing.B) {
	for _, tt := range []struct{ name, form string }{
		{"PUB", "PUB orders.eu.%04d 16\r\n0123456789abcdef\r\n"},
		{"PUB with a reply", "PUB orders.eu.%04d _INBOX.1ZbNDIzzC5zDcxCiNNyXQv.1234 16\r\n0123456789abcdef\r\n"},
		{"SUB", "SUB orders.eu.%04d workers 12\r\n"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			const each = 1000
			var text strings.Builder
			for i := range each {
				fmt.Fprintf(&text, tt.form, i)
			}
			stream := []byte(text.String())
			l := &frameLimits{role: roleClient, line: 4096, payload: 1 << 20}
			var o op
			b.ReportAllocs()
			b.SetBytes(int64(len(stream) / each))
			for i := 0; i < b.N; i += each {
				for at := 0; at < len(stream); {
					n, _, _, err := l.next(stream[at:], &o)
					if n == 0 {
						b.Fatalf("got error %d", err)
					}
					at += n
				}
			}
		})
	}
}
