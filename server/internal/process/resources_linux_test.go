package process

import (
	"os"
	"testing"
	"time"
)

func TestResourcesOfThisProcess(t *testing.T) {
	t.Parallel()
	f, err := os.Open("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := ReadResources()
	now := float64(time.Now().Unix())
	for _, tt := range []struct {
		name           string
		got, low, high float64
	}{
		{"CPU", r.CPU, 0, 3600},
		{"Resident", r.Resident, 1 << 20, 1 << 40},
		{"Virtual", r.Virtual, r.Resident, 1 << 50},
		{"MaxVirtual", r.MaxVirtual, r.Virtual, 1 << 64},
		{"OpenFiles", r.OpenFiles, 4, r.MaxOpenFiles},
		{"Start", r.Start, now - 24*3600, now + 2},
		{"ReceivedBytes", r.ReceivedBytes, 0, 1 << 60},
		{"SentBytes", r.SentBytes, 0, 1 << 60},
	} {
		if !(tt.got >= tt.low && tt.got <= tt.high) {
			t.Errorf("%s: got %v, want %v to %v", tt.name, tt.got, tt.low, tt.high)
		}
	}
}

func TestStatOfAProgramWithParentheses(t *testing.T) {
	t.Parallel()
	stat := "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1234 5678 9\n"
	if start, virtual, ok := parseStat([]byte(stat)); start != 12.34 || virtual != 5678 || !ok {
		t.Errorf("got %v, %v, %v", start, virtual, ok)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 1 2", "7 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 5678 9"} {
		if _, _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestNetstat(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string][2]float64{
		"TcpExt: A InOctets\nTcpExt: 1 2\nIpExt: X InOctets OutOctets\nIpExt: 1 7 8\n": {7, 8},
		"IpExt: X OutOctets InOctets\nIpExt: 1 7\n":                                    {0, 7},
		"IpExt: X\n": {}, "": {},
	} {
		in, out := parseNetstat([]byte(stat))
		if got := [2]float64{in, out}; got != want {
			t.Errorf("%q: got %v, want %v", stat, got, want)
		}
	}
}
