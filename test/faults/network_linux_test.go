package faults

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the network that routes use: a switch in this process, to which each machine is
// connected with a TAP device. The frames from one machine to another may be lost or delayed, and
// what a machine sends may be limited, whatever the kernel has modules for.

// path is how frames travel from one machine to another.
type path struct {
	cut   bool
	loss  float64       // share of the frames that are lost
	delay time.Duration // one way
	rate  int           // bytes a second of all frames that the sender sends; 0 = no limit
}

const (
	// queueTime is how long a frame may wait for its turn where a rate is limited; what would wait
	// for longer is lost, as in a router.
	queueTime = 300 * time.Millisecond
	// queueFrames bounds how many frames are under way from one machine to another.
	queueFrames = 8192
	// early is how much too early a frame may arrive: timers are not more exact than that.
	early = time.Millisecond
	// largestFrame is that of Ethernet, with room to spare.
	largestFrame = 2048
)

// network is the switch.
type network struct {
	ports  []*port
	done   sync.WaitGroup
	closed chan struct{}
}

// port is the machine's end of the switch.
type port struct {
	tap  *os.File
	to   []*direction
	turn time.Time // when the next frame may be sent; of the goroutine that reads
}

// direction is one direction between two ports.
type direction struct {
	path   atomic.Pointer[path]
	frames chan frame
}

type frame struct {
	bytes []byte
	due   time.Time
}

// newNetwork starts a switch between the TAP devices, which it closes at the end of the test.
func newNetwork(t *testing.T, taps []*os.File) *network {
	n := &network{closed: make(chan struct{})}
	for _, tap := range taps {
		p := &port{tap: tap}
		for range taps {
			w := &direction{frames: make(chan frame, queueFrames)}
			w.path.Store(&path{})
			p.to = append(p.to, w)
		}
		n.ports = append(n.ports, p)
	}
	for i, p := range n.ports {
		n.done.Go(func() { n.read(i) }) // ends when the device is closed
		for j, w := range p.to {
			if i != j {
				n.done.Go(func() { n.carry(w, n.ports[j]) }) // ends with closed
			}
		}
	}
	t.Cleanup(func() {
		close(n.closed)
		for _, p := range n.ports {
			p.tap.Close()
		}
		n.done.Wait()
	})
	return n
}

// read takes the frames of a machine and puts each on the way to the machine with its address, or
// to all.
func (n *network) read(from int) {
	p := n.ports[from]
	buffer := make([]byte, largestFrame)
	for {
		size, err := p.tap.Read(buffer)
		if err != nil {
			return
		}
		if size < 14 { // the header of Ethernet
			continue
		}
		bytes := append([]byte(nil), buffer[:size]...)
		for i, w := range p.to {
			if i != from && (bytes[0]&1 != 0 || int(bytes[5]) == i) {
				p.put(w, bytes)
			}
		}
	}
}

// put sends a frame on its way, if it is not lost.
func (p *port) put(w *direction, bytes []byte) {
	how, now := w.path.Load(), time.Now()
	if how.cut || how.loss > 0 && rand.Float64() < how.loss {
		return
	}
	due := now
	if how.rate > 0 {
		if p.turn.Before(now) {
			p.turn = now
		}
		if p.turn.Sub(now) > queueTime {
			return
		}
		p.turn = p.turn.Add(time.Duration(len(bytes)) * time.Second / time.Duration(how.rate))
		due = p.turn
	}
	select {
	case w.frames <- frame{bytes, due.Add(how.delay)}:
	default: // the queue is full
	}
}

// carry hands frames to a machine when they are due.
func (n *network) carry(w *direction, to *port) {
	for {
		select {
		case <-n.closed:
			return
		case f := <-w.frames:
			if wait := time.Until(f.due); wait > early {
				select {
				case <-time.After(wait):
				case <-n.closed:
					return
				}
			}
			to.tap.Write(f.bytes)
		}
	}
}

// set changes the way from one machine to another.
func (n *network) set(from, to int, how path) { n.ports[from].to[to].path.Store(&how) }

// setAll changes all ways.
func (n *network) setAll(how path) {
	for from := range n.ports {
		for to := range n.ports {
			n.set(from, to, how)
		}
	}
}

// isolate changes the ways between one machine and the others, in both directions or only from it.
func (n *network) isolate(machine int, how path, both bool) {
	for other := range n.ports {
		n.set(machine, other, how)
		if both {
			n.set(other, machine, how)
		}
	}
}

// openTap makes a TAP device in the network namespace of the calling thread.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
