package system

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"
)

// Broker is the server that a [Service] speaks about. Its methods are called by one goroutine at a
// time, except for Wanted, Reader and Identify.
type Broker interface {
	// Identify returns which server it is; the service fills in Seq and Time.
	Identify() ServerInfo
	// Stats returns its statistics.
	Stats() *Stats
	// Accounts returns the statistics of its accounts.
	Accounts() []AccountStats
	// Page returns the page with one of the names in Pages; CONNZ, SUBSZ and INFO of one account
	// only, unless account is "". options are a JSON object, or empty. The error says what is
	// wrong with them. A page that may be large is [Streamed].
	Page(name, account string, options []byte) (any, error)
	// Act does what one of Actions asks for. The error is the answer to who asked.
	Act(r *Action) error
	// Rebalance disconnects the clients of this server that are above b.Mean, the idle ones first,
	// slowly, and sets b.Surplus. who asks for it.
	Rebalance(b *Balance, who string) error
	// Subscribers returns how many subscriptions a subject has, in a queue group only unless
	// that is "".
	Subscribers(subject, queue string) (int, error)
	// Wanted reports whether some subscription matches the subject of an event or an answer.
	Wanted(subject string) bool
	// Reader identifies the client whose subscription matches a reply subject, the one of the longest
	// pattern if there are several; "" if there is none.
	Reader(reply string) string
	// RoutesNearFull reports whether a route could be closed for what is still published over it. One
	// whose peer has taken too little for two seconds does not count: other subscribers would wait.
	RoutesNearFull() bool
	// NearFull reports whether a long message on a subject would go over a route that is near full, or
	// has not sent yet what the service has published before.
	NearFull(subject string) bool
	// MaxPayload returns the size of the largest answer, in bytes.
	MaxPayload() int
}

// Action is what an operator asks the server to do.
type Action struct {
	Name    string // one of Actions
	Options []byte // JSON, or empty
	Who     string // asks for it, for the log
}

// Service answers requests and publishes events.
type Service struct {
	broker Broker
	id     string

	requests *requestQueue
	events   chan *event
	many     chan struct{} // half of the events that may wait do
	changed  chan struct{} // the number of clients of an account has changed
	flushes  chan chan struct{}

	// Owned by Run.
	asked    *request // for REBALANCE, which waits for the answers of all servers; else nil
	balance  Balance
	answered map[string]bool  // the ids of servers that have said how many clients they have
	balanced <-chan time.Time // when asked has waited long enough
	resumed  <-chan time.Time // when requests that were postponed are looked at again; nil if none were

	seq     atomic.Uint64
	dropped atomic.Int64
	ids     *nuid.NUID // owned by Run
	text    []byte     // of the latest event; owned by Run
}

const (
	// maxHeld bounds the requests that wait to be answered. Each counts as requestSize and what it holds,
	// in bytes: they are some 1000 at most.
	maxHeld     = 16 << 20
	requestSize = 16 << 10
	// maxRequest is the largest request that is done, in bytes, and what its headers may have besides.
	maxRequest = 64 << 10
	// maxErrorText is how many bytes of an error are sent whatever max_payload is.
	maxErrorText = 256
	// maxEvents bounds the events that wait to be published, some 2 MB.
	maxEvents = 2048
	// statsInterval is the time between two events STATSZ.
	statsInterval = 10 * time.Second
	// gatherTime is how long events wait for others, where there are many: an event that follows
	// another one sooner. They wait in the queue, so that clients that connect and leave wake the
	// service up no more often.
	gatherTime = 50 * time.Millisecond
	// countTime is how long servers have to say how many clients they have.
	countTime = time.Second
	// rebalanceName ends the subject of a request to rebalance.
	rebalanceName = ".REBALANCE"
	// connsInterval is the least time between two events about the number of clients.
	connsInterval = 250 * time.Millisecond
)

// New returns the service of a server with an id. Run runs it.
func New(b Broker, id string) *Service {
	return &Service{
		broker: b, id: id, ids: nuid.New(),
		requests: newRequestQueue(), events: make(chan *event, maxEvents),
		many: make(chan struct{}, 1), changed: make(chan struct{}, 1), flushes: make(chan chan struct{}),
	}
}

