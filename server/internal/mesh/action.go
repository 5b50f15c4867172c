package mesh

import "time"

// ActionKind says what is to be done.
type ActionKind uint8

const (
	Dial     ActionKind = iota // Attempt; then Dialed, DialFailed, AddrsShared or AddrsAvoided; for a pool MemberDialed or MemberFailed
	Close                      // Link, for Reason; then Closed
	Register                   // Link, as the route to its server
	Probe                      // Link: send something that its peer answers at once
	Forward                    // to Link: INFO of the server behind Of
	Withdraw                   // to Link: the route to Server is lost
	Join                       // Link, as a member of the pool of Of, with a Number
	Retire                     // Link, a member of a pool: the other server leaves it too, then it is closed
	Promote                    // Link, a member of a pool, as the route to its server

	// The following are lines of the log about Link.
	LogRemoved          // Target is not configured any more
	LogDuplicate        // it is a second connection to Server
	LogSelf             // Target leads to this server
	LogReconnect        // Target is dialed again
	LogAlreadyConnected // it is not dialed again: there is a route to Server
)

// Action is one thing that is to be done. Which fields are set depends on its kind.
type Action struct {
	Kind    ActionKind
	Link    uint64
	Of      uint64 // another link
	Server  string // server id
	Reason  Reason
	Target  *Target
	Attempt *Attempt
	Pool    string // id of the pool that a route opens; "" if it opens none
	Number  int    // of a link in its pool
}

// Reason is why a link is closed.
type Reason uint8

const (
	DuplicateRoute Reason = iota // there is another link to the same server
	StaleRoute                   // its peer did not answer
	RemovedRoute                 // its target is not configured any more
	RenewedRoute                 // [Mesh.Reconnect] was called
	SelfRoute                    // it leads to this server
)

// Attempt is what is to be known to dial a target.
type Attempt struct {
	Target *Target
	Addr   string   // host:port; of a name every address may be tried
	Avoid  []string // addresses behind the name that are not to be dialed
	// Names are those that the certificate of an advertised server may have besides its address,
	// which certificates often do not have: the names of configured routes.
	Names []string

	// OwnCredentials says to show the credentials that this server asks for itself: the target
	// has none of its own, and others said that it requires some.
	OwnCredentials bool

	Failures int           // attempts in a row that failed before this one
	Timeout  time.Duration // for each address
	Seed     uint64        // decides the order in which addresses are tried

	// Of a link that is to join a pool.
	Member int    // its number in the pool; 0 = none
	PoolID string // of the pool
	At     string // the address to dial: where the first link was dialed
	peer   string // server id
	pool   *pool
}
