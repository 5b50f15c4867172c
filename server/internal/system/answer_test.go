package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
)

// pieces is a page that writes its JSON in pieces.
type pieces struct {
	List []string `json:"list"`
	err  error
}

// WriteJSON implements Streamed.
func (p *pieces) WriteJSON(w io.Writer) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	for len(text) > 0 && err == nil {
		n := min(len(text), 1+rand.IntN(1000))
		_, err = w.Write(text[:n])
		text = text[n:]
	}
	if p.err != nil {
		return p.err
	}
	return err
}

// pagesOf returns pages of several sizes.
func pagesOf(sizes ...int) (all []*pieces) {
	for _, size := range sizes {
		p := &pieces{List: []string{`"data":[]`}}
		for i := range size / 10 {
			p.List = append(p.List, fmt.Sprint("<", i*i))
		}
		all = append(all, p)
	}
	return all
}

// TestStreamedAnswersAreEncodedLikeOthers compares answers with those that are encoded in one piece.
func TestStreamedAnswersAreEncodedLikeOthers(t *testing.T) {
	t.Parallel()
	server := &ServerInfo{Name: `"data":[]`, ID: `x\","data":[]`}
	for _, p := range pagesOf(0, 100, 70_000, 3<<20) {
		want, err := json.Marshal(&response{Server: server, Data: struct {
			List []string `json:"list"`
		}{p.List}})
		if err != nil {
			t.Fatal(err)
		}
		for _, snappy := range []bool{false, true} {
			text := want
			if snappy {
				var b bytes.Buffer
				zip := s2.NewWriter(&b, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
				zip.Write(want)
				zip.Close()
				text = b.Bytes()
			}
			got, err := encode(&response{Server: server, Data: p}, snappy, 1<<30)
			if err != nil || !bytes.Equal(got.bytes, text) || got.size != len(text) || (len(got.header) > 0) != snappy {
				t.Errorf("%d entries, snappy %v: got %v, %d bytes of %d, want %d", len(p.List), snappy, err, len(got.bytes), got.size, len(text))
			}
		}
	}
}

// TestOfAnAnswerThatIsTooLargeOnlyTheSizeIsKept has limits around the size of an answer.
func TestOfAnAnswerThatIsTooLargeOnlyTheSizeIsKept(t *testing.T) {
	t.Parallel()
	for _, snappy := range []bool{false, true} {
		answer := &response{Server: &ServerInfo{}, Data: pagesOf(200_000)[0]}
		all, err := encode(answer, snappy, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		size := len(all.header) + len(all.bytes)
		for limit, fits := range map[int]bool{size: true, size - 1: false, 1000: false, 0: false} {
			got, err := encode(answer, snappy, limit)
			if err != nil || got.size != len(all.bytes) || (got.bytes != nil) != fits || (got.size <= got.max) != fits {
				t.Errorf("snappy %v, limit %d of %d: got %v, %d bytes of %d", snappy, limit, size, err, len(got.bytes), got.size)
			}
		}
	}
}

// writingConn is a connection whose peer keeps what it gets.
type writingConn struct {
	net.Conn
	out io.Writer
}

func (c *writingConn) Write(b []byte) (int, error) { return c.out.Write(b) }

// pagingBroker has a page.
type pagingBroker struct {
	fakeBroker
	page *pieces
}

// Page implements Broker.
func (b *pagingBroker) Page(string, string, []byte) (any, error) { return b.page, nil }

// TestAPageThatCannotBeEncodedIsAnError has a page that fails after some of it was written.
func TestAPageThatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	p := pagesOf(100)[0]
	p.err = io.ErrNoProgress
	var out bytes.Buffer
	s, w := New(&pagingBroker{page: p}, "ID"), &writer{nc: &writingConn{out: &out}}
	s.handle(w, &request{subject: "$SYS.REQ.SERVER.ID.CONNZ", reply: "me"})
	w.flush()
	if got := out.String(); !strings.Contains(got, `"error":{"code":500,"description":"`+io.ErrNoProgress.Error()+`"`) || strings.Contains(got, `"data"`) {
		t.Errorf("got %q", got)
	}
}
