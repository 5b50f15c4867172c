package process

import "math"

// Resources are what this process uses, as Prometheus counts it. NaN is what this system does not
// tell.
type Resources struct {
	CPU           float64 // seconds, user and system time
	Resident      float64 // memory, bytes
	Virtual       float64 // memory, bytes
	MaxVirtual    float64 // memory, bytes
	OpenFiles     float64 // descriptors, or handles
	MaxOpenFiles  float64
	Start         float64 // seconds since the Unix epoch
	ReceivedBytes float64 // over the network, by all of this network namespace
	SentBytes     float64 // like ReceivedBytes
}

// ReadResources returns what this process uses now.
func ReadResources() Resources {
	unknown := math.NaN()
	r := Resources{unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown}
	if cpu, rss, err := readUsage(); err == nil {
		r.CPU, r.Resident = cpu.Seconds(), float64(rss)
	}
	r.read()
	return r
}
