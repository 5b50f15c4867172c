package access

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"gnatsd/sublist"
)

// One engine decides about PUB, SUB, queue SUB, delivery, and cluster import and export.
//
// A published subject is literal text. A subscription is accepted when it is a subset of one allow
// entry and not a subset of a deny entry; if it only overlaps a deny entry, its [Filter] withholds
// the denied messages one by one.

// Rules are a permissions block, as configured.
type Rules struct {
	Publish   List
	Subscribe List
	// Response allows publishing to reply subjects, nil for nothing. With it, a Publish list
	// without Allow allows nothing.
	Response *Response
	At       string // file:line:col, "" if a program made it
}

// List holds the entries for one direction. Without any it allows everything; without Allow, all
// that Deny does not name.
type List struct {
	Allow, Deny []Entry
}

func (l *List) empty() bool { return len(l.Allow)+len(l.Deny) == 0 }

// Entry is one line of a [List]: a subject, which may hold wildcards, or "subject queue", which
// speaks of the queue groups that match queue only.
type Entry struct {
	Text string
	At   string // file:line:col, "" if a program made it
}

// Permissions are compiled [Rules], shared by all connections of a user. A nil *Permissions allows
// everything but reserved subjects.
type Permissions struct {
	system    bool // of a user of the system account
	publish   direction
	subscribe direction

	// The filters if replies are noted, else nil: of subscriptions of which nothing is withheld, and
	// of those of which subscribe.denied withholds.
	noted, notedDenied *Filter
}

// Compile checks the entries of r and indexes them. The error names the entry that is not a valid
// subject. A nil r compiles to nil.
func Compile(r *Rules) (*Permissions, error) {
	if r == nil {
		return nil, nil
	}
	publish, err := compileList(r.Publish, false)
	if err != nil {
		return nil, err
	}
	subscribe, err := compileList(r.Subscribe, true)
	if err != nil {
		return nil, err
	}
	p := &Permissions{publish: publish, subscribe: subscribe}
	if response := r.Response.filled(); response != nil {
		p.publish.closed = publish.allow.empty()
		p.noted = &Filter{response: response}
		p.notedDenied = p.subscribe.denied.noting(response)
	}
	return p, nil
}

// systemRules returns the permissions of a user of the system account, which may use the subjects
// of that account: p, which may be nil, without the reservation of those.
func (p *Permissions) systemRules() *Permissions {
	if p == nil {
		return &Permissions{system: true}
	}
	system := *p
	system.system = true
	return &system
}

const (
	// reservedPrefix begins the subjects that no client may publish to.
	reservedPrefix = "_SYS."
	// systemPrefix begins the subjects that only users of the system account may use.
	systemPrefix = "$SYS."
	// inboxPrefix begins the subjects on which servers answer each other.
	inboxPrefix = systemPrefix + "_INBOX."
	// UserInfo is the subject on which every user may ask for what it is itself. The server
	// answers it for every user: no message is delivered on it.
	UserInfo = "$SYS.REQ.USER.INFO"
)

// Reserved reports whether subject begins with one of the reserved prefixes: no client may publish
// to it, whatever its permissions, or only a user of the system account.
func Reserved(subject []byte) bool {
	return len(subject) >= len(reservedPrefix) && string(subject[1:len(reservedPrefix)]) == reservedPrefix[1:] &&
		(subject[0] == reservedPrefix[0] || subject[0] == systemPrefix[0])
}

// OfSystem reports whether subject is one of the system account.
func OfSystem(subject []byte) bool { return Reserved(subject) && subject[0] == systemPrefix[0] }

// OfSystemPattern reports whether pattern can match only subjects of the system account.
func OfSystemPattern(pattern string) bool { return strings.HasPrefix(pattern, systemPrefix) }

// CanPublish decides about a published subject, as literal text. It does not keep subject.
func (p *Permissions) CanPublish(subject []byte) Decision {
	if Reserved(subject) {
		switch {
		case subject[0] != systemPrefix[0]:
			return Decision{reason: reserved}
		case p == nil || !p.system || forServer(subject):
			return Decision{reason: ofSystem}
		}
	}
	if p == nil {
		return Decision{}
	}
	return p.publish.decideLiteral(subject)
}

// forServer reports whether a message on subject is not delivered as it is: the server acts on it,
// because it needs to know who asks, or only servers may publish it.
func forServer(subject []byte) bool {
	return string(subject) == UserInfo || IsAction(subject) || isInbox(subject)
}

func isInbox(subject []byte) bool { return bytes.HasPrefix(subject, []byte(inboxPrefix)) }

// IsAction reports whether a request on subject asks a server to do something.
func IsAction(subject []byte) bool {
	const prefix = systemPrefix + "REQ.SERVER."
	if !bytes.HasPrefix(subject, []byte(prefix)) {
		return false
	}
	switch id, action, _ := strings.Cut(string(subject[len(prefix):]), "."); action {
	case "KICK", "LDM", "RELOAD", "REBALANCE":
		return id != ""
	}
	return false
}

