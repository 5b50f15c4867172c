package server

import (
	"math"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/process"
)

// processMetrics returns the metrics of the process, as far as the system reports them. Their names
// and their help are those of the client library of Prometheus.
func processMetrics() (all []monitor.Metric) {
	r := process.ReadResources()
	for _, m := range []monitor.Metric{
		monitor.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", r.CPU),
		monitor.Gauge("process_open_fds", "Number of open file descriptors.", r.OpenFiles),
		monitor.Gauge("process_max_fds", "Maximum number of open file descriptors.", r.MaxOpenFiles),
		monitor.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", r.Virtual),
		monitor.Gauge("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", r.MaxVirtual),
		monitor.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.", r.Resident),
		monitor.Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", r.Start),
		monitor.Counter("process_network_receive_bytes_total", "Number of bytes received by the process over the network.", r.ReceivedBytes),
		monitor.Counter("process_network_transmit_bytes_total", "Number of bytes sent by the process over the network.", r.SentBytes),
	} {
		if !math.IsNaN(m.Samples[0].Value) {
			all = append(all, m)
		}
	}
	return all
}
