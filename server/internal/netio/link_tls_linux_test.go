package netio

import (
	"bytes"
	"io"
	"testing"
)

// TestTLSWritesARecordAtOnce tries to write to a socket that has room, while nothing else is at work and
// while something is, and to one that is full: what fits a record is written as a whole, or nothing.
func TestTLSWritesARecordAtOnce(t *testing.T) {
	t.Parallel()
	l, _, peer := securePair(t)
	poll := &l.(*tlsLink).work.shared.BusyPoll
	try := func(what string, want int, parts ...[]byte) {
		t.Helper()
		var segs []Segment
		for _, p := range parts {
			segs = append(segs, Segment{Bytes: p})
		}
		wantErr := error(nil)
		if want == 0 {
			wantErr = ErrWouldBlock
		}
		if n, err := l.TrySend(segs); n != want || err != wantErr {
			t.Errorf("%s: %d bytes, %v, want %d, %v", what, n, err, want, wantErr)
		}
	}
	full := bytes.Repeat([]byte("x"), tlsRecord)
	poll.begin()
	try("one part", 5, []byte("hello"))
	try("two parts", tlsRecord, full[:tlsRecord-1], full[:1])
	try("a full record", tlsRecord, full)
	try("more than a record", 0, full, full[:1])
	poll.begin()
	try("beside another at work", 0, full[:1])
	poll.end()
	got := make([]byte, 5+2*tlsRecord)
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got[:5], []byte("hello")) {
		t.Errorf("%.10q arrives, %v", got, err)
	}
	sent := 0
	for writable(l.(*tlsLink).socket.raw) {
		try("until the socket is full", tlsRecord, full)
		sent += tlsRecord
	}
	try("a full socket", 0, full[:1])
	if n, err := io.ReadFull(peer, make([]byte, sent)); err != nil {
		t.Errorf("%d of %d bytes arrive, %v", n, sent, err)
	}
	poll.end()
}
