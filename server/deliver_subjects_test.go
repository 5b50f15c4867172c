package server

import (
	"fmt"
	"strings"
	"testing"

	"gnatsd/server/internal/netio"
)

// TestNoSampleOutlivesItsBatch has a subscription reach its limit in the middle of publications, of
// which the rest has no receiver and does not fit the batch, and then another client publish a few
// bytes: what was noted of the first must not be looked for in the buffer of the second.
func TestNoSampleOutlivesItsBatch(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{MaxPending: 4096, MaxPayload: 1024})
	okay(t, err)
	const limit, each = 3, 200
	handle(t, sunk(t, s), fmt.Sprintf("SUB foo 1\r\nUNSUB 1 %d\r\n", limit))
	one := sunk(t, s)
	handle(t, one, strings.Repeat("PUB none 5\r\nhello\r\n", 1000)+strings.Repeat("PUB foo 100\r\n"+strings.Repeat("x", 100)+"\r\n", each))
	other := sunk(t, s)
	other.readLimit = netio.SmallSize
	copied := copy(other.in.Space(netio.SmallSize), "PUB bar 2\r\nhi\r\n")
	other.in.Filled(copied)
	if r := other.work(); r != keepOpen {
		t.Fatalf("the connection ends: %v", r)
	}
	z, err := s.Subjectz(nil)
	okay(t, err)
	if want := int64(1000 + each - limit + 1); z.NoReceivers != want {
		t.Errorf("%d messages without a receiver were counted, want %d", z.NoReceivers, want)
	}
}
