package mesh_test

import (
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
)

// openPool lets the mesh dial a server, and opens a pool to it. It returns the INFO of the server.
func openPool(t *testing.T, size int) (*harness, *mesh.Info) {
	h := newHarness(t, "self", neverIdle)
	h.SetPoolSize(h.now, size)
	a := h.configure("10.0.0.1:6222")[0]
	if !h.Dialed(a.Target, 1, a.Addr) {
		t.Fatal("the link is not wanted")
	}
	info := server("other", 1)
	info.PoolSize = size
	h.introduce(1, info)
	h.Joined(h.now, 1)
	return h, info
}

// TestAServerThatLeavesItsLinksIsNotDialedAllTheTime has a server that retires each link of a pool as
// soon as it has joined.
func TestAServerThatLeavesItsLinksIsNotDialedAllTheTime(t *testing.T) {
	t.Parallel()
	h, info := openPool(t, 2)
	const seconds = 10
	dials, end := 0, h.now.Add(seconds*time.Second)
	for link := uint64(2); h.now.Before(end); {
		for _, a := range h.of(mesh.Dial) {
			dials++
			h.MemberDialed(a.Attempt, link)
			h.introduce(link, info)
			h.Joined(h.now, link)
			h.Left(h.now, link)
			h.Closed(h.now, link, "left")
			link++
		}
		if dials > 3*seconds {
			t.Fatalf("%d dials in %v", dials, h.now.Sub(end.Add(-seconds*time.Second)))
		}
		h.wakeUntil(h.now.Add(100 * time.Millisecond))
	}
	if dials < seconds/2 {
		t.Errorf("%d dials in %d s, want about one a second", dials, seconds)
	}
}

// TestALinkWithANumberOfAnotherDoesNotJoin has a server open a pool, and use a number twice.
func TestALinkWithANumberOfAnotherDoesNotJoin(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "self", neverIdle)
	h.SetPoolSize(h.now, 4)
	join := func(link uint64, number int) bool {
		info := server("other", 1)
		info.PoolSize, info.PoolID, info.Member = 4, "p", number
		h.Accepted(link)
		h.introduce(link, info)
		return len(h.of(mesh.Join)) == 1
	}
	for i, want := range []bool{false, true, false, true} { // the first opens the pool
		if got := join(uint64(i+1), []int{0, 1, 1, 2}[i]); got != want {
			t.Errorf("link %d joins: %v, want %v", i+1, got, want)
		}
	}
	h.Closed(h.now, 1, "lost") // number 1 becomes the route
	if join(5, 1) || !join(6, 3) {
		t.Error("after the first link is lost: number 1 joins again, or 3 does not")
	}
}
