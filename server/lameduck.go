package server

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"gnatsd/server/internal/system"
)

// This file is lame duck mode: before it shuts down, the server disconnects its clients one by one,
// so that they do not reconnect to other servers all at once.

// LameDuckShutdown stops accepting clients, sends those that are connected an INFO with ldm, waits
// for LameDuckGracePeriod, disconnects them one by one over LameDuckDuration, and shuts down. It
// returns after the shutdown. It does nothing if the server is not listening for clients, or is
// shutting down already.
func (s *Server) LameDuckShutdown() {
	if s.enterLameDuck() {
		s.leaveLameDuck()
	}
}

// lameDuckMode is LameDuckShutdown, but returns when lame duck mode has begun.
func (s *Server) lameDuckMode() {
	if s.enterLameDuck() {
		go s.leaveLameDuck() // ends with the server
	}
}

// leaveLameDuck disconnects the clients and shuts down.
func (s *Server) leaveLameDuck() {
	if s.announceLameDuck() && s.pause(s.options().LameDuckGracePeriod) {
		s.Noticef("Closing existing clients")
		s.closeSpread(s.clients.all(), s.options().LameDuckDuration)
		s.quiesce()
	}
	s.Shutdown()
}

// enterLameDuck closes the listeners for clients. It reports whether lame duck mode has begun.
func (s *Server) enterLameDuck() bool {
	s.mu.Lock()
	listeners := s.listeners
	open := len(listeners) > 0 || s.options().DontListen && s.listening()
	begins := open && !s.stopping && s.lameDuck.CompareAndSwap(false, true)
	if begins {
		s.listeners = nil
	}
	s.mu.Unlock()
	if begins {
		s.Noticef("Entering lame duck mode, stop accepting new clients")
		closeAll(listeners)
		s.logNotifyError(s.notify.Status("Lame duck mode: closing clients one by one"))
		s.announceState(system.LameDuck)
	}
	return begins
}

// announceLameDuck sends clients an INFO with ldm and the addresses of other servers. It reports
// whether there are any clients.
func (s *Server) announceLameDuck() bool {
	s.changeInfo(func(i *Info) {
		i.LameDuckMode = true
		i.ClientConnectURLs = s.cluster.adverts.urls()
	})
	clients := s.clients.all()
	for _, c := range clients {
		c.infoChanged()
	}
	return len(clients) > 0
}

// closeSpread closes clients in random order, with pauses: in all it takes between d/2 and d. It
// returns early if the server is shut down.
func (s *Server) closeSpread(clients []*client, d time.Duration) {
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	for i, c := range clients {
		c.close(closeLameDuck)
		if last := i == len(clients)-1; !last && !s.pause(lameDuckPause(d, len(clients), rand.Int64N)) {
			return
		}
	}
}

const (
	// quiesceLimit bounds how long the shutdown waits for what the clients have left.
	quiesceLimit = 3 * time.Second
	quiesceStep  = 5 * time.Millisecond
)

// quiesce waits until the clients are gone, what they have left of queue groups is on its way to other
// members, and other servers know that there are none here any more: what they had sent before that
// has come, and goes back to them. That takes a few round trips.
func (s *Server) quiesce() {
	end := time.Now().Add(cmp.Or(s.options().quiesce, quiesceLimit))
	until := func(done func() bool) bool {
		for !done() {
			if !time.Now().Before(end) || !s.pause(quiesceStep) {
				return false
			}
		}
		return true
	}
	quiet := until(func() bool { return s.clients.len() == 0 && s.leaving.Load() == 0 })
	for range 2 { // a batch of another server may have matched before the first answer, and be sent after it
		quiet = quiet && until(s.cluster.interestSent) && until(s.cluster.pingAll()) && s.pause(batchTime)
	}
}

// interestSent reports whether the interest of this server has been sent to all others.
func (k *cluster) interestSent() bool {
	return !slices.ContainsFunc(k.active(), func(r *route) bool { return r.interest.waiting.Load() > 0 })
}

// pingAll sends PING on every connection to other servers. It returns a function that reports whether
// all of them have answered, or have ended.
func (k *cluster) pingAll() (answered func() bool) {
	due := map[*route]int64{}
	for _, carrier := range k.active() {
		for _, r := range carrier.siblings() {
			r.sendPing()
			due[r] = r.pings.Load()
		}
	}
	return func() bool {
		maps.DeleteFunc(due, func(r *route, n int64) bool { return r.pongs.Load() >= n || r.ended() })
		return len(due) == 0
	}
}

// lameDuckPause returns the time between two of n clients: a random part, between one half and all,
// of d/n. random(n) returns a number in [0,n).
func lameDuckPause(d time.Duration, n int, random func(int64) int64) time.Duration {
	share := int64(d) / int64(n)
	half := share / 2
	if half <= 0 {
		return 0
	}
	return time.Duration(half + random(share-half))
}
