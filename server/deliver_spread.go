package server

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// flushHelpers are goroutines that take a part of flushes with many targets, on cores that are
// idle. They belong to the server and end with it.
type flushHelpers struct {
	jobs  chan *flushJob // without a buffer: a helper that receives has nothing else to do
	count int
	cores int   // that there are
	least int64 // ns; flushes that take less are not shared
}

// flushJob is a flush that several goroutines work on.
type flushJob struct {
	b    *batch
	all  []target
	now  int64
	next atomic.Int32 // target that is to be taken next
	step int32        // targets taken at a time

	left sync.WaitGroup // targets that have not been handed over
}

const (
	// sharedWork is the estimated time of a flush, in ns, from which others help with it.
	// Waking a helper takes some 5 µs.
	sharedWork = 40_000
	// targetWork and messageWork are about what a target and a message to it cost, in ns, and
	// byteWork what a byte does, in 1/32 ns.
	targetWork  = 1500
	messageWork = 30
	byteWork    = 3
)

// start starts helpers for a server.
func (h *flushHelpers) start(s *Server, count int) {
	h.count, h.cores, h.least = count, runtime.GOMAXPROCS(0), sharedWork
	h.jobs = make(chan *flushJob)
	for range count {
		s.conns.Add(1)
		go h.run(s) // ends with the server, which waits for it
	}
}

func (h *flushHelpers) run(s *Server) {
	defer s.conns.Done()
	var x expansion
	for {
		select {
		case j := <-h.jobs:
			j.help(&x)
		case <-s.quit:
			return
		}
	}
}

// helpersFor returns how many helpers a flush may have.
func (b *batch) helpersFor() int {
	h := &b.srv.helpers
	if h.count == 0 || len(b.targets) < 2 || b.srv.io.Overloaded() || b.work() < h.least {
		return 0
	}
	return min(h.count, len(b.targets)/2, h.cores-b.srv.grace.Busy())
}

// work estimates how long a flush takes, in ns.
func (b *batch) work() int64 {
	n := int64(len(b.targets)) * targetWork
	msgs := int64(len(b.sorted))
	for i := range b.fanouts {
		msgs += b.fanouts[i].msgs * int64(len(b.fanouts[i].whole))
	}
	size := int64(0)
	if len(b.lines) > 0 {
		size = int64(b.lines[0].length)
	}
	return n + msgs*(messageWork+size*byteWork/32)
}

// spread hands over to targets, with helpers if that pays.
func (b *batch) spread(x *expansion, all []target) {
	n := b.helpersFor()
	if n <= 0 {
		for i := range all {
			x.deliver(&all[i])
		}
		return
	}
	j := newFlushJob(b, all, x.now)
	for range n {
		select {
		case b.srv.helpers.jobs <- j:
		default: // all of them are busy
		}
	}
	j.work(x)
	j.left.Wait()
}

func newFlushJob(b *batch, all []target, now int64) *flushJob {
	j := &flushJob{b: b, all: all, now: now, step: int32(max(1, min(8, len(all)/16)))}
	j.left.Add(len(all))
	return j
}

// take returns targets that no other goroutine works on, none if there are no more.
func (j *flushJob) take() []target {
	to := int(j.next.Add(j.step))
	return j.all[min(to-int(j.step), len(j.all)):min(to, len(j.all))]
}

// work hands over to targets until none is left.
func (j *flushJob) work(x *expansion) {
	for part := j.take(); len(part) > 0; part = j.take() {
		for i := range part {
			x.deliver(&part[i])
		}
		j.left.Add(-len(part))
	}
}

// help takes a part in the flush. A helper that comes too late finds no target, and does not look at
// the batch, which is another one by then.
func (j *flushJob) help(x *expansion) {
	x.start(j.b, j.now)
	j.work(x)
	x.finish()
}
