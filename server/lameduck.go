package server

import (
	"math/rand/v2"
	"time"
)

// Lame duck mode: the server goes, and its clients leave one by one instead of
// all at once, so that the servers they turn to are not overrun.

// LameDuckShutdown stops accepting clients, tells those it has, closes them one
// by one over LameDuckDuration, and shuts down. It returns when the server has
// ended. It does nothing if the server is not listening for clients, or is
// shutting down.
func (s *Server) LameDuckShutdown() {
	if !s.enterLameDuck() {
		return
	}
	if s.warnClients() && s.pause(s.options().LameDuckGracePeriod) {
		s.Noticef("Closing existing clients")
		s.sendAway(s.clients.all(), s.options().LameDuckDuration)
	}
	s.Shutdown()
}

// lameDuckMode is LameDuckShutdown for those who do not wait.
func (s *Server) lameDuckMode() {
	go s.LameDuckShutdown() // ended by Shutdown, its own or another's
}

// enterLameDuck closes the client listener, and reports whether the mode begins.
func (s *Server) enterLameDuck() bool {
	s.mu.Lock()
	listener := s.listener
	begins := listener != nil && !s.stopping && s.lameDuck.CompareAndSwap(false, true)
	if begins {
		s.listener = nil
	}
	s.mu.Unlock()
	if begins {
		s.Noticef("Entering lame duck mode, stop accepting new clients")
		listener.Close()
		s.notified(s.notify.Status("Lame duck mode: clients leave one by one"))
	}
	return begins
}

// warnClients tells clients that take it, by INFO, that the server goes and which
// others they know. It reports whether there are any clients at all.
func (s *Server) warnClients() bool {
	s.changeInfo(func(i *Info) {
		i.LameDuck = true
		i.ConnectURLs = s.cluster.adverts.urls()
	})
	clients := s.clients.all()
	for _, c := range clients {
		c.infoChanged()
	}
	return len(clients) > 0
}

// sendAway closes clients in random order, with pauses that make it last between
// half of d and d. It ends early if the server does.
func (s *Server) sendAway(clients []*client, d time.Duration) {
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	for i, c := range clients {
		c.close(closeLameDuck)
		if last := i == len(clients)-1; !last && !s.pause(lameDuckPause(d, len(clients), rand.Int64N)) {
			return
		}
	}
}

// lameDuckPause is the time between two of n clients: at random, at least half of
// their share of d and less than all of it. random(n) is a number in [0,n).
func lameDuckPause(d time.Duration, n int, random func(int64) int64) time.Duration {
	share := int64(d) / int64(n)
	half := share / 2
	if half <= 0 {
		return 0
	}
	return time.Duration(half + random(share-half))
}