// Dropped returns how many events and requests were dropped because too many were waiting, and messages
// of the service because a route was near full.
func (s *Service) Dropped() int64 { return s.dropped.Load() }

// AddDropped counts messages of the service that the broker has not handed to a route.
func (s *Service) AddDropped(n int64) { s.dropped.Add(n) }

// request is a message that the service has received.
type request struct {
	subject, reply string
	class          class
	asker          string // takes turns with others
	snappy         bool   // the answer may be compressed
	who            string // asks for an action
	ask            bool   // it is to be published, not to be answered
	body           []byte
	refusal        error       // why it is not done, whatever it asks for; else nil
	refused        func(error) // is called with the error, if there is no reply subject
}

// event is to be published.
type event struct {
	kind    string // a type of advisory; "" for one that has the server only
	subject string
	at      time.Time
	Departure
}

// Connected publishes the event that a client of an account has logged in. It is called for which
// client only if the event is wanted.
func (s *Service) Connected(account string, client func() ClientInfo) {
	s.changes()
	if subject := Connect(account); s.broker.Wanted(subject) {
		s.add(&event{kind: typeConnect, subject: subject, Departure: Departure{Client: client()}})
	}
}

// Departure is what an event says about a client that is gone. Sent and Received are seen from the
// client, as in the events of nats-server.
type Departure struct {
	Client         ClientInfo
	Sent, Received Traffic
	Reason         string
}

// Disconnected publishes the event that a client of an account is gone. It is called for the rest
// only if the event is wanted.
func (s *Service) Disconnected(account string, client func() Departure) {
	s.changes()
	s.departed(Disconnect(account), client)
}

// Refused publishes the event that a client could not log in, or may no longer be logged in.
func (s *Service) Refused(client func() Departure) { s.departed(AuthError(s.id), client) }

func (s *Service) departed(subject string, client func() Departure) {
	if s.broker.Wanted(subject) {
		s.add(&event{kind: typeDisconnect, subject: subject, Departure: client()})
	}
}

// State publishes the event, with subject [Shutdown] or [LameDuck], that the state of the server has
// changed.
func (s *Service) State(subject string) {
	if s.broker.Wanted(subject) {
		s.add(&event{subject: subject})
	}
}

// changes says that the number of clients has changed.
func (s *Service) changes() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// add queues an event, or drops it if too many are waiting.
func (s *Service) add(e *event) {
	e.at = time.Now().UTC()
	e.Client.bound()
	select {
	case s.events <- e:
	default:
		s.dropped.Add(1)
	}
	if len(s.events) >= maxEvents/2 {
		select {
		case s.many <- struct{}{}:
		default:
		}
	}
}

// Flush waits until the events that were published before are on their way, for limit at most.
func (s *Service) Flush(limit time.Duration) {
	done, end := make(chan struct{}), time.NewTimer(limit)
	defer end.Stop()
	select {
	case s.flushes <- done:
	case <-end.C:
		return
	}
	select {
	case <-done:
	case <-end.C:
	}
}

// whose is the header that says who asks for an action. Only services send such requests: the
// broker hands those of clients to Ask.
const whose = "Gnatsd-Asked-By"

// Ask publishes a request for an action, or answers that it is too large. who asks for it. It reports
// false if too many requests are waiting.
func (s *Service) Ask(subject, reply, who string, body []byte) bool {
	r := &request{subject: subject, reply: reply, who: who, ask: true}
	if len(body) > maxRequest {
		r.refusal = tooLarge(len(body))
	} else {
		r.body = bytes.Clone(body)
	}
	return s.queue(r)
}

// tooLarge is the error of a request, or its headers, of so many bytes.
func tooLarge(size int) error {
	return fmt.Errorf("the request has %d bytes: %d are the most", size, maxRequest)
}

// Rebalance does what a request for REBALANCE does. who asks for it; refused is called with the error
// if nothing is done.
func (s *Service) Rebalance(who string, refused func(error)) {
	s.queue(&request{subject: reqServer + s.id + rebalanceName, who: who, refused: refused})
}

