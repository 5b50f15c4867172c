//go:build unix && !linux

package server

// writeSegs writes segments as far as the socket takes them.
func writeSegs(fd int, segs []seg) (int, error) { return writeEach(fd, segs) }