// CanAsk decides about a request for which CanPublish says that it is [Decision.OfSystem]: every
// user may ask on [UserInfo] unless an entry denies it, those of the system account for actions, as
// far as their publish rules allow it.
func (p *Permissions) CanAsk(subject []byte) Decision {
	switch {
	case string(subject) == UserInfo:
		return p.canAskWho(subject)
	case p == nil || !p.system:
		return Decision{reason: ofSystem}
	case !IsAction(subject):
		return Decision{reason: ofServers}
	}
	return p.publish.decideLiteral(subject)
}

// canAskWho decides about a request for what the user is. It is no subject of the user's own
// programs, so lists of those need not name it.
func (p *Permissions) canAskWho(subject []byte) Decision {
	if p == nil {
		return Decision{}
	}
	if r := p.publish.deny.find(subject); r != nil {
		return Decision{r, denied}
	}
	return Decision{}
}

// CanSubscribe decides about a subscription; queue is "" for a plain one.
func (p *Permissions) CanSubscribe(subject, queue string) Decision {
	if OfSystemPattern(subject) && (p == nil || !p.system) {
		return Decision{reason: ofSystem}
	}
	if p == nil {
		return Decision{}
	}
	return p.subscribe.decidePattern(subject, queue)
}

// CanRespond reports whether the peer may publish to reply subjects ([Replies]) whatever CanPublish
// says. Reserved subjects are none.
func (p *Permissions) CanRespond(subject []byte) bool {
	return p != nil && p.noted != nil && !Reserved(subject)
}

// Filter returns what must be asked before each delivery to a subscription that CanSubscribe
// allowed, or nil if nothing it matches is denied and no replies are to be noted.
func (p *Permissions) Filter(subject, queue string) *Filter {
	if p == nil {
		return nil
	}
	f := p.subscribe.filter(subject, queue)
	switch {
	case p.noted == nil:
		return f
	case f == nil:
		return p.noted
	case f == p.subscribe.denied:
		return p.notedDenied
	}
	return f.noting(p.noted.response)
}

// RoutePermissions are the compiled permissions of a cluster, shared by all its routes. A nil
// *RoutePermissions lets all interest cross.
type RoutePermissions struct {
	imports Permissions // publish: the interest that is sent
	exports direction
}

// CompileRoutes is [Compile] for the permissions of a cluster: imports lists the interest that is
// sent to other servers, exports that which is accepted of them.
func CompileRoutes(imports, exports List) (*RoutePermissions, error) {
	in, err := compileList(imports, false)
	if err != nil {
		return nil, fmt.Errorf("cluster import permissions: %w", err)
	}
	out, err := compileList(exports, true)
	if err != nil {
		return nil, fmt.Errorf("cluster export permissions: %w", err)
	}
	return &RoutePermissions{Permissions{publish: in}, out}, nil
}

// CanImport decides whether local interest may be sent to other servers. Interest in reserved
// subjects never is.
func (p *RoutePermissions) CanImport(subject string) Decision {
	if strings.HasPrefix(subject, reservedPrefix) {
		return Decision{reason: reserved}
	}
	if p == nil {
		return Decision{}
	}
	return p.imports.publish.decidePattern(subject, "")
}

// CanImportSystem decides about the subject of a message of the system account.
func (p *RoutePermissions) CanImportSystem(subject []byte) Decision {
	if p == nil {
		return Decision{}
	}
	return p.imports.publish.decideLiteral(subject)
}

// CanExport decides about a subscription that another server sends.
func (p *RoutePermissions) CanExport(subject, queue string) Decision {
	if p == nil {
		return Decision{}
	}
	return p.exports.decidePattern(subject, queue)
}

// ExportFilter is [Permissions.Filter] for a subscription that CanExport allowed.
func (p *RoutePermissions) ExportFilter(subject, queue string) *Filter {
	if p == nil {
		return nil
	}
	return p.exports.filter(subject, queue)
}

// direction is one compiled [List]. Its zero value allows everything.
type direction struct {
	allow, deny           ruleSet    // entries without a queue
	allowQueue, denyQueue queueRules // entries with one
	denied                *Filter    // withholds what deny names; nil if it is empty
	closed                bool       // without entries in allow nothing is allowed
}

// compileList compiles l; queues says whether its entries may name a queue group.
func compileList(l List, queues bool) (d direction, err error) {
	allow, err := parseRules(l.Allow, false, queues)
	if err != nil {
		return direction{}, err
	}
	deny, err := parseRules(l.Deny, true, queues)
	if err != nil {
		return direction{}, err
	}
	d.allow, d.allowQueue = splitRules(allow)
	d.deny, d.denyQueue = splitRules(deny)
	if !d.deny.empty() {
		d.denied = &Filter{deny: []ruleSet{d.deny}}
	}
	return d, nil
}

// decideLiteral decides about one published subject as text.
func (d *direction) decideLiteral(subject []byte) Decision {
	if r := d.deny.find(subject); r != nil {
		return Decision{r, denied}
	}
	if d.allow.empty() && !d.closed {
		return Decision{}
	}
	if r := d.allow.find(subject); r != nil {
		return Decision{r, allowedByRule}
	}
	return Decision{reason: unlisted}
}

