//go:build !unix

package main

import "net"

// blockingSocket is a connection; here there is no way around the runtime.
type blockingSocket struct{ *net.TCPConn }

func newBlockingSocket(conn *net.TCPConn) (blockingSocket, error) { return blockingSocket{conn}, nil }

// shut makes the reader see the end of the connection.
func (b blockingSocket) shut() { _ = b.CloseRead() } // fails only if it is closed already
