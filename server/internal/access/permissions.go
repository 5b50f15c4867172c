package access

import (
	"bytes"
	"fmt"
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
	noted     *Filter // of subscriptions of which nothing is withheld, if replies are noted; else nil
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
	}
	noting := *f
	noting.response = p.noted.response
	return &noting
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
	allow, deny           ruleSet // entries without a queue
	allowQueue, denyQueue ruleSet // entries with one
	denied                *Filter // withholds what deny names; nil if it is empty
	closed                bool    // without entries in allow nothing is allowed
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
		d.denied = &Filter{deny: d.deny}
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
	if r := d.denyQueue.coverQueue(subject, queue); r != nil {
		return Decision{r, denied}
	}
	if d.allow.empty() && d.allowQueue.empty() {
		return Decision{}
	}
	if queue != "" {
		if r := d.allowQueue.coverQueue(subject, queue); r != nil {
			return Decision{r, allowedByRule}
		}
		if r := d.allowQueue.cover(subject); r != nil {
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
	if queue == "" || d.allowQueue.empty() && d.denyQueue.empty() {
		if d.denied != nil && d.deny.overlaps(subject) {
			return d.denied
		}
		return nil
	}
	f := d.queueFilter(subject, queue)
	if f.deny.empty() && f.others.empty() {
		return nil
	}
	return f
}

// queueFilter collects the entries that speak of parts of subject for queue.
func (d *direction) queueFilter(subject, queue string) *Filter {
	var deny, others, own []*rule
	for _, r := range d.deny.rules {
		if sublist.Overlap(subject, r.subject) {
			deny = append(deny, r)
		}
	}
	for _, r := range d.denyQueue.rules {
		if sublist.Overlap(subject, r.subject) && sublist.Matches(r.queue, queue) {
			deny = append(deny, r)
		}
	}
	if d.allowQueue.coverQueue(subject, queue) == nil {
		for _, r := range d.allowQueue.rules {
			switch {
			case !sublist.Overlap(subject, r.subject):
			case sublist.Matches(r.queue, queue):
				own = append(own, r)
			default:
				others = append(others, r)
			}
		}
	}
	return &Filter{deny: newRuleSet(deny), others: newRuleSet(others), own: newRuleSet(own)}
}

// Filter withholds single messages from a subscription that was accepted although parts of it are
// denied. It does not change and may be shared. A queue group must pick another member for a
// message that is withheld from one.
type Filter struct {
	deny   ruleSet // withheld
	others ruleSet // reserved for other queue groups, unless own matches too
	own    ruleSet

	response *Response // what a message that is delivered allows the peer; nil for nothing
}

// Response returns what each message that is delivered allows the peer to publish to its reply
// subject, nil for nothing.
func (f *Filter) Response() *Response { return f.response }

// Blocks reports whether a message on subject must not be delivered.
func (f *Filter) Blocks(subject []byte) bool {
	if f.deny.find(subject) != nil {
		return true
	}
	return f.others.find(subject) != nil && f.own.find(subject) == nil
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