// queue queues a request, unless it is for an answer that no subscription wants. It reports false if the
// request is dropped, since too many are waiting.
func (s *Service) queue(r *request) bool {
	r.class = classOf(r, s.id)
	if r.asker = r.who; r.class != classAction {
		if r.asker = s.broker.Reader(r.reply); r.asker == "" {
			return true
		}
	}
	queued := true
	for _, d := range s.requests.add(r) {
		s.dropped.Add(1)
		queued = queued && d != r
		if d.refused != nil {
			d.refused(errors.New("too many requests are waiting"))
		}
	}
	return queued
}

// size returns what a request counts, as long as it waits.
func (r *request) size() int64 {
	return requestSize + int64(len(r.subject)+len(r.reply)+len(r.who)+len(r.body))
}

// Run runs the service over a connection, until that is closed.
func (s *Service) Run(nc net.Conn) {
	defer nc.Close()
	over := make(chan struct{})
	go func() { // ends when nc is closed; Run waits for it
		defer close(over)
		s.read(bufio.NewReaderSize(nc, maxRequest))
	}()
	s.work(&writer{nc: nc}, over)
	nc.Close()
	<-over
}

// work answers requests and publishes events until the connection is over.
func (s *Service) work(w *writer, over <-chan struct{}) {
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	var pause <-chan time.Time    // until the next event about the number of clients
	var gathered <-chan time.Time // while events wait for others: until when
	changed, events := s.changed, s.events
	for w.err == nil {
		select {
		case <-over:
			return
		case <-s.requests.some:
			if r := s.requests.next(); r != nil {
				s.handle(w, r)
			}
		case <-s.resumed:
			s.resumed = nil
			s.requests.resume()
		case e := <-events:
			s.publish(w, e)
			events, gathered = nil, time.After(gatherTime)
		case <-s.many:
			s.publishWaiting(w)
		case <-gathered:
			events, gathered = s.events, nil
			if s.publishWaiting(w) > 0 {
				events, gathered = nil, time.After(gatherTime)
			}
		case done := <-s.flushes:
			s.publishWaiting(w)
			w.sync()
			w.flush()
			close(done)
		case <-changed:
			changed, pause = nil, time.After(connsInterval)
		case <-pause:
			changed, pause = s.changed, nil
			s.publishConns(w)
		case <-s.balanced:
			s.rebalance(w)
		case <-tick.C:
			if subject := stats(s.id); s.broker.Wanted(subject) {
				s.send(w, subject, &statsMessage{s.server(), s.broker.Stats()})
			}
		}
		w.flush()
	}
}

// server returns which server this is, with the number of the next message.
func (s *Service) server() *ServerInfo {
	info := s.broker.Identify()
	info.Seq, info.Time = s.seq.Add(1), time.Now().UTC()
	return &info
}

func (s *Service) advisory(kind string, at time.Time) advisory {
	return advisory{Type: kind, ID: s.ids.Next(), Time: at, Server: s.server()}
}

// publishWaiting publishes the events that wait, and returns how many there were. While a route is near
// full they wait on, and those are dropped for which there is no room.
func (s *Service) publishWaiting(w *writer) int {
	n := len(s.events)
	if n > 0 && s.broker.RoutesNearFull() {
		return n
	}
	for range n {
		s.publish(w, <-s.events)
	}
	return n
}

func (s *Service) publish(w *writer, e *event) {
	if e.kind == "" {
		s.send(w, e.subject, s.server())
		return
	}
	e.Client.NameTag, e.Client.Kind, e.Client.Type = e.Client.Account, "Client", "nats"
	if e.kind == typeDisconnect {
		e.Client.Stop = &e.at
	}
	s.text = e.appendEvent(s.text[:0], s.ids.Next(), s.server())
	s.sendText(w, e.subject, s.text)
}

// publishConns publishes the number of clients of each account.
func (s *Service) publishConns(w *writer) {
	for _, a := range s.broker.Accounts() {
		for _, subject := range conns(a.Account) {
			if s.broker.Wanted(subject) {
				s.send(w, subject, &connsEvent{s.advisory(typeConns, time.Now().UTC()), a})
			}
		}
	}
}

// send publishes a message.
func (s *Service) send(w *writer, subject string, v any) {
	if text, err := json.Marshal(v); err == nil {
		s.sendText(w, subject, text)
	}
}