// decidePattern decides about a subscription as a whole.
//
// For a queue group, allow entries that name queues and cover the subject decide alone, as in
// nats-server: ["foo", "foo v1"] means any plain subscription on foo, but only the group v1. A deny
// is never overridden.
func (d *direction) decidePattern(subject, queue string) Decision {
	if r := d.deny.cover(subject); r != nil {
		return Decision{r, denied}
	}
	if r := d.denyQueue.cover(subject, queue); r != nil {
		return Decision{r, denied}
	}
	if d.allow.empty() && d.allowQueue.all.empty() {
		return Decision{}
	}
	if queue != "" {
		if r := d.allowQueue.cover(subject, queue); r != nil {
			return Decision{r, allowedByRule}
		}
		if r := d.allowQueue.all.cover(subject); r != nil {
			return Decision{r, otherQueues}
		}
	}
	if r := d.allow.cover(subject); r != nil {
		return Decision{r, allowedByRule}
	}
	return Decision{reason: unlisted}
}

// filter returns what an accepted subscription must not be delivered, or nil.
func (d *direction) filter(subject, queue string) *Filter {
	if sublist.IsLiteral(subject) {
		return nil // accepted as a whole, and it has no parts
	}
	plain := d.denied != nil && d.deny.overlaps(subject)
	if f := d.queueFilter(subject, queue); f != nil {
		if plain {
			f.deny = append(f.deny, d.deny)
		}
		return f
	}
	if plain {
		return d.denied
	}
	return nil
}

// queueFilter returns a filter with the entries that speak of queue groups and of parts of subject;
// nil if they withhold nothing from queue.
func (d *direction) queueFilter(subject, queue string) *Filter {
	if queue == "" {
		return nil
	}
	var f Filter
	for _, s := range d.denyQueue.of(queue) {
		if s.overlaps(subject) {
			f.deny = append(f.deny, s)
		}
	}
	if d.allowQueue.cover(subject, queue) == nil && d.allowQueue.overlapsOthers(subject, queue) {
		f.queues, f.own = d.allowQueue.all, d.allowQueue.of(queue)
	}
	if len(f.deny) == 0 && f.queues.empty() {
		return nil
	}
	return &f
}

// withheld returns the entries that withhold messages from an accepted subscription, as text.
func (d *direction) withheld(subject, queue string) (entries []string) {
	for _, r := range slices.Concat(d.deny.rules, d.denyQueue.all.rules) {
		if sublist.Overlap(subject, r.subject) && (r.queue == "" || queue != "" && sublist.Matches(r.queue, queue)) {
			entries = append(entries, r.String())
		}
	}
	if queue == "" || d.allowQueue.cover(subject, queue) != nil {
		return entries
	}
	for _, r := range d.allowQueue.all.rules {
		if sublist.Overlap(subject, r.subject) && !sublist.Matches(r.queue, queue) {
			entries = append(entries, r.String()+" of other queue groups")
		}
	}
	return entries
}

// Filter withholds single messages from a subscription that was accepted although parts of it are
// denied. It does not change and may be shared. A queue group must pick another member for a
// message that is withheld from one.
type Filter struct {
	deny   []ruleSet // withheld
	queues ruleSet   // reserved for queue groups: withheld unless own matches too
	own    []ruleSet

	response *Response // what a message that is delivered allows the peer; nil for nothing
}

// noting returns a copy of f, which may be nil, that has a response.
func (f *Filter) noting(r *Response) *Filter {
	if f == nil {
		return nil
	}
	noting := *f
	noting.response = r
	return &noting
}

// Response returns what each message that is delivered allows the peer to publish to its reply
// subject, nil for nothing.
func (f *Filter) Response() *Response { return f.response }

// Blocks reports whether a message on subject must not be delivered.
func (f *Filter) Blocks(subject []byte) bool {
	return anyMatches(f.deny, subject) || f.queues.find(subject) != nil && !anyMatches(f.own, subject)
}

// anyMatches reports whether a rule of one of the sets matches subject.
func anyMatches(sets []ruleSet, subject []byte) bool {
	for i := range sets {
		if sets[i].find(subject) != nil {
			return true
		}
	}
	return false
}

// unlimited returns one warning for each direction in which r allows everything because it has no
// entries. who names the owner: `user "bob"`.
func unlimited(who string, r *Rules) []Warning {
	if r == nil {
		return nil
	}
	var warnings []Warning
	for _, d := range []struct {
		name, verb string
		open       bool
	}{{"publish", "publish", r.Publish.empty() && r.Response == nil}, {"subscribe", "subscribe to", r.Subscribe.empty()}} {
		if d.open {
			warnings = append(warnings, Warning{fmt.Sprintf(
				"Permissions of %s have no %s entries: it may %s every subject", who, d.name, d.verb), r.At})
		}
	}
	return warnings
}
