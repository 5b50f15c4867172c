package server

// This file tells a requester at once that nobody serves its subject.

// statusNoResponders opens the headers of that answer. Clients look for the
// status 503 of a message without payload. The name of the subject is what
// nats-server adds since 2.12: it helps those who have many requests under way,
// and older clients skip it like any header they do not know.
const statusNoResponders = headerStart + " 503\r\nNats-Subject: "

// noResponders answers m, which nobody took, on its reply subject. The answer
// goes to the plain subscriptions of the requester only, whatever they say about
// echo.
func (st *stage) noResponders(m *message) {
	st.enter()
	res := st.from.match(m.reply)
	if len(res.Plain) == 0 {
		return
	}
	header := len(statusNoResponders) + len(m.subject) + len(headerEnd)
	payload := make([]byte, 0, header+len("\r\n"))
	payload = append(payload, statusNoResponders...)
	payload = append(payload, m.subject...)
	payload = append(payload, headerEnd+"\r\n"...)
	answer := message{subject: m.reply, size: header, header: header, payload: payload}
	for _, sub := range res.Plain {
		if sub.conn != st.from {
			continue
		}
		if f := sub.filter.Load(); f != nil && f.blocks(m.reply) || !sub.count() {
			continue
		}
		if st.tracing {
			sub.conn.traceOut(&answer, sub.sid)
		}
		st.copied(st.target(sub.conn), sub, &answer)
	}
}

// copied stages a message whose payload was not read from the network.
func (st *stage) copied(t *target, sub *subscription, m *message) {
	n := frameLen(m, sub.sid)
	ck := t.room(n)
	at := len(ck.b)
	ck.b = appendFrame(ck.b, m, sub.sid)
	t.grown(ck, len(ck.b)-at)
	t.msgs++
	t.payload += int64(m.size)
	t.subject = m.subject
	st.encoded += n
}