// sendText publishes a message, unless it is too large.
func (s *Service) sendText(w *writer, subject string, text []byte) {
	if len(text) <= s.broker.MaxPayload() {
		w.publish(subject, "", nil, text)
	}
}

// handle answers a request, or publishes that for an action. What is asked for an answer that no
// subscription wants any more is not done, and a long answer waits while a route is near full.
func (s *Service) handle(w *writer, r *request) {
	if !mayReply(r.reply) {
		r.reply = ""
	}
	if r.class != classAction && (r.reply == "" || !s.broker.Wanted(r.reply)) {
		return
	}
	if r.class == classLong && s.broker.NearFull(r.reply) {
		s.postpone(r)
		return
	}
	if r.refusal != nil {
		s.reply(w, r, s.fail(codeBadRequest, r.refusal))
		return
	}
	if r.ask {
		header := fmt.Appendf(nil, "NATS/1.0\r\n%s: %s\r\n\r\n", whose, r.who)
		w.publish(r.subject, r.reply, header, r.body)
		return
	}
	s.do(w, r)
}

// postpone puts a request back, to be looked at when events that wait are.
func (s *Service) postpone(r *request) {
	s.requests.postpone(r)
	if s.resumed == nil {
		s.resumed = time.After(gatherTime)
	}
}

// do does what a request asks for, and answers it.
func (s *Service) do(w *writer, r *request) {
	switch {
	case r.subject == counts(s.id):
		s.counted(r)
		return
	case strings.HasSuffix(r.subject, rebalanceName) && r.who != "" && s.asked == nil:
		s.count(w, r)
		return
	}
	if answer, answered := s.answer(r); answered {
		s.reply(w, r, answer)
	}
}

// count asks all servers how many clients they have, for a request to rebalance.
func (s *Service) count(w *writer, r *request) {
	s.asked, s.balance, s.balanced = r, Balance{}, time.After(countTime)
	s.answered = map[string]bool{}
	w.publish(reqServer+ping, counts(s.id), nil, nil)
}

// counted adds the clients of a server that has answered, once: a user may have named this subject in
// requests of its own.
func (s *Service) counted(r *request) {
	var m statsMessage
	if s.asked == nil || json.Unmarshal(r.body, &m) != nil {
		return
	}
	if m.Stats != nil && m.Server != nil && !s.answered[m.Server.ID] {
		s.answered[m.Server.ID] = true
		s.balance.Servers++
		s.balance.Connections += m.Stats.Connections
	}
}

// rebalance does what was asked for, when all servers have had time to answer.
func (s *Service) rebalance(w *writer) {
	r, b := s.asked, s.balance
	s.asked, s.balanced, s.answered = nil, nil, nil
	answer := &response{Server: s.server(), Data: &b}
	if b.Servers < 2 {
		answer = s.fail(codeFailed, errors.New("no other server has answered: there is nowhere to send clients"))
	} else {
		b.Mean = (b.Connections + b.Servers - 1) / b.Servers
		if err := s.broker.Rebalance(&b, r.who); err != nil {
			answer = s.fail(codeFailed, err)
		}
	}
	s.reply(w, r, answer)
}

// reply sends the answer to a request, if it has a reply subject.
func (s *Service) reply(w *writer, r *request, answer any) {
	if failed, ok := answer.(*response); ok && failed.Error != nil && r.refused != nil {
		r.refused(errors.New(failed.Error.Description))
	}
	if r.reply == "" || !s.broker.Wanted(r.reply) {
		return
	}
	limit := s.broker.MaxPayload()
	text, err := encode(answer, r.snappy, limit)
	if err != nil {
		text, _ = encode(&response{Server: s.server(), Error: &apiError{codeFailed, err.Error()}}, r.snappy, limit)
	}
	if text.size > text.max {
		w.publish(r.reply, "", nil, s.shortened(answer, text.size, limit))
		return
	}
	w.publish(r.reply, "", text.header, text.bytes)
}

