package access

import (
	"fmt"
	"slices"
	"strings"

	"gnatsd/server/internal/admission"
	"gnatsd/sublist"
)

// explainUsage is what [Explain] takes.
const explainUsage = "want user=NAME and pub=SUBJECT or sub=SUBJECT, the latter also with queue=NAME"

// question is what [Explain] is asked.
type question struct {
	user, pub, sub, queue string
}

// Explain answers whether a user may do something under s, and names the rule that decides. The
// arguments are such as "user=bob" and "pub=req.foo"; "sub" and "queue" ask about a subscription.
// Without a user they ask about a client without credentials.
func Explain(s Settings, args []string) (text string, allowed bool, err error) {
	q, err := parseQuestion(args)
	if err != nil {
		return "", false, err
	}
	policy, _, err := NewPolicy(s, NewVerifier(admission.NewLimiter(1)))
	if err != nil {
		return "", false, err
	}
	id, err := policy.named(q.user)
	if err != nil {
		return "", false, err
	}
	who := "a client without credentials"
	if q.user != "" {
		who = fmt.Sprintf("user %q", q.user)
	}
	what, answer := "", ""
	switch {
	case q.pub != "":
		what, answer = fmt.Sprintf("publish to %q", q.pub), id.Permissions.explainPublish(q.pub, s.hasSystem())
	case q.queue != "":
		what, answer = fmt.Sprintf("subscribe to %q in queue %q", q.sub, q.queue), id.Permissions.explainSubscribe(q.sub, q.queue)
	default:
		what, answer = fmt.Sprintf("subscribe to %q", q.sub), id.Permissions.explainSubscribe(q.sub, "")
	}
	if id.Limits != nil {
		answer += "; limits: " + id.Limits.String()
	}
	return who + ", " + what + ": " + answer, strings.HasPrefix(answer, answerAllowed), nil
}

// What the answers begin with.
const (
	answerAllowed = "allowed: "
	answerRefused = "refused: "
)

// parseQuestion reads key=value arguments, each given at most once.
func parseQuestion(args []string) (q question, err error) {
	known := map[string]*string{"user": &q.user, "pub": &q.pub, "sub": &q.sub, "queue": &q.queue}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		to := known[key]
		if to == nil || *to != "" || value == "" {
			return q, fmt.Errorf("explain: cannot use %q: %s", arg, explainUsage)
		}
		*to = value
	}
	if (q.pub == "") == (q.sub == "") || q.pub != "" && q.queue != "" {
		return q, fmt.Errorf("explain: %s", explainUsage)
	}
	return q, nil
}

// named returns the identity of peers that log in with this name; "" is a peer without credentials.
func (p *Policy) named(user string) (*Identity, error) {
	switch p.mode {
	case modeUsers:
		if user == "" && p.noAuthUser != nil {
			return p.noAuthUser, nil
		}
		if id := p.listed(user); id != nil {
			return id, nil
		}
		return nil, fmt.Errorf("explain: no user %q in the list of users", user)
	case modeSingle:
		if user != p.single.Name {
			return nil, fmt.Errorf("explain: the only user is %q", p.single.Name)
		}
	case modeHook:
		return nil, fmt.Errorf("explain: a program decides about users, not the configuration")
	}
	return p.single, nil
}

// hasSystem reports whether the server has a system account that has users.
func (s *Settings) hasSystem() bool {
	return slices.ContainsFunc(s.Users, func(u User) bool { return u.System })
}

// explainPublish says whether subject may be published, and which rule decides. hasSystem says that
// the server does what subjects of the system account ask it.
func (p *Permissions) explainPublish(subject string, hasSystem bool) string {
	if !sublist.ValidSubject(subject) {
		return answerRefused + "not a valid subject to publish to"
	}
	d := p.CanPublish([]byte(subject))
	if d.OfSystem() && hasSystem {
		d = p.CanAsk([]byte(subject))
	}
	text := explainDecision(d)
	if !d.Allowed() && p.CanRespond([]byte(subject)) {
		text += ", except as the reply subject of a message that was received (allow_responses)"
	}
	return text
}

// explainSubscribe says whether a subscription is allowed, which rule decides, and which messages
// are withheld from it. queue is "" for a plain one.
func (p *Permissions) explainSubscribe(subject, queue string) string {
	if !sublist.ValidSubject(subject) {
		return answerRefused + "not a valid subject to subscribe to"
	}
	if !sublist.ValidText(queue) {
		return "refused: not a valid queue"
	}
	d := p.CanSubscribe(subject, queue)
	if !d.Allowed() || p == nil {
		return explainDecision(d)
	}
	withheld := p.subscribe.withheld(subject, queue)
	if len(withheld) == 0 {
		return explainDecision(d)
	}
	return explainDecision(d) + "; messages are withheld that match " + strings.Join(withheld, ", ")
}

func explainDecision(d Decision) string {
	if d.Allowed() {
		return answerAllowed + d.String()
	}
	return answerRefused + d.String()
}
