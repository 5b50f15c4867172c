package admission

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func sourceOf(text string) Source {
	return SourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)))
}

func TestAddressHasNoMoreConnectionsThanItMay(t *testing.T) {
	t.Parallel()
	var a Addresses
	one, other := sourceOf("10.0.0.1:5"), sourceOf("10.0.0.2:5")
	first, second, third := a.Connect(one, 2), a.Connect(one, 2), a.Connect(one, 2)
	if !first || !second || third || !a.Connect(other, 2) || !a.Connect(one, 0) {
		t.Error("the limit does not count")
	}
	a.Leave(one)
	a.Leave(one)
	if !a.Connect(one, 2) || a.Connect(one, 2) {
		t.Error("a connection that ended still counts, or counts twice")
	}
	for range 5 {
		if !a.Connect(Source{}, 1) {
			t.Error("connections in memory are limited")
		}
	}
	if a.Connect(sourceOf("[2001:db8::1]:5"), 1); a.Connect(sourceOf("[2001:db8::2]:5"), 1) {
		t.Error("addresses of one network are not one source")
	}
}

func TestAddressLogsInNoMoreOftenThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a Addresses
		one := sourceOf("10.0.0.1:5")
		many := func(n int) (admitted int) {
			for range n {
				if a.Login(one, 10) {
					admitted++
				}
			}
			return admitted
		}
		for i, want := range []int{10, 5, 5, 5} {
			if got := many(100); got != want {
				t.Errorf("step %d: %d logins, want %d", i, got, want)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if !a.Login(sourceOf("10.0.0.2:5"), 1) || !a.Login(one, 0) {
			t.Error("others are limited")
		}
	})
}

func TestAddressLogsInAsOftenAsANewRateSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a Addresses
		one := sourceOf("10.0.0.1:5")
		many := func(perSecond int) (admitted int) {
			for range 1000 {
				if a.Login(one, perSecond) {
					admitted++
				}
			}
			return admitted
		}
		for i, step := range []struct {
			rate, want int
			then       time.Duration
		}{
			{3, 3, 0}, {100, 97, 0}, {3, 0, time.Second}, {3, 3, 0}, {0, 1000, 0}, {10, 7, time.Second}, {10, 10, 500 * time.Millisecond}, {100, 95, 0},
		} {
			if got := many(step.rate); got != step.want {
				t.Errorf("step %d: %d logins at %d a second, want %d", i, got, step.rate, step.want)
			}
			time.Sleep(step.then)
		}
	})
}

func TestAddressesWithNothingAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a Addresses
		for i := range 100_000 {
			from := Source{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
			a.Login(from, 1000)
			if a.Connect(from, 0); i%1000 != 0 {
				a.Leave(from)
			}
			time.Sleep(time.Millisecond)
		}
		if n := len(a.sources); n > 2*minSweep {
			t.Errorf("%d sources are known, want about those that are connected", n)
		}
	})
}
