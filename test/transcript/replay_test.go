package transcript

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// fake is a listener whose connections greet with INFO and answer each line from a table; ""
// closes.
func fake(t *testing.T, answers map[string]string) func() (net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, answers) // ends with the connection
		}
	}()
	return func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
}

func answer(c net.Conn, answers map[string]string) {
	defer c.Close()
	c.Write([]byte("INFO {\"port\":4222} \r\n"))
	for in := bufio.NewScanner(c); in.Scan(); {
		reply, ok := answers[in.Text()]
		if ok && reply == "" {
			return
		}
		c.Write([]byte(reply))
	}
}

func TestReplayNoticesWhatIsWrong(t *testing.T) {
	t.Parallel()
	dial := fake(t, map[string]string{
		"PING":  "PONG\r\n",
		"HELLO": "WORLD\r\n",
		"TWO":   "B\r\nA\r\n",
		"BYE":   "",
		"LAST":  "WORDS\r\n",
	})
	for _, test := range []struct {
		name  string
		steps string
		want  string // in the error; "" for none
	}{
		{"what is expected passes", "A> HELLO\nA< WORLD", ""},
		{"another byte fails at its line", "A> HELLO\nA< WORD", `x.txt:3: A: got "WORLD\r\n", want "WORD\r\n"`},
		{"a byte too many fails at the end", "A> HELLO", `at the end: A: after a PING: got "WORLD\r\n`},
		{"a byte too many fails at the fence", "A> HELLO\nA! open\nA< WORLD", `x.txt:3: A: after a PING`},
		{"a connection that stays is not closed", "A> LAST\nA! closed", `x.txt:3: A: got "WORDS\r\n", want the connection closed`},
		{"a connection that ends is closed", "A> BYE\nA! closed", ""},
		{"a connection that ends is not open", "A> BYE\nA! open", `after a PING: got nothing, then `},
		{"words before the end are not for closed", "A>> LAST\\nBYE\\n\nA! closed", `got "WORDS\r\n"`},
		{"words before the end are for dropped", "A>> LAST\\nBYE\\n\nA! dropped", ""},
		{"a closed connection cannot be used", "A> BYE\nA! closed\nA> HELLO", "x.txt:4: A: the connection is closed already"},
		{"an unordered run takes any order", "A> TWO\nA<* A\nA<* B", ""},
		{"an unordered run wants all", "A> TWO\nA<* A\nA<* C", `want one of`},
		{"an ordered run does not", "A> TWO\nA< A\nA< B", `got "B\r\nA\r\n", want "A\r\n"`},
		{"INFO may leave the port open", `A< INFO {"port":<port>}`, ""},
		{"INFO must match the rest", `A< INFO {"host":<port>}`, "want a match"},
		{"raw bytes and repetition", `A>> HE\{L*2}O\x0d\x0a` + "\n" + `A<< WO\{R*1}LD\r\n`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr, err := parse("x.txt", "# Test.\n"+test.steps+"\n")
			if err != nil {
				t.Fatal(err)
			}
			for name, cut := range map[string]Cutter{"whole": Whole, "bytes": Everywhere, "cut": CutAt(3)} {
				switch err := tr.Merged().Replay(dial, cut); {
				case err == nil && test.want != "":
					t.Errorf("%s: got no error, want %q", name, test.want)
				case err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s: got %q, want %q", name, err, test.want)
				}
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
	}{
		{"a line that is no step", "# P.\nA> X\nhello", `x.txt:3: not a step: "hello"`},
		{"an unknown event", "# P.\nA! gone", `x.txt:2: unknown event "gone"`},
		{"a bad escape", "# P.\nA>> \\q", "x.txt:2: bad escape"},
		{"a late option", "# P.\nA> X\noption max_payload 1", "x.txt:3: want `option name value` before the first step"},
		{"an unknown placeholder", "# P.\nA< INFO {<nosuch>}", "x.txt:2: unknown placeholder <nosuch>"},
		{"no promise", "A> X", "x.txt: a transcript has a first comment"},
		{"no steps", "# P.", "x.txt: a transcript has a first comment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parse("x.txt", test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestCutsAreReadsOfTheirOwn shows that a broker that reads sees the pieces of a send one by one,
// where the system can tell.
func TestCutsAreReadsOfTheirOwn(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: wire.New(c), unread: newUnread(c)}
	defer p.close()
	if !p.unread.certain() {
		if os.Getenv("CI") != "" {
			t.Fatal("needs a system that says what has been read")
		}
		t.Skip("needs a system that says what has been read")
	}
	want := strings.Repeat("0123456789", 50)
	reads := make(chan string, len(want)+1)
	go func() { // ends with the connection
		defer close(reads)
		for b := make([]byte, 1024); ; {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			reads <- string(b[:n])
		}
	}()
	var pieces [][]byte
	for i := range want {
		pieces = append(pieces, []byte(want[i:i+1]))
	}
	p.send(pieces)
	p.close()
	n := 0
	for got := range reads {
		if len(got) != 1 {
			t.Fatalf("read %d: got %q, want one byte", n, got)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("got %d reads, want %d", n, len(want))
	}
}
