package server

import (
	"bytes"
	"math/rand/v2"

	"gnatsd/sublist"
)

// This file acts on what a connection has read: frame by frame, in batches.

// readerScratch is memory that a reader borrows while it acts on what it has read.
type readerScratch struct {
	op     op
	limits frameLimits
	batch  batch
	meter  meter
	watch  bool // each operation is traced or metered
}

func newReaderScratch(s *Server) *readerScratch {
	return &readerScratch{batch: batch{srv: s, rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), known: recurring{past: 1}, fanoutOf: map[*sublist.Set[*subscription]]uint32{}}}
}

// work acts on the operations that have been read. When it returns, everything that they cause is
// in the write queues.
func (c *conn) work() closeReason {
	w := c.srv.scratch.Get().(*readerScratch)
	w.batch.begin(c)
	w.limits = c.frameLimits()
	w.watch = w.meter.begin(c.limited.Load(), c.srv.start) || c.tracing
	defer c.endWork(w)
	b, o := &w.batch, &w.op
	for !c.in.Incomplete() {
		if b.due() {
			b.flush()
		}
		unread := c.in.Unread()
		if c.unauthenticated {
			if r := c.beforeLogin(unread[0]); r != keepOpen {
				return r
			}
		}
		if b.recognizes() && !w.watch && !w.limits.single {
			if n := c.publishAgain(w, unread); n > 0 {
				c.in.Consume(n)
				continue
			}
		}
		n, want, keep, err := w.limits.next(unread, o)
		if err != frameOK {
			return c.badFrame(err, o)
		}
		if n == 0 {
			c.in.Need(want, keep)
			break
		}
		if w.watch {
			if n = c.watchOp(w, o, n); n == 0 {
				break // the reader pauses
			}
		}
		b.at = uint32(c.in.Offset())
		if r := c.ops.do(o, b); r != keepOpen {
			return r
		}
		c.in.Consume(n)
		if !verbRows[o.verb].payload {
			b.forgetLines()
			b.steps += controlSteps
		}
		switch o.verb {
		case verbConnect:
			w.limits = c.frameLimits()
			w.watch = w.meter.begin(c.limited.Load(), c.srv.start) || c.tracing
		case verbInfo:
			if c.undecided {
				return keepOpen
			}
			w.limits = c.frameLimits()
		case verbLink:
			c.ops.(*route).consumeCompressed()
		}
	}
	return keepOpen
}

// endWork flushes the batch and returns the scratch memory. A client that has said something is
// settled before it is answered: then it is not evicted any more. See also client.answerPing.
func (c *conn) endWork(w *readerScratch) {
	if c.entry != nil && c.spoke() {
		c.settle()
	}
	w.batch.end()
	c.adaptReads(w.batch.thin)
	w.meter.end()
	w.op = op{}
	c.srv.scratch.Put(w)
	c.srv.limitPending()
}

// frameLimits returns what the framing of the connection depends on at present.
func (c *conn) frameLimits() frameLimits {
	opts := c.srv.options()
	l := frameLimits{role: c.role, line: min(opts.MaxControlLine, maxName), payload: c.maxPayload(opts)}
	switch peer := c.ops.(type) {
	case *route:
		if !c.unauthenticated { // before the login the limits of clients apply
			l = routeFrameLimits(opts, peer.isDecided())
		}
	case *systemConn:
		l = systemFrameLimits
	}
	l.single = c.tracing || c.ops.answersEach()
	return l
}

// withoutJSON returns the text before the first brace or quote, if text looks like a misspelled
// CONNECT or begins with its JSON: what follows may be a password.
func withoutJSON(text []byte) []byte {
	at := bytes.IndexAny(text, `{"`)
	if at >= 0 && (at == 0 || upper(text[0]) == 'C') {
		return text[:at]
	}
	return text
}

// frameCloseReasons are the reasons to close a connection after a framing error.
var frameCloseReasons = [...]closeReason{
	frameUnknown:   closeUnknownOp,
	frameArgs:      closeBadArgs,
	frameSize:      closeBadArgs,
	frameHeader:    closeBadArgs,
	frameLineLimit: closeMaxControlLine,
	framePayload:   closeMaxPayload,
}

// badFrame logs a framing error and returns the reason to close the connection.
func (c *conn) badFrame(err frameError, o *op) closeReason {
	switch err {
	case frameUnknown:
		text := withoutJSON(c.in.Unread())
		c.errorf("%s parser ERROR, state=%d, i=%d: proto='%q...'", c.ops.label(), 0, 0, text[:min(len(text), 32)])
	case frameArgs:
		c.errorf("%s Parse Error: '%s'", parserNames[o.verb], printable(o.args))
	case frameSize:
		c.errorf("%s Bad or Missing Size: '%s'", parserNames[o.verb], printable(o.args))
	case frameHeader:
		c.errorf("%s Bad Headers: '%s'", parserNames[o.verb], printable(o.args))
	case framePayload:
		c.errorf("maximum payload exceeded: %s vs %d", printable(o.arg[o.argCount-1]), c.frameLimits().payload)
	}
	return frameCloseReasons[err]
}

// parserNames are the names of argument parsers in log lines of gnatsd 1.x.
var parserNames = [verbCount]string{
	verbHmsg:  "processRoutedHeaderMsgArgs",
	verbHpub:  "processHeaderPub",
	verbLink:  "processLink",
	verbMsg:   "processMsgArgs",
	verbPub:   "processPub",
	verbSub:   "processSub",
	verbUnsub: "processUnsub",
}
