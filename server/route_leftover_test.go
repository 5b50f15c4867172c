package server

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

// TestFramesOfALeftover has a stream of frames, in segments of any length, of which any part has been
// sent, and checks which frames are found behind that.
func TestFramesOfALeftover(t *testing.T) {
	t.Parallel()
	frames := []string{
		"MSG foo RSID:1:2 5\r\nhello\r\n", "LINK mark\r\n", "MSG foo RSID:1:2 reply 0\r\n\r\n", "PING\r\n",
		"HMSG foo QRSID:3:1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "MSG x RSID:1:2 7\r\nMSG a 1\r\n", "SUB foo  RSID:1:1\r\n", "MSG y RSID:1:2 10\r\n0123456789\r\n",
	}
	s, err := NewServer(nil)
	okay(t, err)
	c := sunkRoute(t, s, false)
	text := strings.Join(frames, "")
	r := rand.New(rand.NewPCG(1, 2))
	for sent := range text {
		var l netio.Leftover
		l.Sent = sent
		for at := 0; at < len(text); {
			n := min(1+r.IntN(30), len(text)-at)
			l.Segments = append(l.Segments, netio.Segment{Bytes: []byte(text[at : at+n])})
			at += n
		}
		var got, want strings.Builder
		lines := 0
		c.readLeftover(&l, always, func(_ *op, _ *batch, frame []byte, sent int) {
			if sent == 0 {
				lines++
				got.Write(frame)
			}
		})
		at, wantLines := 0, 0
		for _, frame := range frames {
			if at >= sent {
				want.WriteString(frame)
				wantLines++
			}
			at += len(frame)
		}
		if got.String() != want.String() || lines != wantLines {
			t.Fatalf("%d bytes sent: got %d frames, %q, want %d, %q", sent, lines, got.String(), wantLines, want.String())
		}
	}
}

// TestPendingMessagesOfALostMemberArrive holds a member of a pool until much is pending for it, and
// cuts it: what its socket had not taken arrives on others, in order and once.
func TestPendingMessagesOfALostMemberArrive(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"off", "s2_fast"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pendingOfALostMember(t, mode)
		})
	}
}

func pendingOfALostMember(t *testing.T, mode string) {
	a, b, p := pooled(t, 3, nil, func(o *Options) {
		o.Cluster.Compression.Mode = mode
		o.idleTick, o.WriteDeadline = patience, patience // the member is held for longer on a busy machine
	})
	far, near, pub := dialClient(t, a), dialClient(t, b), dialClient(t, b)
	far.Say("SUB x 1")
	far.Sync()
	interested(t, b, 1)
	near.Say("SUB x 1") // so that the publisher is not stalled
	near.Sync()
	go func() { // ends with the connection
		for {
			if _, err := near.Next(); err != nil {
				return
			}
		}
	}()
	pub.Say("PUB x 9", fmt.Sprintf("%09d", 0))
	if d, err := far.Next(); err != nil || d == nil {
		t.Fatal(d, err)
	}
	var member *route
	for _, r := range b.cluster.active()[0].siblings() {
		if r.out.Stats().Messages > 0 {
			member = r
		}
	}
	number := -1
	for i, addr := range carried(p) {
		if addr == member.nc.LocalAddr().String() {
			number = i
		}
	}
	p.hold(number)
	noise := make([]byte, 8<<10) // cannot be compressed
	r := rand.New(rand.NewPCG(3, 4))
	const least = 4 << 20 // pending
	n := 0
	for ; member.out.Stats().Pending < least && !member.ended(); n++ {
		for i := 0; i < len(noise); i += 8 {
			binary.NativeEndian.PutUint64(noise[i:], r.Uint64())
		}
		pub.Say(fmt.Sprintf("PUB x %d\r\n%09d", 9+len(noise), n+1) + string(noise) + "\r\n")
		pub.Sync()
	}
	eventually(t, "the socket takes no more", blocked(&member.out))
	// What one write has sent of a part of the queue counts as pending until it ends.
	pending := (int(member.out.Stats().Pending) - 1<<20) / (len(noise) + 60)
	p.cut(func(int) int { return number })
	eventually(t, "the member is lost", func() bool { return member.ended() })
	pub.Say("PUB x 9", fmt.Sprintf("%09d", n+1))
	last, got := 0, 0
	for last < n+1 {
		d, err := far.Next()
		okay(t, err)
		var i int
		fmt.Sscanf(string(d.Payload[:9]), "%d", &i)
		if i <= last {
			t.Fatalf("message %d came after %d", i, last)
		}
		last = i
		got++
	}
	if lost := n + 1 - got; got < pending {
		t.Errorf("%d of %d messages arrived, %d were lost, but %d were pending", got, n+1, lost, pending)
	}
}

