package server

import (
	"bytes"
	"strconv"
)

// This file is the lines that announce and withdraw subscriptions, and the ids that these have on routes.

// Prefixes of the ids of subscriptions on routes.
const (
	plainID = "RSID:"
	queueID = "QRSID:"

	// Those of the system account begin like that of a queue: what comes over routes most is
	// told apart by one comparison. Peers without such an account are never sent one.
	systemID      = queueID + "$"
	systemQueueID = systemID + "q"
)

// lineSize returns about how long the line of a subscription is.
func lineSize(sub *subscription) int {
	return len("UNSUB  "+queueID+"12345:\r\n") + len(sub.text)
}

// appendInterest appends the line that announces or withdraws a subscription. Without a queue two
// blanks follow the subject, as in gnatsd 1.x.
func appendInterest(b []byte, sub *subscription, removed bool) []byte {
	if removed {
		b = append(b, "UNSUB "...)
	} else {
		b = append(b, "SUB "...)
		b = append(b, sub.subject()...)
		b = append(b, ' ')
		b = append(b, sub.queue()...)
		b = append(b, ' ')
	}
	b = appendRouteSID(b, sub)
	return append(b, '\r', '\n')
}

// appendRouteSID appends the id of a subscription on routes.
func appendRouteSID(b []byte, sub *subscription) []byte {
	switch {
	case sub.conn.inSystem.Load() && sub.queue() == "":
		b = append(b, systemID...)
	case sub.conn.inSystem.Load():
		b = append(b, systemQueueID...)
	case sub.queue() == "":
		b = append(b, plainID...)
	default:
		b = append(b, queueID...)
	}
	return appendClientSID(b, sub.conn.id, sub.sid())
}

// appendClientSID appends what names a subscription among those of all clients.
func appendClientSID[S string | []byte](b []byte, cid uint64, sid S) []byte {
	b = strconv.AppendUint(b, cid, 10)
	b = append(b, ':')
	return append(b, sid...)
}

// queueMark begins the ids of queue subscriptions. What begins with it and is no such id is never
// an id of plain subscriptions: all of them would receive what is meant for one.
const queueMark = "QRSID"

// parseQueueID splits the id of a queue subscription into the id of the client and what the client
// calls the subscription, which may hold colons.
func parseQueueID(id []byte) (cid uint64, sid []byte, ok bool) {
	rest, ok := bytes.CutPrefix(id, []byte(queueID))
	if !ok {
		return 0, nil, false
	}
	digits, sid, ok := bytes.Cut(rest, []byte{':'})
	if !ok || len(sid) == 0 {
		return 0, nil, false
	}
	cid, err := strconv.ParseUint(string(digits), 10, 64)
	return cid, sid, err == nil
}
