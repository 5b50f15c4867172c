package spacesaving

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func second(n float64) int64 { return int64(1e18) + int64(n*1e9) }

func TestHeaviestKeysAreFoundAmongMany(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	s := New(32, second(0))
	const perSecond = 400
	for i := range 120 * perSecond { // 2 minutes
		key := fmt.Sprintf("light.%d", r.IntN(100_000))
		switch n := r.IntN(100); {
		case n < 20:
			key = "heavy.one"
		case n < 30:
			key = "heavy.two"
		}
		s.Add([]byte(key), Weight{Messages: 1, Bytes: 10, Deliveries: 3}, second(float64(i)/perSecond))
	}
	rates := Merge([]*Sketch{s}, second(120))
	if len(rates) < 2 || rates[0].Key != "heavy.one" || rates[1].Key != "heavy.two" {
		t.Fatalf("got %+v", rates[:2])
	}
	for i, want := range []float64{0.2 * perSecond, 0.1 * perSecond} {
		got := rates[i]
		if low, high := got.Messages-got.Error, got.Messages; low > want*1.1 || high < want*0.9 || math.Abs(got.Deliveries/got.Messages-3) > 0.01 {
			t.Errorf("%s: got %.0f to %.0f a second, want %.0f", got.Key, low, high, want)
		}
	}
}

func TestRatesAreThoseOfTheLastMinute(t *testing.T) {
	t.Parallel()
	s := New(8, second(0))
	for i := range 100 { // 10 s
		s.Add([]byte("early"), Weight{Messages: 5, NoReceivers: 5}, second(float64(i)/10))
	}
	if got := Merge([]*Sketch{s}, second(10)); len(got) != 1 || math.Abs(got[0].Messages-50) > 5 || got[0].NoReceivers != got[0].Messages {
		t.Errorf("after 10 s: got %+v, want 50 a second", got)
	}
	for i := range 1200 { // 2 min
		s.Add([]byte("late"), Weight{Messages: 1}, second(10+float64(i)/10))
	}
	if got := Merge([]*Sketch{s}, second(130)); got[0].Key != "late" || math.Abs(got[0].Messages-10) > 1 || len(got) > 1 && got[1].Messages > 1 {
		t.Errorf("later: got %+v, want 10 a second of late", got)
	}
	if got := Merge([]*Sketch{s}, second(1000)); len(got) != 0 {
		t.Errorf("long after: got %+v", got)
	}
}

func TestSketchesAreMerged(t *testing.T) {
	t.Parallel()
	a, b, all := New(4, second(0)), New(4, second(0)), New(4, second(0))
	a.Add([]byte("x"), Weight{Messages: 15, Bytes: 30}, second(0))
	b.Add([]byte("x"), Weight{Messages: 150, Bytes: 300}, second(0))
	b.Add([]byte("y"), Weight{Messages: 1}, second(0))
	got := Merge([]*Sketch{a, b}, second(0))
	if len(got) != 2 || got[0].Key != "x" || got[0].Keepers != 2 || got[0].Heaviest != 1 || got[1].Keepers != 1 {
		t.Errorf("got %+v", got)
	}
	a.MergeInto(all, second(0))
	b.MergeInto(all, second(0))
	if one := Merge([]*Sketch{all}, second(0)); len(one) != 2 || math.Abs(one[0].Messages-got[0].Messages) > 1e-9 {
		t.Errorf("got %+v, want the same as %+v", one, got)
	}
}

func TestMemoryOfASketchIsBounded(t *testing.T) { // alone: it reads the memory of the process
	const sketches, keys = 1000, 32
	long := strings.Repeat("x", 4096)
	all := make([]*Sketch, sketches)
	before := heap()
	for i := range all {
		all[i] = New(keys, second(0))
		for k := range 3 * keys {
			all[i].Add(fmt.Appendf(nil, "%d.%s", k, long), Weight{Messages: 1}, second(0))
		}
	}
	each := (heap() - before) / sketches
	runtime.KeepAlive(all)
	if each > 8<<10 {
		t.Errorf("a sketch takes %d bytes", each)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAddingToAKeyThatIsKnownAllocatesNothing(t *testing.T) {
	s := New(32, second(0))
	key, at := []byte("foo.bar"), second(0)
	if n := testing.AllocsPerRun(100, func() { at += int64(time.Second); s.Add(key, Weight{Messages: 1}, at) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}
