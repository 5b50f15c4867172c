package access

import "encoding/binary"

const (
	// cacheSize is how many subjects a [Cache] holds. It takes 2.5 KiB and the bytes of the
	// subjects.
	cacheSize = 1 << cacheBits
	cacheBits = 6
	// maxCached is the longest subject, in bytes, that is cached.
	maxCached = 128
)

// Cache remembers what was decided about the subjects of the messages that a connection sent
// lately: most send to the same few again, and to recognize one costs less than to compare it with
// the rules. It belongs to the goroutine that reads the connection. The zero value is ready.
type Cache struct {
	permissions *Permissions // whose decisions these are; a reload replaces them
	entries     *[cacheSize]cachedDecision
}

// cachedDecision is the decision on one subject; a free entry has none.
type cachedDecision struct {
	subject  []byte
	decision Decision
}

// CanPublish is p.CanPublish(subject). It allocates nothing for a subject that is cached.
func (c *Cache) CanPublish(p *Permissions, subject []byte) Decision {
	if c.permissions == p && c.entries != nil && cacheable(subject) {
		e := &c.entries[slot(subject)]
		if string(e.subject) == string(subject) {
			return e.decision
		}
	}
	return c.decide(p, subject)
}

// CanImport decides about the subject of a message that a route delivers: interest that was sent
// may overlap a denied subject.
func (c *Cache) CanImport(p *RoutePermissions, subject []byte) Decision {
	if p == nil {
		return Decision{}
	}
	return c.CanPublish(&p.imports, subject)
}

// decide finds a decision that is not cached, and caches it.
func (c *Cache) decide(p *Permissions, subject []byte) Decision {
	switch {
	case c.entries == nil:
		c.entries = new([cacheSize]cachedDecision)
	case c.permissions != p:
		clear(c.entries[:])
	}
	c.permissions = p
	d := p.CanPublish(subject)
	if cacheable(subject) {
		e := &c.entries[slot(subject)]
		*e = cachedDecision{append(e.subject[:0], subject...), d}
	}
	return d
}

func cacheable(subject []byte) bool { return len(subject) > 0 && len(subject) <= maxCached }

// slot returns the place of a cacheable subject. It looks at the end, the middle and the length:
// that is cheaper than a hash of all bytes, and a peer can spoil its own cache only.
func slot(subject []byte) uint64 {
	n := len(subject)
	if n < 8 {
		return uint64(n+int(subject[n-1])+3*int(subject[n/2])) % cacheSize
	}
	end, middle := binary.LittleEndian.Uint64(subject[n-8:]), binary.LittleEndian.Uint64(subject[n/2-4:])
	const odd1, odd2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93 // random bits
	return (end ^ middle*odd1 + uint64(n)) * odd2 >> (64 - cacheBits)
}
