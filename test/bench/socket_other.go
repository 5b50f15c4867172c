//go:build !unix

package main

import "net"

// socket is a connection; here there is no way past the runtime, and no reader stays awake.
type socket struct{ *net.TCPConn }

func newSocket(conn *net.TCPConn, _ bool) (*socket, error) { return &socket{conn}, nil }

// shut makes the reader see the end of the connection.
func (s *socket) shut() { _ = s.CloseRead() } // fails only if it is closed already
