package system

import "strings"

// Prefix begins the subjects of the system account.
const Prefix = "$SYS."

const (
	reqServer  = Prefix + "REQ.SERVER."
	reqAccount = Prefix + "REQ.ACCOUNT."
	// ping stands for the id of every server, or the name of every account.
	ping = "PING"
	// inbox begins the subjects on which the services of servers answer each other. Clients may not
	// publish there.
	inbox = Prefix + "_INBOX."
	// subscribers is the subject of requests for the number of subscribers of a subject.
	subscribers = Prefix + "DEBUG.SUBSCRIBERS"
)

// Pages are the last tokens of requests that are answered with a page of the broker.
var Pages = []string{"VARZ", "CONNZ", "ROUTEZ", "SUBSZ", "HEALTHZ"}

// Actions are the last tokens of requests that make the server do something.
var Actions = []string{"RELOAD", "LDM", "KICK", "REBALANCE"}

// accountRequests are the last tokens of requests about an account. The last two are answered with an
// error.
var accountRequests = []string{"STATZ", "CONNS", "CONNZ", "SUBSZ", "INFO", "LEAFZ", "JSZ"}

// unsupported are the last tokens of requests that nats-server answers and this server cannot.
var unsupported = []string{"JSZ", "RAFTZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "EXPVARZ", "IPQUEUESZ", "PROFILEZ"}

// statsz are the last tokens of requests for the statistics of the server.
var statsz = []string{"STATSZ", "STATZ"}

// Subscription is one that the service needs.
type Subscription struct{ Subject, Queue string }

// Subscriptions returns those that the service of the server with an id needs, which must be made
// for its connection. The sid of each is its index.
func Subscriptions(id string) []Subscription {
	list := []Subscription{{reqServer + ping, ""}, {subscribers, "gnatsd"}, {counts(id), ""}}
	for _, name := range accountRequests {
		list = append(list, Subscription{reqAccount + "*." + name, ""})
	}
	for _, to := range []string{ping, id} {
		for _, names := range [][]string{Pages, statsz, unsupported, {"IDZ"}} {
			for _, name := range names {
				list = append(list, Subscription{reqServer + to + "." + name, ""})
			}
		}
	}
	for _, name := range Actions {
		list = append(list, Subscription{reqServer + id + "." + name, ""})
	}
	return list
}

// counts is the subject of the answers of all servers to a request of the service itself.
func counts(id string) string { return inbox + id }

// mayReply reports whether the service answers on a reply subject. Its answers have every right, and
// a user that may ask need not have any on the subjects of servers: it could make them act, or forge
// events.
func mayReply(subject string) bool {
	switch {
	case subject == "", strings.HasPrefix(subject, "_SYS."):
		return false
	}
	return !strings.HasPrefix(subject, Prefix) || strings.HasPrefix(subject, inbox)
}

// Connect is the subject of events about clients of an account that have logged in.
func Connect(account string) string { return Prefix + "ACCOUNT." + token(account) + ".CONNECT" }

// Disconnect is the subject of events about clients of an account that are gone.
func Disconnect(account string) string { return Prefix + "ACCOUNT." + token(account) + ".DISCONNECT" }

// AuthError is the subject of events about clients that could not log in to a server.
func AuthError(id string) string { return Prefix + "SERVER." + id + ".CLIENT.AUTH.ERR" }

// Shutdown is the subject of the event that a server shuts down.
func Shutdown(id string) string { return Prefix + "SERVER." + id + ".SHUTDOWN" }

// LameDuck is the subject of the event that a server is in lame duck mode.
func LameDuck(id string) string { return Prefix + "SERVER." + id + ".LAMEDUCK" }

// stats is the subject of the statistics that a server publishes.
func stats(id string) string { return Prefix + "SERVER." + id + ".STATSZ" }

// conns are the subjects of events about the number of clients of an account.
func conns(account string) [2]string {
	return [2]string{Prefix + "ACCOUNT." + token(account) + ".SERVER.CONNS", Prefix + "SERVER.ACCOUNT." + token(account) + ".CONNS"}
}

// token returns a name as a token of a subject.
func token(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' {
			return '_'
		}
		return r
	}, name)
}
