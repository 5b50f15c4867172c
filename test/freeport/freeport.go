// Package freeport finds ports for programs that must be told one before they start.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// The ports to choose from. The system gives those above to connections, and to listeners that ask
// for port 0: such a port can be taken again before the program that is meant to have it listens.
const first, last = 10_000, 32_767

// attempts is how many ports are looked at.
const attempts = 1000

// given has the ports that this process got: a program may not listen yet.
var given sync.Map

// Get returns a TCP port of 127.0.0.1 on which nothing listens, and which neither the system nor
// another call of this process hands out.
func Get() (int, error) {
	var errs error
	end := limit()
	for range attempts {
		port := first + rand.IntN(end-first)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			errs = err
			continue
		}
		return port, l.Close()
	}
	return 0, errors.Join(fmt.Errorf("find a free port: none of %d", attempts), errs)
}

// Loopback is the address of a port of this machine.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// limit is the first port above those to choose from. Where the system's own ports begin so low that
// none are left, it is last+1: that a port is taken in between is still improbable.
func limit() int {
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range") // elsewhere than on Linux: 49152 and above
	low := 0
	if _, err := fmt.Sscan(string(text), &low); err != nil || low <= first {
		return last + 1
	}
	return min(low, last+1)
}
