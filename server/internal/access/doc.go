// Package access says what a peer may do: which subjects it may publish and subscribe to, and
// which interest crosses the routes of a cluster.
//
// [Compile] checks the [Rules] of a configuration and indexes them; the [Permissions] that result
// answer for every publication and subscription with a [Decision], which names the rule behind it.
// A [Filter] withholds single messages from a subscription that is allowed as a whole.
//
// Compiled values do not change and are safe for concurrent use. What is asked for every message
// takes no lock and, for a subject that was published lately, allocates nothing. The package knows
// subjects as text; it knows neither connections nor the protocol.
package access
