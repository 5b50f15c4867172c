package server

import (
	"fmt"
	"time"

	"gnatsd/server/internal/access"
)

// mayPublish decides whether the client may publish to a subject.
func (c *client) mayPublish(subject []byte) access.Decision {
	switch p := c.permissions.Load(); {
	case p != nil:
		return c.decisions.CanPublish(p, subject)
	case access.Reserved(subject):
		return p.CanPublish(subject)
	}
	return access.Decision{}
}

// mayRespond returns how many of n publications to a subject are allowed, the first ones, because
// the client received a message with it as reply.
func (c *client) mayRespond(subject []byte, n int) int {
	replies := c.replies.Load()
	if replies == nil || !c.permissions.Load().CanRespond(subject) {
		return 0
	}
	return replies.Take(subject, n, time.Now())
}

// noteReply allows the client what a message from a connection with this reply allows. It is called
// before the message is handed over, by readers of other connections too.
func (c *client) noteReply(reply []byte, from *conn, allowed *access.Response) {
	replies := c.replies.Load()
	if replies == nil {
		c.replies.CompareAndSwap(nil, &access.Replies{})
		replies = c.replies.Load()
	}
	replies.Grant(reply, from.id, allowed, time.Now())
}

// denyPublish answers and logs a publication that d denies.
func (c *client) denyPublish(subject []byte, d access.Decision, b *batch) {
	b.steps += controlSteps
	c.refuse(b, publishRefusal(string(subject)))
	c.limitedf(levelError, "%s", later(func() string { return publishViolation(c.user(), string(subject), d) }))
}

// maySubscribe reports whether p allows a SUB. It answers and logs one that is denied.
func (c *client) maySubscribe(p *access.Permissions, o *op, b *batch) bool {
	if p == nil && o.arg[0][0] != '$' {
		return true
	}
	subjectArg, queueArg, sid := o.subArgs()
	subject, queue := string(subjectArg), string(queueArg)
	d := p.CanSubscribe(subject, queue)
	if d.Allowed() {
		return true
	}
	c.refuse(b, subscribeRefusal(subject, queue, d))
	c.limitedf(levelError, "%s", later(func() string { return subscribeViolation(c.user(), subject, queue, printable(sid), d) }))
	return false
}

// publishRefusal returns the text of the -ERR for a denied PUB.
func publishRefusal(subject string) string {
	return fmt.Sprintf(wirePublishDenied, subject)
}

// subscribeRefusal returns the text of the -ERR for a SUB denied by d. It names the queue only if
// the entry that decided has one.
func subscribeRefusal(subject, queue string, d access.Decision) string {
	text := fmt.Sprintf(wireSubscribeDenied, subject)
	if queue != "" && d.NamesQueue() {
		text += fmt.Sprintf(" using queue %q", queue)
	}
	return text
}

// publishViolation returns the log line for a denied PUB.
func publishViolation(user, subject string, d access.Decision) string {
	return fmt.Sprintf("Publish Violation - User %q, Subject %s: %s", user, quotedStart(subject), d)
}

// subscribeViolation returns the log line for a denied SUB.
func subscribeViolation(user, subject, queue, sid string, d access.Decision) string {
	line := fmt.Sprintf("Subscription Violation - User %q, Subject %s, SID %s", user, quotedStart(subject), sid)
	if queue != "" {
		line += ", Queue " + quotedStart(queue)
	}
	return line + ": " + d.String()
}
