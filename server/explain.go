package server

import (
	"fmt"
	"strings"

	"gnatsd/server/internal/admission"
)

// explainUsage is what --explain wants.
const explainUsage = "want user=NAME and pub=SUBJECT or sub=SUBJECT, the latter also with queue=NAME"

// question is what --explain is asked.
type question struct {
	user, pub, sub, queue string
}

// Explain answers what the permissions in o make of an action, and names the
// rule that decides. The arguments are those of `gnatsd --explain`, such as
// "user=bob" and "pub=req.foo"; "sub" and "queue" ask about a subscription.
func Explain(o *Options, args []string) (string, error) {
	q, err := parseQuestion(args)
	if err != nil {
		return "", err
	}
	set, _, err := compileAuth(clientAuth(o), newVerifier(admission.NewLimiter(1)))
	if err != nil {
		return "", err
	}
	acc, err := set.named(q.user)
	if err != nil {
		return "", err
	}
	who := fmt.Sprintf("user %q", q.user)
	if q.user == "" {
		who = "anybody"
	}
	switch {
	case q.pub != "":
		return fmt.Sprintf("%s, publish to %q: %s", who, q.pub, acc.permissions.ExplainPublish(q.pub)), nil
	case q.queue != "":
		return fmt.Sprintf("%s, subscribe to %q in queue %q: %s", who, q.sub, q.queue, acc.permissions.ExplainSubscribe(q.sub, q.queue)), nil
	}
	return fmt.Sprintf("%s, subscribe to %q: %s", who, q.sub, acc.permissions.ExplainSubscribe(q.sub, "")), nil
}

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

// named returns the account that a peer with this name has; "" is one that
// names nobody.
func (a *authSet) named(user string) (*account, error) {
	switch a.mode {
	case authUsers:
		if user == "" && a.visitor != nil {
			return a.visitor, nil
		}
		if acc := a.listed(user); acc != nil {
			return acc, nil
		}
		return nil, fmt.Errorf("explain: no user %q in the list of users", user)
	case authSingle:
		if user != a.one.name {
			return nil, fmt.Errorf("explain: the only user is %q", a.one.name)
		}
	case authHook:
		return nil, fmt.Errorf("explain: a program decides about users, not the configuration")
	}
	return a.one, nil
}
