package monitor

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// This file is the metrics of the Go runtime. Their names and their help are those of the client
// library of Prometheus, which dashboards for Go programs expect.

// runtimeValues are values of package runtime/metrics.
type runtimeValues map[string]float64

// readRuntime reads values. One that this version of Go does not know is 0.
func readRuntime(names ...string) runtimeValues {
	samples := make([]metrics.Sample, len(names))
	for i, n := range names {
		samples[i].Name = n
	}
	metrics.Read(samples)
	values := make(runtimeValues, len(names))
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			values[s.Name] = float64(s.Value.Uint64())
		}
	}
	return values
}

// Names of package runtime/metrics that are used more than once.
const (
	heapObjects   = "/memory/classes/heap/objects:bytes"
	heapUnused    = "/memory/classes/heap/unused:bytes"
	heapReleased  = "/memory/classes/heap/released:bytes"
	heapFree      = "/memory/classes/heap/free:bytes"
	heapStacks    = "/memory/classes/heap/stacks:bytes"
	osStacks      = "/memory/classes/os-stacks:bytes"
	spansInUse    = "/memory/classes/metadata/mspan/inuse:bytes"
	spansFree     = "/memory/classes/metadata/mspan/free:bytes"
	cachesInUse   = "/memory/classes/metadata/mcache/inuse:bytes"
	cachesFree    = "/memory/classes/metadata/mcache/free:bytes"
	profileMemory = "/memory/classes/profiling/buckets:bytes"
	gcMemory      = "/memory/classes/metadata/other:bytes"
	otherMemory   = "/memory/classes/other:bytes"
	totalMemory   = "/memory/classes/total:bytes"
	allocBytes    = "/gc/heap/allocs:bytes"
	allocObjects  = "/gc/heap/allocs:objects"
	freeObjects   = "/gc/heap/frees:objects"
	tinyObjects   = "/gc/heap/tiny/allocs:objects"
	liveObjects   = "/gc/heap/objects:objects"
	liveBytes     = "/gc/heap/live:bytes"
	heapGoal      = "/gc/heap/goal:bytes"
	gcPercent     = "/gc/gogc:percent"
	memoryLimit   = "/gc/gomemlimit:bytes"
	maxProcs      = "/sched/gomaxprocs:threads"
)

// runtimeMetrics returns the metrics of the Go runtime.
func runtimeMetrics() []Metric {
	v := readRuntime(heapObjects, heapUnused, heapReleased, heapFree, heapStacks, osStacks, spansInUse, spansFree, cachesInUse, cachesFree,
		profileMemory, gcMemory, otherMemory, totalMemory, allocBytes, allocObjects, freeObjects, tinyObjects, liveObjects, liveBytes, heapGoal,
		gcPercent, memoryLimit, maxProcs)
	threads, _ := runtime.ThreadCreateProfile(nil)
	info := Metric{Name: "go_info", Help: "Information about the Go environment.", Labels: []string{"version"}, Samples: []Sample{{Value: 1, Labels: []string{runtime.Version()}}}}
	all := append(gcMetrics(), info,
		withUnit("percent", Gauge("go_gc_gogc_percent", "Heap size target percentage configured by the user, otherwise 100. This value is set by the GOGC environment variable, and the runtime/debug.SetGCPercent function. Sourced from /gc/gogc:percent.", v[gcPercent])),
		withUnit("bytes", Gauge("go_gc_gomemlimit_bytes", "Go runtime memory limit configured by the user, otherwise math.MaxInt64. This value is set by the GOMEMLIMIT environment variable, and the runtime/debug.SetMemoryLimit function. Sourced from /gc/gomemlimit:bytes.", v[memoryLimit])),
		withUnit("bytes", Gauge("go_gc_heap_live_bytes", "Heap memory occupied by live objects that were marked by the previous GC. Sourced from /gc/heap/live:bytes.", v[liveBytes])),
		withUnit("threads", Gauge("go_sched_gomaxprocs_threads", "The current runtime.GOMAXPROCS setting, or the number of operating system threads that can execute user-level Go code simultaneously. Sourced from /sched/gomaxprocs:threads.", v[maxProcs])),
		Gauge("go_goroutines", "Number of goroutines that currently exist.", runtime.NumGoroutine()),
		Gauge("go_threads", "Number of OS threads created.", threads))
	return append(all, v.memory()...)
}

// withUnit returns a metric whose unit OpenMetrics names.
func withUnit(unit string, m Metric) Metric {
	m.Unit = unit
	return m
}

