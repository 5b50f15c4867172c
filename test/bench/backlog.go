package main

import "fmt"

// patient is a broker that does not disconnect a subscriber that lags.
var patient = launch{config: "max_pending: 1GB\nwrite_deadline: \"1m\"\n"}

// backlog measures how much memory a broker holds for each byte that waits for a subscriber that
// does not read: so many bytes of frames, in messages of a size. Another subscriber reads them, for
// a broker may slow down a publisher all of whose subscribers lag. In the end all is read and
// checked.
func backlog(pending int64, size int) func() runner {
	return func() runner {
		src := ownSids("bench.held", "SUB bench.held %s\r\n", 2, size, lapBytes)
		stalled := src.subscribers[0]
		f := newFlow(source{src.stream, src.subscribers[1:]})
		return func(r *round) (measures, error) {
			before, err := baseline(r)
			if err != nil {
				return nil, err
			}
			c, err := r.broker.dial("subscriber that does not read", r.deadline, []byte(stalled.setup))
			if err != nil {
				return nil, err
			}
			defer c.close()
			l, err := f.open(r, 0)
			defer l.close()
			if err != nil {
				return nil, err
			}
			span := beginSpan(r.broker)
			if err := l.publish(func() bool { return l.sent < pending }); err != nil {
				return nil, err
			}
			m := span.end(l.messages)
			arrived, err := unreadBytes(c)
			if err != nil {
				return nil, err
			}
			memoryEach(r, m, before, int(l.sent)-arrived)
			if err := l.verify(); err != nil {
				return nil, err
			}
			return m, readBacklog(c, stalled.owed, l.sent)
		}
	}
}

// readBacklog reads and checks what has waited for a subscriber: so many bytes of frames.
func readBacklog(c *client, owed *stream, n int64) error {
	w := newWindow(0, 1, false)
	c.start(&lapChecker{stream: owed, control: control{handle: c.control}}, func(n int) { w.deliver(0, n) }, w.fail)
	if err := w.drain(n); err != nil {
		return fmt.Errorf("%w (after %d of %d bytes of messages)", err, w.done(), n)
	}
	if err := c.fence(); err != nil {
		return err
	}
	if got := w.done(); got != n {
		return fmt.Errorf("%s: received %d bytes of messages, want exactly %d", c.name, got, n)
	}
	return nil
}
