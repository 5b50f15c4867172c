package main

import (
	"errors"
	"testing"
)

func TestTheWindowFollowsTheSlowestSubscriber(t *testing.T) {
	t.Parallel()
	w := newWindow(100, 2, false)
	w.deliver(0, 500)
	w.deliver(1, 200)
	if got := w.done(); got != 200 {
		t.Errorf("done %d, want 200", got)
	}
}

func TestTheMembersOfAQueueGroupAddUp(t *testing.T) {
	t.Parallel()
	w := newWindow(100, 2, true)
	w.deliver(0, 500)
	w.deliver(1, 200)
	if got := w.done(); got != 700 {
		t.Errorf("done %d, want 700", got)
	}
}

func TestNothingWaitsWithoutSubscribers(t *testing.T) {
	t.Parallel()
	w := newWindow(1, 0, false)
	if err := w.wait(1 << 40); err != nil {
		t.Errorf("wait: %v, want none", err)
	}
	if err := w.drain(1 << 40); err != nil {
		t.Errorf("drain: %v, want none", err)
	}
}

func TestAPublisherWaitsForRoom(t *testing.T) {
	t.Parallel()
	w := newWindow(100, 1, false)
	if err := w.wait(100); err != nil {
		t.Fatalf("wait for what fits: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.wait(101) }() // ends with what is delivered below
	w.deliver(0, 25)
	select {
	case err := <-ended:
		t.Fatalf("let go (%v) before three quarters were free", err)
	default:
	}
	w.deliver(0, 1)
	if err := <-ended; err != nil {
		t.Errorf("wait: %v, want none", err)
	}
}

func TestAFailedSubscriberEndsTheWait(t *testing.T) {
	t.Parallel()
	w := newWindow(100, 1, false)
	ended := make(chan error, 1)
	go func() { ended <- w.drain(1) }() // ends with the failure below
	want := errors.New("first")
	w.fail(want)
	w.fail(errors.New("second"))
	if err := <-ended; !errors.Is(err, want) {
		t.Errorf("drain: %v, want %v", err, want)
	}
}