// gcMetrics returns the metrics of garbage collections.
func gcMetrics() []Metric {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	pauses := &Summary{Count: uint64(stats.NumGC), Sum: stats.PauseTotal.Seconds()}
	for i, pause := range stats.PauseQuantiles {
		pauses.Quantiles = append(pauses.Quantiles, Quantile{Share: float64(i) / 4, Value: pause.Seconds()})
	}
	return []Metric{
		{Name: "go_gc_duration_seconds", Help: "A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.", Samples: []Sample{{Summary: pauses}}},
		Gauge("go_memstats_last_gc_time_seconds", "Number of seconds since 1970 of last garbage collection.", float64(stats.LastGC.UnixNano())/1e9),
	}
}

// memory returns the metrics of memory.
func (v runtimeValues) memory() []Metric {
	inUse, idle := v[heapObjects]+v[heapUnused], v[heapReleased]+v[heapFree]
	gauge := func(name, help string, value float64) Metric { return Gauge("go_memstats_"+name, help, value) }
	counter := func(name, help string, value float64) Metric { return Counter("go_memstats_"+name, help, value) }
	return []Metric{
		gauge("alloc_bytes", "Number of bytes allocated in heap and currently in use. Equals to /memory/classes/heap/objects:bytes.", v[heapObjects]),
		counter("alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already. Equals to /gc/heap/allocs:bytes.", v[allocBytes]),
		gauge("sys_bytes", "Number of bytes obtained from system. Equals to /memory/classes/total:byte.", v[totalMemory]),
		counter("mallocs_total", "Total number of heap objects allocated, both live and gc-ed. Semantically a counter version for go_memstats_heap_objects gauge. Equals to /gc/heap/allocs:objects + /gc/heap/tiny/allocs:objects.", v[allocObjects]+v[tinyObjects]),
		counter("frees_total", "Total number of heap objects frees. Equals to /gc/heap/frees:objects + /gc/heap/tiny/allocs:objects.", v[freeObjects]+v[tinyObjects]),
		gauge("heap_alloc_bytes", "Number of heap bytes allocated and currently in use, same as go_memstats_alloc_bytes. Equals to /memory/classes/heap/objects:bytes.", v[heapObjects]),
		gauge("heap_sys_bytes", "Number of heap bytes obtained from system. Equals to /memory/classes/heap/objects:bytes + /memory/classes/heap/unused:bytes + /memory/classes/heap/released:bytes + /memory/classes/heap/free:bytes.", inUse+idle),
		gauge("heap_idle_bytes", "Number of heap bytes waiting to be used. Equals to /memory/classes/heap/released:bytes + /memory/classes/heap/free:bytes.", idle),
		gauge("heap_inuse_bytes", "Number of heap bytes that are in use. Equals to /memory/classes/heap/objects:bytes + /memory/classes/heap/unused:bytes", inUse),
		gauge("heap_released_bytes", "Number of heap bytes released to OS. Equals to /memory/classes/heap/released:bytes.", v[heapReleased]),
		gauge("heap_objects", "Number of currently allocated objects. Equals to /gc/heap/objects:objects.", v[liveObjects]),
		gauge("stack_inuse_bytes", "Number of bytes obtained from system for stack allocator in non-CGO environments. Equals to /memory/classes/heap/stacks:bytes.", v[heapStacks]),
		gauge("stack_sys_bytes", "Number of bytes obtained from system for stack allocator. Equals to /memory/classes/heap/stacks:bytes + /memory/classes/os-stacks:bytes.", v[heapStacks]+v[osStacks]),
		gauge("mspan_inuse_bytes", "Number of bytes in use by mspan structures. Equals to /memory/classes/metadata/mspan/inuse:bytes.", v[spansInUse]),
		gauge("mspan_sys_bytes", "Number of bytes used for mspan structures obtained from system. Equals to /memory/classes/metadata/mspan/inuse:bytes + /memory/classes/metadata/mspan/free:bytes.", v[spansInUse]+v[spansFree]),
		gauge("mcache_inuse_bytes", "Number of bytes in use by mcache structures. Equals to /memory/classes/metadata/mcache/inuse:bytes.", v[cachesInUse]),
		gauge("mcache_sys_bytes", "Number of bytes used for mcache structures obtained from system. Equals to /memory/classes/metadata/mcache/inuse:bytes + /memory/classes/metadata/mcache/free:bytes.", v[cachesInUse]+v[cachesFree]),
		gauge("buck_hash_sys_bytes", "Number of bytes used by the profiling bucket hash table. Equals to /memory/classes/profiling/buckets:bytes.", v[profileMemory]),
		gauge("gc_sys_bytes", "Number of bytes used for garbage collection system metadata. Equals to /memory/classes/metadata/other:bytes.", v[gcMemory]),
		gauge("other_sys_bytes", "Number of bytes used for other system allocations. Equals to /memory/classes/other:bytes.", v[otherMemory]),
		gauge("next_gc_bytes", "Number of heap bytes when next garbage collection will take place. Equals to /gc/heap/goal:bytes.", v[heapGoal]),
	}
}
