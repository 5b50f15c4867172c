// Package system is the service behind the subjects $SYS: it answers requests of operators' tools
// about the server, and publishes events. It is a client of the broker over a connection in memory,
// in the protocol that every client speaks. What it says about the server comes from a [Broker].
package system
