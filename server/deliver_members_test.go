package server

import (
	"fmt"
	"strings"
	"testing"
)

func TestRecentMembersAreFoundUntilTheBatchIsPushed(t *testing.T) {
	t.Parallel()
	var c memberCache
	long := []byte("QRSID:1:" + strings.Repeat("x", maxMemberID))
	c.add(long, new(subscription))
	if c.find(long) != nil {
		t.Error("an id that is too long is found")
	}
	subs := make([]*subscription, 3*maxMembers)
	for i := range subs {
		subs[i] = new(subscription)
		c.add(fmt.Appendf(nil, "QRSID:1:%d", i), subs[i])
	}
	for i, sub := range subs {
		want := sub
		if i < len(subs)-maxMembers {
			want = nil
		}
		if got := c.find(fmt.Appendf(nil, "QRSID:1:%d", i)); got != want {
			t.Errorf("member %d: got %p, want %p", i, got, want)
		}
	}
	c.clear()
	for i := range subs {
		if c.find(fmt.Appendf(nil, "QRSID:1:%d", i)) != nil {
			t.Errorf("member %d is found in the next batch", i)
		}
	}
}
