package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/netio"
)

// Compression is how routes are compressed. The names are those of nats-server.
type Compression struct {
	Mode string // "off" or "", "accept", "s2_fast", "s2_better", "s2_best", "s2_auto"

	// RTTThresholds are of s2_auto: with a round-trip time up to the first nothing is compressed,
	// up to the second as s2_fast, up to the third as s2_better, beyond as s2_best. A threshold of
	// 0 leaves out its level, and so does a shorter list; nil is 10, 50 and 100 ms.
	RTTThresholds []time.Duration
}

// Modes of compression.
const (
	compressOff    = "off"
	compressAccept = "accept" // as the other server does
	compressFast   = "s2_fast"
	compressBetter = "s2_better"
	compressBest   = "s2_best"
	compressAuto   = "s2_auto"

	// compressNone is what s2_auto does on a short way: the stream stays one of s2.
	compressNone = "s2_uncompressed"
)

// compressionModes are the spellings of the modes.
var compressionModes = map[string]string{
	"off": compressOff, "disabled": compressOff, "false": compressOff,
	"on": compressFast, "enabled": compressFast, "true": compressFast,
	"accept": compressAccept, "s2_fast": compressFast, "fast": compressFast,
	"s2": compressBetter, "s2_better": compressBetter, "better": compressBetter,
	"s2_best": compressBest, "best": compressBest, "s2_auto": compressAuto, "auto": compressAuto,
}

// levelModes are the modes that stand for a level. s2_auto chooses from them: one for each threshold and one
// beyond.
var levelModes = [...]string{
	netio.CompressNone: compressNone, netio.CompressFast: compressFast, netio.CompressBetter: compressBetter, netio.CompressBest: compressBest,
}

// autoThresholds are those of s2_auto if there are none in the settings.
var autoThresholds = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}

// on reports whether routes may be compressed.
func (c *Compression) on() bool { return c.Mode != "" && c.Mode != compressOff }

// with returns the mode for what is sent to a server that has told the mode peer, compressOff if
// nothing is compressed.
func (c *Compression) with(peer string) string {
	peer = compressionModes[peer]
	switch {
	case !c.on() || peer == "" || peer == compressOff || c.Mode == compressAccept && peer == compressAccept:
		return compressOff
	case c.Mode == compressAccept:
		return peer
	}
	return c.Mode
}

// auto returns the mode of s2_auto for a round-trip time.
func (c *Compression) auto(rtt time.Duration) string {
	thresholds := c.RTTThresholds
	if len(thresholds) == 0 {
		thresholds = autoThresholds
	}
	for i, limit := range thresholds {
		if limit > 0 && rtt <= limit {
			return levelModes[i]
		}
	}
	return levelModes[min(len(thresholds), len(levelModes)-1)]
}

// compressionType is the type of the setting: a mode, a boolean, or a map with a mode and thresholds.
func compressionType() conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: "string, boolean or map",
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			if n.Kind != conf.Map {
				if mode, ok := readCompressionMode(c, n); ok {
					o.Cluster.Compression = Compression{Mode: mode}
				}
				return
			}
			read := Compression{Mode: compressFast}
			for p := range n.Effective() {
				switch strings.ToLower(p.Key) {
				case "mode":
					read.Mode, _ = readCompressionMode(c, p.Value)
				case "rtt_thresholds", "thresholds", "rtts", "rtt":
					read.RTTThresholds = readThresholds(c, p.Value)
					if !slices.ContainsFunc(n.Pairs, func(q *conf.Pair) bool { return strings.EqualFold(q.Key, "mode") }) {
						read.Mode = compressAuto
					}
				default:
					c.Unknown(p, []string{"mode", "rtt_thresholds"}, nil)
				}
			}
			o.Cluster.Compression = read
		},
		Text: func(o *Options, _ bool) string { return o.Cluster.Compression.text() },
		Zero: func(o *Options) bool { return !o.Cluster.Compression.on() },
		Copy: func(dst, src *Options) {
			dst.Cluster.Compression = Compression{src.Cluster.Compression.Mode, slices.Clone(src.Cluster.Compression.RTTThresholds)}
		},
	})
}

func readCompressionMode(c *conf.Check, n *conf.Node) (string, bool) {
	text := n.Str
	if n.Kind == conf.Boolean {
		text = fmt.Sprint(n.Bool)
	}
	mode, known := compressionModes[strings.ToLower(text)]
	if !known || n.Kind != conf.Boolean && n.Kind != conf.String {
		c.Want(n, "off, accept, s2_fast, s2_better, s2_best or s2_auto")
		return compressOff, false
	}
	return mode, true
}

// readThresholds reads the round-trip times of s2_auto: in ascending order, but 0 leaves out one.
func readThresholds(c *conf.Check, n *conf.Node) (list []time.Duration) {
	if n.Kind != conf.Array || len(n.Elems) == 0 || len(n.Elems) >= len(levelModes) {
		c.Want(n, "a list of one to three durations such as [10ms, 50ms, 100ms]")
		return nil
	}
	last := time.Duration(0)
	for _, e := range n.Elems {
		d, err := conf.ReadDuration(e)
		if err != nil || d < 0 || d > longest || d > 0 && d <= last {
			c.Want(e, "a duration that is longer than the one before, or 0")
			return nil
		}
		list, last = append(list, d), max(last, d)
	}
	return list
}

// text returns the setting as in a file.
func (c *Compression) text() string {
	mode := c.Mode
	if mode == "" {
		mode = compressOff
	}
	if len(c.RTTThresholds) == 0 {
		return conf.Quote(mode)
	}
	var list []string
	for _, d := range c.RTTThresholds {
		list = append(list, conf.Quote(d.String()))
	}
	return fmt.Sprintf("{ mode: %s, rtt_thresholds: [%s] }", conf.Quote(mode), strings.Join(list, ", "))
}
