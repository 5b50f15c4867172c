package server

import (
	"math"
	"time"

	"gnatsd/server/internal/netio"
)

// pinger sends PING to an idle peer, and closes the connection when too many are unanswered.
type pinger struct {
	timer       *ownedTimer[conn]
	sent        int64         // UnixNano of the last PING
	rtt         time.Duration // of the last PING that was answered; 0 = unknown
	taken       uint32        // low bits of how many bytes the peer had taken when that was looked at last
	outstanding uint16        // PINGs without an answer
	first       bool          // the next tick sends a PING that measures the round-trip time
	asked       bool          // the peer has sent PING since that was looked at last
}

// rttDelay is how long after CONNECT the round-trip time is measured.
const rttDelay = 2 * time.Second

func (c *conn) startPing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.subsDropped {
		c.ping.timer = newOwnedTimer(c.srv.options().PingInterval, c, (*conn).pingTick)
	}
}

// measureRTT makes the first PING an early one, after rttDelay.
func (c *conn) measureRTT() {
	if o := c.srv.options(); o.DisableShortFirstPing || o.PingInterval <= rttDelay {
		return // the first regular PING measures it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping.timer != nil && c.ping.rtt == 0 && c.ping.outstanding == 0 {
		c.ping.first = true
		c.ping.timer.Reset(rttDelay)
	}
}

// resetPing sets the timer to d, unless it is set to measure the round-trip time.
func (c *conn) resetPing(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping.timer != nil && !c.ping.first {
		c.ping.timer.Reset(d)
	}
}

func (c *conn) stopPing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping.timer != nil {
		c.ping.timer.Stop()
		c.ping.timer = nil
	}
}

// pingTick runs at every tick, on the timer's goroutine.
func (c *conn) pingTick() {
	opts := c.srv.options()
	idle := c.idleIn() // what is sent to a frozen peer is no sign of life
	c.reportLeftOut()
	c.debugf("%s Ping Timer", pingLabel(c.role))
	switch c.pingDue(opts, idle, c.answersLate(opts.PingInterval)) {
	case pingStale:
		c.close(closeStale)
	case pingSend:
		c.sendPing()
	case pingSkip:
		c.debugf("Delaying PING due to activity %v ago", idle.Round(time.Second))
	}
}

// answersLate reports whether missing answers say nothing about the peer: this server does not read them
// now; or the peer has not been sent the PINGs yet, and takes what is before them; or it is sending
// something that is before the answers, and is more than PINGs.
func (c *conn) answersLate(interval time.Duration) bool {
	if c.paused.Load() || c.out.Watched() { // write_deadline says whether it takes something
		return true
	}
	taken, held := c.out.Acknowledged()
	missing, moved, asked := c.missingAnswer(uint32(taken))
	return missing && (moved && held >= muchHeld || netio.SinceReceived(c.nc) < interval && (!asked || c.idleIn() < interval))
}

// idleIn returns how long ago something else than PING and PONG was received.
func (c *conn) idleIn() time.Duration { return time.Since(time.Unix(0, c.lastIn.Load())) }

// missingAnswer reports whether an answer is missing, whether what the peer has taken is another number
// than at the last call, and whether it has sent PING since then.
func (c *conn) missingAnswer(taken uint32) (missing, moved, asked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.ping
	missing, moved, asked = p.outstanding > 0, taken != p.taken, p.asked
	p.taken, p.asked = taken, false
	return missing, moved, asked
}

// noteAsked notes that the peer has sent PING.
func (c *conn) noteAsked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ping.asked = true
}

// muchHeld is how many bytes a socket holds where it is the reason for late answers. A few may be under way
// to a frozen peer, too: its system takes them until its receive buffer is full.
const muchHeld = 16 << 10

func (c *conn) sendPing() {
	if r, ok := c.ops.(*route); ok {
		r.pings.Add(1)
	}
	if c.tracing {
		c.tracef("<<- [PING]")
	}
	c.send("PING\r\n")
}

func pingLabel(r role) string {
	if r == roleRoute {
		return "Router"
	}
	return "Client"
}

// pingAction is what is done at a tick of the timer.
type pingAction uint8

const (
	pingNone pingAction = iota
	pingSend
	pingSkip
	pingStale
)

// pingDue returns what to do at this tick, and sets the timer for the next. See answersLate for late.
func (c *conn) pingDue(opts *Options, idle time.Duration, late bool) pingAction {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.ping
	if p.timer == nil {
		return pingNone
	}
	first := p.first
	p.first = false
	if late {
		p.timer.Reset(opts.PingInterval)
		return pingNone
	}
	if int(p.outstanding)+1 > min(opts.MaxPingsOut, math.MaxUint16) {
		return pingStale
	}
	p.timer.Reset(opts.PingInterval)
	if !first && 0 <= idle && idle < opts.PingInterval { // idle < 0: the clock was set back
		return pingSkip
	}
	p.outstanding++
	p.sent = time.Now().UnixNano()
	return pingSend
}

// pong handles PONG.
func (c *conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping.outstanding > 0 {
		c.ping.rtt = max(time.Since(time.Unix(0, c.ping.sent)), 1)
	}
	c.ping.outstanding = 0
}

// lastActivity returns when messages or interest were last sent or received.
func (c *conn) lastActivity() time.Time {
	return time.Unix(0, c.lastActive.Load())
}
