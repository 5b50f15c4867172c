//go:build unix && !linux

package netio

// writeSegments writes segments as far as the socket takes them.
func writeSegments(fd int, segs []Segment) (int, error) { return writeEach(fd, segs) }
