package netio

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// turnTest is readers that take turns.
type turnTest struct {
	shared Shared
	works  []*work
	began  chan int // receives the readers whose turn has come
	order  []int    // of them, those received
}

func newTurnTest(slots, readers int) *turnTest {
	tt := &turnTest{began: make(chan int, 16)}
	tt.shared.turns.slots = slots
	for range readers {
		tt.works = append(tt.works, &work{shared: &tt.shared})
	}
	return tt
}

// yield lets a reader yield, and waits until it goes on or waits.
func (tt *turnTest) yield(i int) {
	go func() { // ends when it has its turn
		tt.shared.turns.next(tt.works[i])
		tt.began <- i
	}()
	synctest.Wait()
}

// expect checks whose turn it has been.
func (tt *turnTest) expect(t *testing.T, want ...int) {
	t.Helper()
	synctest.Wait()
	for len(tt.began) > 0 {
		tt.order = append(tt.order, <-tt.began)
	}
	if !slices.Equal(tt.order, want) {
		t.Errorf("turns: got %v, want %v", tt.order, want)
	}
}

func TestAsManyReadersGoOnAsThereAreTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(2, 5)
		tt.yield(0)
		tt.yield(1)
		tt.yield(0) // no other waits
		tt.expect(t, 0, 1, 0)
		tt.yield(2)
		tt.yield(3)
		tt.expect(t, 0, 1, 0)
		tt.works[1].endTurn()
		tt.expect(t, 0, 1, 0, 2)
		tt.works[1].endTurn() // it has none
		tt.expect(t, 0, 1, 0, 2)
		tt.works[2].end()
		tt.expect(t, 0, 1, 0, 2, 3)
		tt.yield(4)
		tt.expect(t, 0, 1, 0, 2, 3)
		tt.works[0].end()
		tt.expect(t, 0, 1, 0, 2, 3, 4)
	})
}

// TestReadersThatYieldGoBehindThoseThatWait lets three readers that never wait yield again and again.
func TestReadersThatYieldGoBehindThoseThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(1, 3)
		for i := range 3 {
			tt.yield(i)
		}
		for i := range 4 { // always the one whose turn it is
			tt.yield(i % 3)
		}
		tt.expect(t, 0, 1, 2, 0, 1)
		tt.works[1].endTurn()
		tt.expect(t, 0, 1, 2, 0, 1, 2)
		tt.works[2].endTurn()
		tt.expect(t, 0, 1, 2, 0, 1, 2, 0)
	})
}

// TestATurnThatIsNotGivenBackExpires has readers wait for something else in their turns.
func TestATurnThatIsNotGivenBackExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(1, 4)
		for i := range 3 {
			tt.yield(i)
		}
		time.Sleep(maxTurn - 1)
		tt.expect(t, 0)
		time.Sleep(time.Nanosecond)
		tt.expect(t, 0, 1)
		tt.works[0].endTurn() // late: the turn is that of another
		tt.expect(t, 0, 1)
		time.Sleep(maxTurn)
		tt.expect(t, 0, 1, 2)
		time.Sleep(2 * maxTurn) // no other waits
		tt.yield(3)
		tt.expect(t, 0, 1, 2)
		tt.works[2].end()
		tt.expect(t, 0, 1, 2, 3)
	})
}

// TestATurnHasItsWholeTime has a turn begin while it is measured whether one before has expired.
func TestATurnHasItsWholeTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tt := newTurnTest(1, 3)
		for i := range 3 {
			tt.yield(i)
		}
		time.Sleep(maxTurn / 2)
		tt.works[0].endTurn()
		tt.expect(t, 0, 1)
		time.Sleep(maxTurn - 1)
		tt.expect(t, 0, 1)
		time.Sleep(maxTurn/2 + 1)
		tt.expect(t, 0, 1, 2)
	})
}