// shortened returns what is sent instead of an answer that is too large: an error, which is sent
// although it may have more than max_payload, since the client waits for an answer.
func (s *Service) shortened(answer any, size, limit int) []byte {
	e := apiError{codeFailed, fmt.Sprintf("the answer has %d bytes, max_payload is %d: ask for less with offset and limit", size, limit)}
	if failed, ok := answer.(*response); ok && failed.Error != nil {
		e = *failed.Error
		e.Description = strings.ToValidUTF8(e.Description[:min(len(e.Description), maxErrorText)], "")
	}
	text, _ := json.Marshal(&response{Server: s.server(), Error: &e}) // texts can always be encoded
	return text
}

// answer returns the answer to a request; answered is false if another server must answer.
func (s *Service) answer(r *request) (answer any, answered bool) {
	if r.subject == subscribers {
		subject, queue, _ := strings.Cut(strings.TrimSpace(string(r.body)), " ")
		n, err := s.broker.Subscribers(subject, strings.TrimSpace(queue))
		if err != nil {
			return s.fail(codeBadRequest, err), true
		}
		return n, true
	}
	var f filter
	if body := bytes.TrimSpace(r.body); len(body) > 0 {
		if err := json.Unmarshal(body, &f); err != nil {
			return s.fail(codeBadRequest, fmt.Errorf("the request is no JSON object: %w", err)), true
		}
	}
	here := s.broker.Identify()
	if !f.admits(&here) {
		return nil, false
	}
	if rest, ok := strings.CutPrefix(r.subject, reqAccount); ok {
		return s.answerAccount(rest, r)
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(r.subject, reqServer), ".")
	switch {
	case name == "" || slices.Contains(statsz, name):
		return &statsMessage{s.server(), s.broker.Stats()}, true
	case name == "IDZ":
		return &identity{here.Name, here.Host, here.ID}, true
	case slices.Contains(Pages, name):
		return s.page(name, "", r.body), true
	case r.who == "" && slices.Contains(Actions, name):
		return s.fail(codeBadRequest, errors.New("no server says who asks for it")), true
	case name == "REBALANCE":
		return s.fail(codeFailed, errors.New("clients are being counted already")), true
	case slices.Contains(Actions, name):
		if err := s.broker.Act(&Action{Name: name, Options: r.body, Who: r.who}); err != nil {
			return s.fail(codeFailed, err), true
		}
		return &response{Server: s.server()}, true
	}
	return s.unsupported(name), true
}

// Response returns the answer to a request that the broker answers itself.
func (s *Service) Response(data any) []byte {
	text, err := json.Marshal(&response{Server: s.server(), Data: data})
	if err != nil {
		return nil // what the broker says of itself can be encoded
	}
	return text
}

func (s *Service) fail(code int, err error) *response {
	return &response{Server: s.server(), Error: &apiError{code, err.Error()}}
}

// answerAccount answers a request about an account, or PING for all.
func (s *Service) answerAccount(rest string, r *request) (any, bool) {
	account, name, _ := strings.Cut(rest, ".")
	all := s.broker.Accounts()
	known := account == ping
	if !known {
		all = slices.DeleteFunc(all, func(a AccountStats) bool { return token(a.Account) != account })
		if known = len(all) > 0; known {
			account = all[0].Account
		}
	}
	switch name {
	case "STATZ":
		if !known {
			return nil, false // as in nats-server
		}
		return s.accountStatz(all, r.body)
	case "CONNZ", "SUBSZ":
		if account == ping {
			account = ""
		}
		return s.page(name, account, r.body), true
	case "LEAFZ", "JSZ":
		return s.unsupported(name), true
	}
	if !known || account == ping {
		return s.fail(codeFailed, unknownAccount(account)), true
	}
	if name == "INFO" {
		return s.page(name, account, r.body), true
	}
	return &connsEvent{s.advisory(typeConns, time.Now().UTC()), all[0]}, true
}

// unknownAccount is the error of nats-server for an account that does not exist.
type unknownAccount string

// Error implements error.
func (a unknownAccount) Error() string { return "Account " + string(a) + " does not exist" }

