package access

import (
	"strings"

	"gnatsd/sublist"
)

// ExplainPublish says whether subject may be published, and which rule decides.
func (p *Permissions) ExplainPublish(subject string) string {
	return explainDecision(p.CanPublish([]byte(subject)))
}

// ExplainSubscribe says whether a subscription is allowed, which rule decides, and which messages
// are withheld from it. queue is "" for a plain one.
func (p *Permissions) ExplainSubscribe(subject, queue string) string {
	if !sublist.ValidSubject(subject) {
		return "refused: not a valid subject to subscribe to"
	}
	d := p.CanSubscribe(subject, queue)
	f := p.Filter(subject, queue)
	if !d.Allowed() || f == nil {
		return explainDecision(d)
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
	return explainDecision(d) + "; messages are withheld that match " + strings.Join(withheld, ", ")
}

func explainDecision(d Decision) string {
	if d.Allowed() {
		return "allowed: " + d.String()
	}
	return "refused: " + d.String()
}