// blocked returns a function that reports whether the peer has taken nothing for half a second.
func blocked(q *netio.WriteQueue) func() bool {
	last, since := int64(-1), time.Now()
	return func() bool {
		if _, written := q.Progress(); written != last {
			last, since = written, time.Now()
		}
		return time.Since(since) > time.Second/2
	}
}

// TestNothingIsCountedOfARetiredMember has a member of a pool end that was to leave it, with much pending.
func TestNothingIsCountedOfARetiredMember(t *testing.T) {
	t.Parallel()
	a, b, p := pooled(t, 3, nil, func(o *Options) { o.idleTick, o.WriteDeadline = patience, patience })
	far, pub := dialClient(t, a), dialClient(t, b)
	far.Do("SUB x 1")
	interested(t, b, 1)
	pub.Do("PUB x 1", "m")
	if d, err := far.Next(); err != nil || d == nil {
		t.Fatal(d, err)
	}
	member := b.cluster.active()[0]
	for _, r := range member.siblings() {
		if r.out.Stats().Messages > 0 {
			member = r
		}
	}
	p.hold(slices.Index(carried(p), member.nc.LocalAddr().String()))
	for big := strings.Repeat("x", 8<<10); member.out.Stats().Pending < 900<<10; {
		pub.Say(fmt.Sprintf("PUB x %d", len(big)), big)
	}
	member.retire()
	member.close(closeSlowDeadline)
	eventually(t, "it has ended", func() bool { return !slices.Contains(b.cluster.all(), member) })
	eventually(t, "nothing of it is counted", func() bool { return b.io.SetAside.Load() == 0 })
}

// publishedOverAPool returns a server with a subscriber of x, and one with a publisher that is stalled for no
// route, as it has another subscriber.
func publishedOverAPool(t *testing.T) (a, b *Server, p *poolProxy, far, pub *wire.Client) {
	t.Helper()
	a, b, p = pooled(t, 3, nil, func(o *Options) { o.idleTick, o.WriteDeadline = patience, patience })
	far, pub = dialClient(t, a), dialClient(t, b)
	far.Do("SUB x 1")
	interested(t, b, 1)
	near := dialClient(t, b)
	near.Do("SUB x 1")
	go func() { // ends with the connection
		for {
			if _, err := near.Next(); err != nil {
				return
			}
		}
	}()
	return a, b, p, far, pub
}