// accountStatz returns the page STATZ of accounts. Those without clients are left out unless the
// options ask for them, and if none is left there is no answer, as in nats-server.
func (s *Service) accountStatz(all []AccountStats, options []byte) (any, bool) {
	var only struct {
		Accounts []string `json:"accounts"`
		Unused   bool     `json:"include_unused"`
	}
	if len(options) > 0 {
		if err := json.Unmarshal(options, &only); err != nil {
			return s.fail(codeBadRequest, err), true
		}
	}
	all = slices.DeleteFunc(all, func(a AccountStats) bool {
		return !only.Unused && a.Conns == 0 || len(only.Accounts) > 0 && !slices.Contains(only.Accounts, a.Account)
	})
	if len(all) == 0 && !only.Unused {
		return nil, false
	}
	return &response{Server: s.server(), Data: &accountStatz{s.id, time.Now().UTC(), all}}, true
}

// page returns the answer that is a page of the broker.
func (s *Service) page(name, account string, options []byte) *response {
	page, err := s.broker.Page(name, account, options)
	if err != nil {
		return s.fail(codeBadRequest, err)
	}
	return &response{Server: s.server(), Data: page}
}

// unsupported returns the answer to a request about what this server does not have.
func (s *Service) unsupported(name string) *response {
	return s.fail(codeUnsupported, fmt.Errorf("%s is not available: this server does not have what it is about", name))
}

// read queues requests until the connection is closed.
func (s *Service) read(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n') // bounded by the frame limits of the connection
		if err != nil {
			return
		}
		r, size, header, ok := parse(strings.TrimRight(line, "\r\n"))
		if !ok {
			continue
		}
		if err := r.read(in, size, header); err != nil {
			return
		}
		s.queue(r)
	}
}

// read reads the payload of a request, of which the first bytes are headers. One that is too large
// is refused.
func (r *request) read(in *bufio.Reader, size, header int) error {
	if most := max(header, size-header); most > maxRequest {
		r.refusal = tooLarge(most)
		_, err := in.Discard(size + 2)
		return err
	}
	text := make([]byte, size+2)
	if _, err := io.ReadFull(in, text); err != nil {
		return err
	}
	r.headers(text[:header])
	if r.body = text[:size]; header > 0 {
		r.body = bytes.Clone(text[header:size])
	}
	return nil
}

// parse parses the line of a message: MSG subject sid [reply] size, or HMSG with the size of the
// headers before. The broker separates its words by one blank, and the words of clients may have
// every other white space of Unicode.
func parse(line string) (r *request, size, header int, ok bool) {
	f := strings.Split(line, " ")
	with := f[0] == "HMSG"
	extra := 0
	if with {
		extra = 1
	}
	if !with && f[0] != "MSG" || len(f) < 4+extra || len(f) > 5+extra {
		return nil, 0, 0, false
	}
	r = &request{subject: f[1]}
	if len(f) == 5+extra {
		r.reply = f[3]
	}
	size, err := strconv.Atoi(f[len(f)-1])
	if err == nil && with {
		header, err = strconv.Atoi(f[len(f)-2])
	}
	return r, size, header, err == nil && 0 <= header && header <= size
}

// headers takes what it needs of the headers of the request.
func (r *request) headers(text []byte) {
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); {
		case strings.EqualFold(key, "Accept-Encoding"):
			r.snappy = strings.Contains(strings.ToLower(value), "snappy")
		case strings.EqualFold(key, whose):
			r.who = value
		}
	}
}

// writer publishes over the connection, when it is flushed or has much to write.
type writer struct {
	nc  net.Conn
	buf []byte
	err error // of the first write that failed
}

func (w *writer) publish(subject, reply string, header, text []byte) {
	if reply != "" {
		subject += " " + reply
	}
	if header != nil {
		w.buf = fmt.Appendf(w.buf, "HPUB %s %d %d\r\n", subject, len(header), len(header)+len(text))
		w.buf = append(w.buf, header...)
	} else {
		w.buf = fmt.Appendf(w.buf, "PUB %s %d\r\n", subject, len(text))
	}
	w.buf = append(append(w.buf, text...), "\r\n"...)
	if len(w.buf) > maxRequest {
		w.flush()
	}
}

// sync writes something that needs no answer: when it is read, what was written before has been
// delivered.
func (w *writer) sync() {
	w.flush()
	w.buf = append(w.buf, "PONG\r\n"...)
}

func (w *writer) flush() {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.nc.Write(w.buf)
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > maxRequest {
		w.buf = nil
	}
}
