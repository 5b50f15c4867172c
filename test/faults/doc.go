// Package faults holds tests that break things for real: brokers as processes, each on a machine of
// its own as far as the kernel can pretend one (a network namespace), killed, stopped, cut off and
// moved, their network slow and their clock set, while clients of every kind work. Package check
// judges what the clients of this broker receive; all is counted, for this broker and another one
// in the same way, and printed as a table. The tests need Linux and root, and are skipped elsewhere.
//
// Each test runs itself again in a network and a mount namespace of its own, so nothing of the
// machine is touched and nothing is left behind.
package faults
