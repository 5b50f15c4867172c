package wire

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
)

// answering returns a Conn to a peer that says text, and then closes.
func answering(t *testing.T, text string) *Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go func() { // ends when all is read, or with the test
		fmt.Fprint(far, text)
		far.Close()
	}()
	return New(near)
}

func TestNextReadsOneMessage(t *testing.T) {
	t.Parallel()
	const head = "NATS/1.0\r\n\r\n"
	for _, test := range []struct {
		name, text string
		want       *Message // nil for PONG
		err        string   // "" for none
	}{
		{"a message", "MSG a 1 2\r\nhi\r\n", &Message{Subject: "a", Sid: "1", Payload: []byte("hi")}, ""},
		{"a reply subject", "MSG a 1 b 2\r\nhi\r\n", &Message{Subject: "a", Sid: "1", Reply: "b", Payload: []byte("hi")}, ""},
		{"line ends inside", "MSG a 1 4\r\n\r\n\r\n\r\n", &Message{Subject: "a", Sid: "1", Payload: []byte("\r\n\r\n")}, ""},
		{"headers", "HMSG a 1 b 12 14\r\n" + head + "hi\r\n", &Message{"a", "1", "b", []byte(head), []byte("hi")}, ""},
		{"a pong", "PONG\r\n", nil, ""},
		{"a PING", "PING\r\n", nil, "want a message or PONG"},
		{"no size", "MSG a 1 x\r\n", nil, "sizes in"},
		{"a longer payload", "MSG a 1 1\r\nhi\r\n", nil, "no line end"},
		{"an end in between", "MSG a 1 5\r\nhi", nil, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, test.text).Next()
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("got %v, want %q", err, test.err)
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestExpectShowsWhatCameInstead(t *testing.T) {
	t.Parallel()
	if err := answering(t, "+OK\r\n-ERR 'x'\r\n").Expect("+OK\r\nPONG\r\n"); err == nil || !strings.Contains(err.Error(), `got "+OK\r\n-ERR 'x'\r\n", want`) {
		t.Errorf("got %v", err)
	}
	if err := answering(t, "+OK\r\n").Expect("+OK\r\n"); err != nil {
		t.Error(err)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	if err := answering(t, "").Ended(); err != nil {
		t.Error(err)
	}
	if err := answering(t, "x").Ended(); err == nil {
		t.Error("more came, and is not noticed")
	}
	if rest, err := answering(t, "a\r\nb").Rest(); rest != "a\r\nb" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestRoutePassesOverWhatIsNoNews(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	said := make(chan []byte, 1)
	go func() { // ends when it has read an answer, or with the test
		fmt.Fprint(far, "SUB a  RSID:1:1\r\nPING\r\n")
		answer := make([]byte, 6)
		far.Read(answer)
		said <- answer
		fmt.Fprint(far, "SUB a  RSID:1:1\r\nSUB a  RSID:1:2\r\nUNSUB RSID:1:1\r\nSUB a  RSID:1:1\r\n")
	}()
	r := Listen(t, "peer", false).Route(Of(t, near))
	for _, want := range []string{"SUB a  RSID:1:1", "SUB a  RSID:1:2", "UNSUB RSID:1:1", "SUB a  RSID:1:1"} {
		r.Hear(want + "\r\n")
	}
	if got := <-said; !bytes.Equal(got, []byte("PONG\r\n")) {
		t.Errorf("got %q for a PING", got)
	}
}
