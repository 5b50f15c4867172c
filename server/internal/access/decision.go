package access

// Decision is the answer to a publication or a subscription, with the rule that decided. Its zero
// value allows.
type Decision struct {
	rule   *rule // nil if none decided alone
	reason reason
}

// reason is why a [Decision] allows or refuses. Those up to allowedByRule allow.
type reason uint8

const (
	unrestricted  reason = iota // there is no list to comply with
	allowedByRule               // an allow entry covers it
	denied                      // a deny entry covers it
	unlisted                    // no allow entry covers it
	otherQueues                 // allow entries admit other queue groups only
	reserved                    // begins with reservedPrefix
	ofSystem                    // begins with systemPrefix
	ofServers                   // begins with inboxPrefix
)

// Allowed reports whether the peer may do it.
func (d Decision) Allowed() bool { return d.reason <= allowedByRule }

// OfSystem reports whether the subject is for users of the system account, or for the server itself.
func (d Decision) OfSystem() bool { return d.reason == ofSystem }

// NamesQueue reports whether an entry that speaks of queue groups decided.
func (d Decision) NamesQueue() bool { return d.rule != nil && d.rule.queue != "" }

// String returns the reason, for the log and for --explain.
func (d Decision) String() string {
	switch d.reason {
	case unrestricted:
		return "nothing forbids it"
	case unlisted:
		return "no allow entry covers it"
	case otherQueues:
		return d.rule.String() + " admits other queue groups only"
	case reserved:
		return "subjects that begin with " + reservedPrefix + " are reserved"
	case ofSystem:
		return "subjects that begin with " + systemPrefix + " are for users of the system account"
	case ofServers:
		return "subjects that begin with " + inboxPrefix + " are for servers"
	}
	return d.rule.String()
}
