package faults

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file steps the system clock of one process. The kernel has no namespace for it, and Go reads
// it without the C library, from code that the kernel maps into each process (vDSO). That code is
// replaced, before the program runs, by a system call and the addition of an offset.

// clockCode is what replaces __vdso_clock_gettime(clock, *timespec), by processor. It ends with the
// offset, in seconds.
var clockCode = map[string][]byte{"amd64": {
	0xb8, 0xe4, 0x00, 0x00, 0x00, // mov eax, SYS_clock_gettime
	0x0f, 0x05, // syscall: changes rax, rcx and r11
	0x85, 0xff, // test edi, edi
	0x75, 0x0a, // jnz to ret: another clock than CLOCK_REALTIME
	0x48, 0x8b, 0x0d, 0x04, 0x00, 0x00, 0x00, // mov rcx, [offset]
	0x48, 0x01, 0x0e, // add [rsi], rcx
	0xc3,                   // ret
	0, 0, 0, 0, 0, 0, 0, 0, // offset
}}

// errNoClock is returned where clocks cannot be stepped.
var errNoClock = errors.New("the clock of a process cannot be stepped on this processor")

// clock is that of a process.
type clock struct {
	pid    int
	offset int64 // address of the offset
}

// replaceClock gives a process that has not begun to run a clock that can be stepped.
func replaceClock(pid int) (*clock, error) {
	code := clockCode[runtime.GOARCH]
	if code == nil {
		return nil, errNoClock
	}
	from, to, err := vdso(pid)
	if err != nil {
		return nil, err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	image := make([]byte, to-from)
	if _, err := mem.ReadAt(image, from); err != nil {
		return nil, err
	}
	at, size, err := symbol(image, "__vdso_clock_gettime")
	if err != nil {
		return nil, err
	}
	if size < len(code) {
		return nil, fmt.Errorf("__vdso_clock_gettime has %d bytes, want %d", size, len(code))
	}
	if _, err := mem.WriteAt(code, from+at); err != nil {
		return nil, err
	}
	return &clock{pid, from + at + int64(len(code)-8)}, nil
}

// step sets the clock of the process to so much more than that of the system.
func (c *clock) step(by time.Duration) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(by/time.Second)), c.offset)
	return err
}

// vdso returns where the code of the kernel is in a process.
func vdso(pid int) (from, to int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &from, &to)
			return from, to, err
		}
	}
	return 0, 0, errors.New("a process without vDSO")
}

// symbol returns where a function is in an image, and its size.
func symbol(image []byte, name string) (at int64, size int, err error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, 0, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, 0, err
	}
	for _, s := range symbols {
		if s.Name == name {
			return int64(s.Value), int(s.Size), nil
		}
	}
	return 0, 0, fmt.Errorf("no %s", name)
}

// awaitExec waits until a process that was started with SysProcAttr.Ptrace has become its program,
// calls do, and lets it run. It is to be called by the thread that started the process.
func awaitExec(pid int, do func() error) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return fmt.Errorf("wait for the exec: %w", err)
	}
	if !status.Stopped() {
		return fmt.Errorf("a process that was to stop at its exec: %#x", status)
	}
	return errors.Join(do(), syscall.PtraceDetach(pid))
}

// TestClockOfAProcessIsStepped asks a process, a Go program as the brokers are, for the time: this
// test itself.
func TestClockOfAProcessIsStepped(t *testing.T) {
	const ask = "GNATSD_FAULTS_CLOCK"
	if os.Getenv(ask) != "" {
		fmt.Printf("now=%d\n", time.Now().Unix())
		return
	}
	t.Parallel()
	if clockCode[runtime.GOARCH] == nil {
		t.Skip(errNoClock)
	}
	runtime.LockOSThread() // ptrace is of a thread
	defer runtime.UnlockOSThread()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := os.StartProcess(os.Args[0], []string{os.Args[0], "-test.run=^TestClockOfAProcessIsStepped$"}, &os.ProcAttr{
		Env: append(os.Environ(), ask+"=1"), Files: []*os.File{nil, w, w}, Sys: &syscall.SysProcAttr{Ptrace: true}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	const step = -2 * time.Hour
	if err := awaitExec(p.Pid, func() error {
		c, err := replaceClock(p.Pid)
		if err != nil {
			return err
		}
		return c.step(step)
	}); err != nil {
		p.Kill()
		t.Fatal(err)
	}
	var now int64
	_, err = fmt.Fscanf(r, "now=%d", &now)
	p.Wait()
	if off := time.Until(time.Unix(now, 0)) - step; err != nil || off.Abs() > time.Minute {
		t.Errorf("the clock of the process is off by %v, %v", off, err)
	}
}
