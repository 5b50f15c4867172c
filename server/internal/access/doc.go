// Package access decides who may connect to a listener, and what a peer may do there.
//
// A [Policy] is compiled from the [Settings] of one listener. It checks the [Credentials] of a peer
// and returns its [Identity], and revalidates it after a reload. Secrets are compared by a
// [Verifier], in a time that says nothing about them.
//
// [Permissions] are compiled from [Rules]. They answer for every publication and subscription with
// a [Decision], which names the rule behind it, and a [Filter] withholds single messages from a
// subscription that is allowed as a whole. [RoutePermissions] do the same for the interest that
// crosses the routes of a cluster. [Explain] shows an operator what they decide.
//
// Compiled values do not change and are safe for concurrent use. What is asked for every message
// takes no lock and allocates nothing. The package knows subjects as text; it knows neither
// connections nor the protocol.
package access
