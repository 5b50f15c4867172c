// Package soak holds a test that runs a cluster of three processes for a long time: clients of every
// kind, reloads, certificates that are renewed, routes that break and stall. What clients receive is
// judged by package check. After each round the clients leave, and what the servers hold is measured:
// connections, subscriptions, goroutines and descriptors must be back where they began, and memory
// must not grow. `make soak DURATION=1h` runs it, and writes the curve of memory.
package soak
