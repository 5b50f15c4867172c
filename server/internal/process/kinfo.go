package process

import (
	"bytes"
	"encoding/binary"
)

// A kinfoProc is what we need of FreeBSD's struct kinfo_proc, read from its bytes so that the
// reading is tested everywhere.
type kinfoProc struct {
	pid    int
	zombie bool
	comm   string // cut by the kernel after 19 bytes
	pages  int64  // resident
}

// The layout of struct kinfo_proc on 64-bit FreeBSD (sys/user.h). The size at its start guards all
// other offsets.
const (
	kinfoSize     = 1088
	kinfoPid      = 72
	kinfoRssize   = 264
	kinfoStat     = 388
	kinfoComm     = 447
	kinfoCommSize = 20
	kinfoZombie   = 5 // SZOMB of sys/proc.h
)

// parseKinfo reads a list of processes, little-endian, as sysctl kern.proc gives it. It reports
// false if the layout is another.
func parseKinfo(raw []byte) (list []kinfoProc, ok bool) {
	for ; len(raw) >= kinfoSize; raw = raw[kinfoSize:] {
		if binary.LittleEndian.Uint32(raw) != kinfoSize {
			return nil, false
		}
		comm, _, _ := bytes.Cut(raw[kinfoComm:kinfoComm+kinfoCommSize], []byte{0})
		list = append(list, kinfoProc{
			pid:    int(int32(binary.LittleEndian.Uint32(raw[kinfoPid:]))),
			zombie: raw[kinfoStat] == kinfoZombie,
			comm:   string(comm),
			pages:  int64(binary.LittleEndian.Uint64(raw[kinfoRssize:])),
		})
	}
	return list, len(raw) == 0
}
