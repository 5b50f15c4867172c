package server

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"gnatsd/sublist"
)

// What a user may publish and subscribe to, and what interest crosses routes:
// one engine for SUB, queue SUB, PUB, delivery and cluster import and export.
//
// A published subject is literal text. A subscription is accepted when it is a
// subset of one allow entry and not a subset of a deny entry; if it only
// overlaps a deny entry, its [filter] withholds the denied messages one by one.

// User is one entry of the list of users.
type User struct {
	Username    string
	Password    string // plain, or a bcrypt hash
	Nkey        string // public key, instead of a name and a password
	Permissions *Permissions
}

// id is what the user is known by.
func (u *User) id() string { return cmp.Or(u.Nkey, u.Username) }

// Permissions say what a user may publish and subscribe to. A nil side allows
// everything on that side.
type Permissions struct {
	Publish   *SubjectPermission
	Subscribe *SubjectPermission
}

// SubjectPermission lists subjects, which may hold wildcards, that are allowed
// and denied. An empty Allow allows everything that Deny does not name. In a
// Subscribe or Export list an entry may be "subject queue": it then speaks of
// the queue groups that match queue, which may hold wildcards too.
type SubjectPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`

	// Where the entries of Allow and Deny were written, by index; shorter or nil
	// when they come from a program.
	allowAt, denyAt []position
}

// RoutePermissions say which interest crosses the routes of a server: Import
// what it asks of others, Export what others may ask of it.
type RoutePermissions struct {
	Import *SubjectPermission
	Export *SubjectPermission
}

// position is a place in a configuration file. Its zero value is "nowhere".
type position struct {
	file      string
	line, col int // from 1
}

// String returns file:line:col, or "" for the zero value.
func (p position) String() string {
	if p == (position{}) {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col)
}

// permits are compiled [Permissions]. They do not change, apart from the cache
// of verdicts, and are shared by all connections of a user. A nil *permits
// allows everything but publishing to reserved subjects.
type permits struct {
	publish   side
	subscribe side
	published verdictCache
}

// compile checks the entries of p and indexes them. The error names the entry
// that is no subject. A nil p compiles to nil.
func compile(p *Permissions) (*permits, error) {
	if p == nil {
		return nil, nil
	}
	publish, err := compileSide(p.Publish, false)
	if err != nil {
		return nil, err
	}
	subscribe, err := compileSide(p.Subscribe, true)
	if err != nil {
		return nil, err
	}
	return &permits{publish: publish, subscribe: subscribe}, nil
}

// canPublish judges a published subject, as literal text. It does not keep
// subject and does not allocate for a subject seen recently.
func (p *permits) canPublish(subject []byte) verdict {
	if len(subject) > 0 && subject[0] == reservedPrefix[0] && bytes.HasPrefix(subject, []byte(reservedPrefix)) {
		return verdict{how: refusedReserved}
	}
	if p == nil || !p.publish.limited {
		return verdict{}
	}
	return p.published.get(subject, &p.publish)
}

// canSubscribe judges a subscription; queue is "" for a plain one.
func (p *permits) canSubscribe(subject, queue string) verdict {
	if p == nil || !p.subscribe.limited {
		return verdict{}
	}
	return p.subscribe.covers(subject, queue)
}

// filter returns what must be asked before each delivery to a subscription
// that canSubscribe accepted, or nil if nothing it matches is denied.
func (p *permits) filter(subject, queue string) *filter {
	if p == nil || !p.subscribe.limited {
		return nil
	}
	return p.subscribe.filter(subject, queue)
}

// routePermits are compiled [RoutePermissions], shared by all routes. A nil
// *routePermits lets all interest cross.
type routePermits struct {
	imports permits // its publish side is the import list
	exports permits // its subscribe side is the export list
}

// compileRoute is [compile] for the permissions of a cluster.
func compileRoute(p *RoutePermissions) (*routePermits, error) {
	if p == nil {
		return nil, nil
	}
	imports, err := compileSide(p.Import, false)
	if err != nil {
		return nil, fmt.Errorf("cluster import permissions: %w", err)
	}
	exports, err := compileSide(p.Export, true)
	if err != nil {
		return nil, fmt.Errorf("cluster export permissions: %w", err)
	}
	return &routePermits{permits{publish: imports}, permits{subscribe: exports}}, nil
}

// canImport judges whether local interest may be announced to routes.
func (p *routePermits) canImport(subject string) verdict {
	if p == nil {
		return verdict{}
	}
	if strings.HasPrefix(subject, reservedPrefix) {
		return verdict{how: refusedReserved}
	}
	return p.imports.publish.covers(subject, "")
}

// canImportMessage judges the subject of a message that a route delivers: an
// announced subscription may overlap a denied subject.
func (p *routePermits) canImportMessage(subject []byte) verdict {
	if p == nil {
		return verdict{}
	}
	return p.imports.canPublish(subject)
}

// canExport judges a subscription that a route asks for.
func (p *routePermits) canExport(subject, queue string) verdict {
	if p == nil {
		return verdict{}
	}
	return p.exports.canSubscribe(subject, queue)
}

// exportFilter is [permits.filter] for a subscription that canExport accepted.
func (p *routePermits) exportFilter(subject, queue string) *filter {
	if p == nil {
		return nil
	}
	return p.exports.filter(subject, queue)
}

// side is one compiled [SubjectPermission]. Its zero value allows everything.
type side struct {
	allow, deny           ruleSet // entries without a queue
	allowQueue, denyQueue ruleSet // entries with one
	denied                *filter // withholds what deny names; nil if it is empty
	limited               bool    // there is an entry
}

// compileSide compiles one list pair; queues says whether its entries may name
// a queue group.
func compileSide(p *SubjectPermission, queues bool) (side, error) {
	var s side
	if p == nil {
		return s, nil
	}
	allow, err := parseRules(p.Allow, p.allowAt, false, queues)
	if err != nil {
		return s, err
	}
	deny, err := parseRules(p.Deny, p.denyAt, true, queues)
	if err != nil {
		return s, err
	}
	s.allow, s.allowQueue = splitRules(allow)
	s.deny, s.denyQueue = splitRules(deny)
	s.limited = len(allow)+len(deny) > 0
	if !s.deny.empty() {
		s.denied = &filter{deny: s.deny}
	}
	return s, nil
}

// literal judges one published subject as text.
func (s *side) literal(subject []byte) verdict {
	if r := s.deny.find(subject); r != nil {
		return verdict{r, refusedDeny}
	}
	if s.allow.empty() {
		return verdict{}
	}
	if r := s.allow.find(subject); r != nil {
		return verdict{r, allowedRule}
	}
	return verdict{how: refusedUnlisted}
}

// covers judges a subscription as a whole.
//
// For a queue group, allow entries that name queues and cover the subject
// decide alone, as in later brokers: ["foo", "foo v1"] means any plain
// subscription on foo, but only the group v1. A deny is never overridden.
func (s *side) covers(subject, queue string) verdict {
	if r := s.deny.cover(subject); r != nil {
		return verdict{r, refusedDeny}
	}
	if r := s.denyQueue.coverQueue(subject, queue); r != nil {
		return verdict{r, refusedDeny}
	}
	if s.allow.empty() && s.allowQueue.empty() {
		return verdict{}
	}
	if queue != "" {
		if r := s.allowQueue.coverQueue(subject, queue); r != nil {
			return verdict{r, allowedRule}
		}
		if r := s.allowQueue.cover(subject); r != nil {
			return verdict{r, refusedQueue}
		}
	}
	if r := s.allow.cover(subject); r != nil {
		return verdict{r, allowedRule}
	}
	return verdict{how: refusedUnlisted}
}

// filter returns what an accepted subscription must not be delivered, or nil.
func (s *side) filter(subject, queue string) *filter {
	if sublist.IsLiteral(subject) {
		return nil // accepted as a whole, and it has no parts
	}
	if queue == "" || s.allowQueue.empty() && s.denyQueue.empty() {
		if s.denied != nil && s.deny.overlaps(subject) {
			return s.denied
		}
		return nil
	}
	f := s.queueFilter(subject, queue)
	if f.deny.empty() && f.others.empty() {
		return nil
	}
	return f
}

// queueFilter collects the entries that speak of parts of subject for queue.
func (s *side) queueFilter(subject, queue string) *filter {
	var deny, others, own []*rule
	for _, r := range s.deny.rules {
		if sublist.Overlap(subject, r.subject) {
			deny = append(deny, r)
		}
	}
	for _, r := range s.denyQueue.rules {
		if sublist.Overlap(subject, r.subject) && sublist.Matches(r.queue, queue) {
			deny = append(deny, r)
		}
	}
	if s.allowQueue.coverQueue(subject, queue) == nil {
		for _, r := range s.allowQueue.rules {
			switch {
			case !sublist.Overlap(subject, r.subject):
			case sublist.Matches(r.queue, queue):
				own = append(own, r)
			default:
				others = append(others, r)
			}
		}
	}
	return &filter{newRuleSet(deny), newRuleSet(others), newRuleSet(own)}
}

// filter withholds single messages from a subscription that was accepted
// although parts of it are denied. It does not change and may be shared. A
// queue group must pick another member for a message withheld from one.
type filter struct {
	deny   ruleSet // withheld
	others ruleSet // kept for other queue groups, unless own matches too
	own    ruleSet
}

// blocks reports whether a message on subject must not be delivered.
func (f *filter) blocks(subject []byte) bool {
	if f.deny.find(subject) != nil {
		return true
	}
	return f.others.find(subject) != nil && f.own.find(subject) == nil
}

// openSides returns one warning for each side of p that allows everything
// because it has no entries. who names the owner: `user "bob"`.
func openSides(who string, p *Permissions) []string {
	if p == nil {
		return nil
	}
	var warnings []string
	for _, s := range []struct {
		name, verb string
		entries    *SubjectPermission
	}{{"publish", "publish", p.Publish}, {"subscribe", "subscribe to", p.Subscribe}} {
		if s.entries == nil || len(s.entries.Allow)+len(s.entries.Deny) == 0 {
			warnings = append(warnings, fmt.Sprintf(
				"Permissions of %s have no %s entries: it may %s every subject", who, s.name, s.verb))
		}
	}
	return warnings
}
