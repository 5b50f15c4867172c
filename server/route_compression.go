package server

import (
	"slices"
	"time"

	"gnatsd/server/internal/netio"
)

// This file compresses routes. Servers tell in INFO how they would compress, by the key and the
// modes of nats-server. If both would, each compresses what it sends, as its own settings say: from
// the line "LINK s2" on, which it sends once on a connection, its side is a stream of s2. A reload
// changes the level; a connection that is not to be compressed any more gets blocks that are not.

// routeCompression is the compression of one connection.
type routeCompression struct {
	mode string // of what is sent; "" before it is compressed
	out  *netio.Compressor
	in   *netio.Decompressor
}

const compressedLine = "LINK s2\r\n"

// adjustCompression begins to compress what is sent, or changes the level, as the settings and the
// INFO of the peer say.
func (r *route) adjustCompression() {
	mode := r.srv.options().Cluster.Compression.with(r.compressionOfPeer())
	if out, begun := r.setCompression(mode); begun {
		r.out.Push(&netio.Delivery{Segments: []netio.Segment{{Bytes: []byte(compressedLine)}}, Bytes: len(compressedLine), Then: out})
		r.debugf("Compressing with mode %s", mode)
	}
	r.adjustLevel()
}

// compressionOfPeer returns the mode in the INFO of the peer.
func (r *route) compressionOfPeer() string {
	if info := r.peerInfo(); info != nil && info.extended() {
		return info.Compression
	}
	return ""
}

// setCompression sets the mode. It returns the link that compresses, and whether it is new; nil if
// nothing is compressed. Compression begins after the peer has been sent an INFO that offers it: new
// settings are in force before that.
func (r *route) setCompression(mode string) (out *netio.Compressor, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.compression
	if c.out == nil && (mode == compressOff || !r.offerSent.Load()) || r.subsDropped {
		return nil, false
	}
	if begun = c.out == nil; begun {
		c.out = netio.NewCompressor(r.socket, netio.CompressNone)
	}
	c.mode = mode
	return c.out, begun
}

// adjustLevel sets the level by the mode and, if that is s2_auto, by the round-trip time.
func (r *route) adjustLevel() {
	o := &r.srv.options().Cluster.Compression
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.compression
	if c.out == nil {
		return
	}
	mode := c.mode
	if mode == compressAuto {
		mode = o.auto(r.ping.rtt)
	}
	c.out.SetLevel(netio.CompressionLevel(max(0, slices.Index(levelModes[:], mode)))) // none if it is off
}

// measureWay sends a PING whose answer shows the round-trip time, if s2_auto needs that.
func (r *route) measureWay() {
	if r.startMeasuring() {
		r.sendPing()
	}
}

func (r *route) startMeasuring() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.compression.mode != compressAuto {
		return false
	}
	r.ping.outstanding++
	r.ping.sent = time.Now().UnixNano()
	return true
}

// beginDecompression handles LINK s2: what follows is compressed. It may come after the INFO that
// takes the offer back: what was pending delays it.
func (r *route) beginDecompression() closeReason {
	if !r.offersS2.Load() || !r.peerOffersS2 || r.inflated {
		return closeUnknownOp
	}
	r.inflated, r.inflateRest = true, true
	return keepOpen
}

// consumeCompressed takes what was read behind LINK s2 out of the read buffer.
func (r *route) consumeCompressed() {
	if r.inflateRest {
		r.inflateRest = false
		rest := r.in.Unread()
		r.decompress(rest)
		r.in.Consume(len(rest))
	}
}

// decompress makes the reader decompress what follows the line LINK s2. rest has been read already.
func (r *route) decompress(rest []byte) {
	in := netio.NewDecompressor(r.socket, rest, &r.srv.io)
	r.link = in
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compression.in = in
}

// compressionState is the compression of a route, for monitoring.
type compressionState struct {
	mode            string // level of what is sent; "" if it is no stream of s2
	inRaw, inWire   int64  // bytes received since it began
	outRaw, outWire int64  // bytes sent since it began
}

// stateLocked returns the state of the compression. The caller holds conn.mu.
func (c *routeCompression) stateLocked() (s compressionState) {
	if c.out != nil {
		s.outRaw, s.outWire = c.out.Bytes()
		s.mode = levelModes[c.out.Level()]
	}
	if c.in != nil {
		s.inRaw, s.inWire = c.in.Bytes()
	}
	return s
}

// recompress applies new settings to all routes, and sends them to the other servers.
func (k *cluster) recompress() {
	for _, carrier := range k.active() {
		for _, r := range carrier.siblings() {
			if info := r.peerInfo(); info == nil || !info.extended() {
				continue
			}
			r.sendInfo()
			r.recompress()
		}
	}
}

// recompress applies new settings to the connection.
func (r *route) recompress() {
	r.adjustCompression()
	r.measureWay()
}