// TestWhatALostMemberHasRefusedFollowsWhatItHadPending has a member of a pool lost that has much pending,
// and that has refused a message behind that. It holds the member that gets what was pending: the refused
// message does not arrive on another one before that.
func TestWhatALostMemberHasRefusedFollowsWhatItHadPending(t *testing.T) {
	t.Parallel()
	a, b, p, far, pub := publishedOverAPool(t)
	sid := fmt.Sprintf("%s%d:1", plainID, a.clients.all()[0].id)
	pub.Do("PUB x 1", "m")
	if d, err := far.Next(); err != nil || d == nil {
		t.Fatal(d, err)
	}
	var member *route
	var rest []*route
	for _, r := range b.cluster.active()[0].siblings() {
		if r.out.Stats().Messages > 0 {
			member = r
		} else {
			rest = append(rest, r)
		}
	}
	number := func(r *route) int { return slices.Index(carried(p), r.nc.LocalAddr().String()) }
	lost, heir, other := number(member), rest[member.number%2], rest[1-member.number%2]
	heirNumber := number(heir)
	p.hold(lost)
	const size, least = 8 << 10, 4 << 20
	last := 0
	for ; member.out.Stats().Pending < least; last++ {
		pub.Do(fmt.Sprintf("PUB x %d", size), fmt.Sprintf("%09d%s", last, strings.Repeat("x", size-9)))
	}
	eventually(t, "the socket takes no more", blocked(&member.out))

	text := fmt.Sprintf("MSG x %s 9\r\n%09d\r\n", sid, last)
	refused := &flowOther{to: member, index: uint32(1 - member.number%2), messages: netio.Delivery{
		Segments: []netio.Segment{{Bytes: []byte(text)}}, Bytes: len(text), Messages: 1, Payload: 9, Reserved: true}}
	refused.messages.Keep()
	member.pool.resend(refused)
	p.hold(heirNumber)
	p.cut(func(int) int { return lost })
	select {
	case <-member.handedOver:
	case <-time.After(patience):
		t.Fatal("the member is not lost")
	}
	// When the peer has read this mark it has acted on what was sent on the other member.
	n := other.pushMark([]byte(markLine))
	peer := a.cluster.active()[0].pool.numbered(other.number)
	eventually(t, "the peer has read the other member", func() bool { return peer.marked.n.Load() >= n })
	p.release(heirNumber)
	for at := -1; at < last; {
		d, err := far.Next()
		okay(t, err)
		var i int
		fmt.Sscanf(string(d.Payload[:9]), "%d", &i)
		if i <= at || i == last && at < last-1 {
			t.Fatalf("message %d came after %d", i, at)
		}
		at = i
	}
}

// TestWhatWasHandedOverIsHandedOverAgain cuts the member of a pool that has messages pending, and then the
// one that they were handed over to. They arrive over the third, unless their publisher has followed them
// meanwhile: what it has sent since may have arrived, and nothing comes after that.
func TestWhatWasHandedOverIsHandedOverAgain(t *testing.T) {
	t.Parallel()
	for _, follows := range []bool{false, true} {
		t.Run(fmt.Sprintf("followed %v", follows), func(t *testing.T) {
			t.Parallel()
			_, b, p, far, pub := publishedOverAPool(t)
			const size, least = 32 << 10, 16 << 20
			publish := func(n int) {
				pub.Do(fmt.Sprintf("PUB x %d", size), fmt.Sprintf("%09d%s", n, strings.Repeat("x", size-9)))
			}
			publish(0)
			if d, err := far.Next(); err != nil || d == nil {
				t.Fatal(d, err)
			}
			pool := b.cluster.active()[0].pool
			first := pool.opener
			for _, r := range pool.opener.siblings() {
				if r.out.Stats().Messages > 0 {
					first = r
				}
			}
			numberOf := func(r *route) int { return slices.Index(carried(p), r.nc.LocalAddr().String()) }
			cut := func(r *route) {
				number := numberOf(r)
				p.cut(func(int) int { return number })
				select {
				case <-r.handedOver:
				case <-time.After(patience):
					t.Fatal("the member is not lost")
				}
			}
			for n := range 3 {
				p.hold(n)
			}
			last := 0
			for first.out.Stats().Pending < least {
				last++
				publish(last)
			}
			eventually(t, "the socket takes no more", blocked(&first.out))
			cut(first)
			heir := first.handedTo
			eventually(t, "the next socket takes no more", blocked(&heir.out))
			pending := int(heir.out.Stats().Pending)
			if follows {
				last++
				publish(last)
			}
			cut(heir)
			p.release(numberOf((*pool.members.Load())[0]))
			got := 0
			for at := 0; at < last; got++ {
				d, err := far.Next()
				okay(t, err)
				n, err := strconv.Atoi(string(d.Payload[:9]))
				if okay(t, err); n <= at {
					t.Fatalf("message %d came after %d", n, at)
				}
				at = n
			}
			if least := pending / size / 2; !follows && (got < least || least == 0) {
				t.Errorf("%d messages arrived, want %d at least", got, least)
			}
		})
	}
}
