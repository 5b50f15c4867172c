package server

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"gnatsd/sublist"
)

// outcome says how a verdict came about. Those up to allowedRule allow.
type outcome uint8

const (
	allowedOpen     outcome = iota // no list is in the way
	allowedRule                    // an allow entry covers it
	refusedDeny                    // a deny entry covers it
	refusedUnlisted                // no allow entry covers it
	refusedQueue                   // allow entries admit other queue groups only
	refusedReserved                // begins with reservedPrefix
)

// verdict is the answer of the permission engine, with the rule that decided.
// Its zero value allows.
type verdict struct {
	rule *rule // nil if none decided alone
	how  outcome
}

func (v verdict) allowed() bool { return v.how <= allowedRule }

// String returns the reason, for the log and for --explain.
func (v verdict) String() string {
	switch v.how {
	case allowedOpen:
		return "nothing forbids it"
	case refusedUnlisted:
		return "no allow entry covers it"
	case refusedQueue:
		return v.rule.String() + " admits other queue groups only"
	case refusedReserved:
		return "subjects that begin with " + reservedPrefix + " are reserved"
	}
	return v.rule.String()
}

// publishRefusal is the text of the -ERR for a refused PUB.
func publishRefusal(subject string) string {
	return fmt.Sprintf(wirePublishDenied, subject)
}

// subscribeRefusal is the text of the -ERR for a SUB refused by v. It names the
// queue only if an entry that speaks of queues decided.
func subscribeRefusal(subject, queue string, v verdict) string {
	text := fmt.Sprintf(wireSubscribeDenied, subject)
	if queue != "" && v.rule != nil && v.rule.queue != "" {
		text += fmt.Sprintf(" using queue %q", queue)
	}
	return text
}

// publishViolation is the log line for a refused PUB.
func publishViolation(user, subject string, v verdict) string {
	return fmt.Sprintf("Publish Violation - User %q, Subject %q: %s", user, subject, v)
}

// subscribeViolation is the log line for a refused SUB.
func subscribeViolation(user, subject, queue, sid string, v verdict) string {
	line := fmt.Sprintf("Subscription Violation - User %q, Subject %q, SID %s", user, subject, sid)
	if queue != "" {
		line += fmt.Sprintf(", Queue %q", queue)
	}
	return line + ": " + v.String()
}

// action is what --explain is asked about.
type action uint8

const (
	actionPublish action = iota
	actionSubscribe
)

// explain tells an operator what p makes of an action, and why. queue is ""
// for publishing and for a plain subscription.
func explain(p *permits, a action, subject, queue string) string {
	if a == actionPublish {
		return explainVerdict(p.canPublish([]byte(subject)))
	}
	if !sublist.ValidSubject(subject) {
		return "refused: not a valid subject to subscribe to"
	}
	v := p.canSubscribe(subject, queue)
	f := p.filter(subject, queue)
	if !v.allowed() || f == nil {
		return explainVerdict(v)
	}
	var withheld []string
	for _, r := range f.deny.rules {
		if sublist.Overlap(subject, r.subject) {
			withheld = append(withheld, r.String())
		}
	}
	for _, r := range f.others.rules {
		withheld = append(withheld, r.String()+" of other queue groups")
	}
	return explainVerdict(v) + "; messages are withheld that match " + strings.Join(withheld, ", ")
}

func explainVerdict(v verdict) string {
	if v.allowed() {
		return "allowed: " + v.String()
	}
	return "refused: " + v.String()
}

const (
	// verdictSlots is the size of a verdictCache: 3 KiB per user that publishes.
	verdictSlots = 256
	// verdictMaxSubject is the longest subject, in bytes, that is remembered.
	verdictMaxSubject = 128
	// verdictPatience is how many times in a row newcomers must miss a slot
	// before one of them takes it. Many distinct subjects, each seen once, then
	// cost a look at the rules each, but only one in verdictPatience allocates
	// and drives out what may be a hot subject.
	verdictPatience = 16
)

// verdictCache remembers what the rules said about recently published
// subjects. Its size is fixed, its hash is seeded, and it compares whole
// subjects, so peers can neither fill it nor confuse it. Safe for concurrent
// use without locks; the zero value is ready.
type verdictCache struct {
	table atomic.Pointer[verdictTable]
}

type verdictTable struct {
	seed   maphash.Seed
	slots  [verdictSlots]atomic.Pointer[knownVerdict]
	misses [verdictSlots]atomic.Uint32 // since the slot was last filled
}

// knownVerdict is one entry; it does not change.
type knownVerdict struct {
	subject string
	verdict verdict
}

// get returns the verdict of s on subject, from memory if possible.
func (c *verdictCache) get(subject []byte, s *side) verdict {
	t := c.table.Load()
	if t == nil {
		c.table.CompareAndSwap(nil, &verdictTable{seed: maphash.MakeSeed()})
		t = c.table.Load()
	}
	i := maphash.Bytes(t.seed, subject) % verdictSlots
	known := t.slots[i].Load()
	if known != nil && known.subject == string(subject) {
		return known.verdict
	}
	v := s.literal(subject)
	if len(subject) <= verdictMaxSubject && (known == nil || t.misses[i].Add(1) >= verdictPatience) {
		t.misses[i].Store(0)
		t.slots[i].Store(&knownVerdict{string(subject), v})
	}
	return v
}

// recentSubjects is how many subjects a connection has verdicts on at hand, a
// power of two.
const recentSubjects = 8

// lastVerdicts remember the verdicts on the subjects published lately, for one
// connection: most publish the same few again, and one comparison is cheaper than
// a hash. They are owned by the connection's reader; the zero value is ready.
type lastVerdicts struct {
	known *[recentSubjects]lastVerdict
}

// lastVerdict is the verdict on one subject.
type lastVerdict struct {
	permits *permits // whose verdict it is; after a reload it is another's
	subject []byte
	verdict verdict
}

// canPublish is [permits.canPublish].
func (l *lastVerdicts) canPublish(p *permits, subject []byte) verdict {
	if e := l.at(subject); e != nil && e.permits == p && string(e.subject) == string(subject) {
		return e.verdict
	}
	return l.judge(p, subject)
}

// at returns the place for the verdict on a subject, nil if there is none.
func (l *lastVerdicts) at(subject []byte) *lastVerdict {
	n := len(subject)
	if n == 0 || n > verdictMaxSubject || l.known == nil {
		return nil
	}
	return &l.known[uint(n+int(subject[n-1])+3*int(subject[n/2]))%recentSubjects]
}

// judge finds a verdict that is not at hand, and keeps it.
func (l *lastVerdicts) judge(p *permits, subject []byte) verdict {
	if l.known == nil {
		l.known = new([recentSubjects]lastVerdict)
	}
	e := l.at(subject)
	if e == nil {
		return p.canPublish(subject)
	}
	*e = lastVerdict{p, append(e.subject[:0], subject...), p.canPublish(subject)}
	return e.verdict
}
