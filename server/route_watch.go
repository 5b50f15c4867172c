package server

import (
	"sync/atomic"
	"time"
)

// This file notices routes that have gone silent.

// attentiveLink notes when something is received.
type attentiveLink struct {
	link
	start time.Time // of the server: the clock of the machine may be set meanwhile
	heard *atomic.Int64
}

func (l *attentiveLink) recv(in *inbuf, limit int) (int, error) {
	n, err := l.link.recv(in, limit)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.start)))
	}
	return n, err
}

// idle returns how long ago something was received.
func (r *route) idle() time.Duration { return time.Since(r.srv.start) - time.Duration(r.heard.Load()) }

// Between servers of this kind silence is noticed early: a PING goes out after
// a tick in which nothing came, and a route that stays silent for watchLimit
// ticks is given up. A tick that comes late does not count: this server was
// stopped, or has too much to do, and may have had no time to read. Towards 1.x
// there is only the ping timer of clients.
const (
	watchTick  = 2 * time.Second
	watchLimit = 3
)

// watch runs at every tick, on the timer's goroutine.
func (r *route) watch() {
	heard, now := r.heard.Load(), time.Now()
	r.mu.Lock()
	switch {
	case heard != r.seen:
		r.silent, r.seen = 0, heard
	case r.silent == 0 || now.Sub(r.due) < watchTick/2:
		r.silent++
	}
	silent := r.silent
	if !r.gone {
		r.due = now.Add(watchTick)
		r.watching.Reset(watchTick)
	}
	r.mu.Unlock()
	switch {
	case silent > watchLimit:
		r.close(closeStale)
	case silent > 0:
		r.tracef("<<- [PING]")
		r.send("PING\r\n")
	}
}
