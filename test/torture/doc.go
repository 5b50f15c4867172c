// Package torture holds tests that let one system call of a broker fail. The broker is the real
// program, unchanged: a filter of the kernel (seccomp) stops it at each call that is of interest, and
// the test decides whether the call is made or fails. A session is played with it: start, clients,
// a route whose address is looked up, a reload, log rotation, monitoring, the end. It is played once
// to count the calls, and then again for each of them, which fails. `make torture` does so for every
// call, `go test` for a sample.
package torture
