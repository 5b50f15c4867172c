package process

import (
	"encoding/binary"
	"slices"
	"testing"
)

// rawKinfo is a struct kinfo_proc as the system would give it.
func rawKinfo(p kinfoProc) []byte {
	raw := make([]byte, kinfoSize)
	binary.LittleEndian.PutUint32(raw, kinfoSize)
	binary.LittleEndian.PutUint32(raw[kinfoPid:], uint32(p.pid))
	binary.LittleEndian.PutUint64(raw[kinfoRssize:], uint64(p.pages))
	if p.zombie {
		raw[kinfoStat] = kinfoZombie
	}
	copy(raw[kinfoComm:kinfoComm+kinfoCommSize-1], p.comm)
	return raw
}

func TestParseKinfo(t *testing.T) {
	t.Parallel()
	want := []kinfoProc{{pid: 1, comm: "init", pages: 300}, {pid: 77, comm: "gnatsd", zombie: true}}
	raw := append(rawKinfo(want[0]), rawKinfo(want[1])...)
	if got, ok := parseKinfo(raw); !ok || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, ok, want)
	}
	if _, ok := parseKinfo(raw[:len(raw)-1]); ok {
		t.Error("half a process was accepted")
	}
	if _, ok := parseKinfo(make([]byte, 2*kinfoSize)); ok {
		t.Error("another layout was accepted")
	}
}

// FuzzParseKinfo checks that no bytes of the system make the parser fail.
func FuzzParseKinfo(f *testing.F) {
	f.Add([]byte{})
	f.Add(rawKinfo(kinfoProc{pid: 3, comm: "gnatsd"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if list, ok := parseKinfo(raw); ok && len(list)*kinfoSize != len(raw) {
			t.Errorf("%d processes of %d bytes", len(list), len(raw))
		}
	})
}
