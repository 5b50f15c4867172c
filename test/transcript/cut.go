package transcript

import (
	"bytes"
	"strconv"
)

// Cutter says into which pieces a send is cut, of the places where it may be. The broker has read
// each piece before the next is written.
type Cutter func(data []byte, places []int) [][]byte

// Whole does not cut.
func Whole(data []byte, _ []int) [][]byte { return [][]byte{data} }

// Everywhere cuts at all places at once.
func Everywhere(data []byte, places []int) (pieces [][]byte) {
	from := 0
	for _, at := range places {
		pieces, from = append(pieces, data[from:at]), at
	}
	return append(pieces, data[from:])
}

// CutAt cuts once, at place k. A send with fewer places is cut at k modulo their number, so that as
// k runs to MostCuts, every send is cut at every place.
func CutAt(k int) Cutter {
	return func(data []byte, places []int) [][]byte {
		if len(places) == 0 {
			return Whole(data, nil)
		}
		at := places[k%len(places)]
		return [][]byte{data[:at], data[at:]}
	}
}

// cutPlaces returns the offsets at which a send is cut in two: every byte of control lines, and
// payloads at their ends and in the middle, as one of their bytes is like another. Of a very long
// control line, which is long with filler, the ends are enough, and some bytes between. The first
// owed bytes of data belong to a payload; stillOwed are those of the next send.
func cutPlaces(data []byte, owed int) (places []int, stillOwed int) {
	const ends, most, stride = 64, 256, 97
	for i := 0; i < len(data); {
		if owed > 0 {
			n := min(owed, len(data)-i)
			for k := range n {
				if k < 2 || k == n/2 || k >= n-2 {
					places = append(places, i+k)
				}
			}
			i, owed = i+n, owed-n
			continue
		}
		line, _, complete := bytes.Cut(data[i:], []byte("\n"))
		n := len(line)
		if complete {
			n, owed = n+1, payloadOf(line)
		}
		for k := range n {
			if n <= most || k < ends || k >= n-ends || k%stride == 0 {
				places = append(places, i+k)
			}
		}
		i += n
	}
	return places[1:], owed // a cut before the first byte is none
}

// payloadOf is the size that a control line announces, or 0.
func payloadOf(line []byte) int {
	f := bytes.Fields(bytes.ToUpper(line))
	if len(f) < 3 || string(f[0]) != "PUB" && string(f[0]) != "HPUB" {
		return 0
	}
	size, err := strconv.Atoi(string(f[len(f)-1]))
	if err != nil || size < 0 {
		return 0
	}
	return size
}
