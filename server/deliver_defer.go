package server

import "sync"

// deferredReplies are replies to a client that wait for the end of a grace period: a PONG that
// follows an UNSUB, and what the client is answered after it. Messages do not wait, nor does the
// reader.
type deferredReplies struct {
	sent chan struct{} // closed when all of them are queued

	mu   sync.Mutex // guards what follows
	text []byte
	done bool
}

// maxDeferred bounds the bytes of replies that wait; for more the reader waits.
const maxDeferred = 64 << 10

// deferReplies lets the replies from now on wait until the batches that are under way now, and
// may hold messages for the connection, are handed over.
func (c *conn) deferReplies() {
	c.awaitReplies() // of an UNSUB before
	d := &deferredReplies{sent: make(chan struct{})}
	c.deferred = d
	c.srv.conns.Add(1)
	go func() { // ends with the grace period, which is some milliseconds; Shutdown waits for it
		defer c.srv.conns.Done()
		c.srv.grace.Wait(c.slot)
		for text := d.take(); text != nil; text = d.take() {
			c.push(text)
		}
		close(d.sent)
	}()
}

// take returns what waits; if that is nothing, replies go out at once again.
func (d *deferredReplies) take() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := d.text
	d.text = nil
	d.done = text == nil
	return text
}

// add defers a reply. It reports false if there is no need to any more, or too much waits.
func (d *deferredReplies) add(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done || len(d.text) > maxDeferred {
		return false
	}
	d.text = append(d.text, text...)
	return true
}

// awaitReplies waits until no reply is deferred. The batch of the connection must not be pinned.
func (c *conn) awaitReplies() {
	if c.deferred != nil {
		c.link.EndTurn()
		<-c.deferred.sent
		c.deferred = nil
	}
}
