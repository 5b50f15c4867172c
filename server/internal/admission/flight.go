package admission

import "bytes"

// flight follows the records of TLS that a peer sends in its handshake, and says when crypto/tls has
// something to compute: after a whole record that completes a message, or that is encrypted. It looks
// at lengths and types only and keeps no more than a header. What is wrong with the records is found
// by crypto/tls, which gets every byte at once and bounds what it keeps.
type flight struct {
	record  [recordHeader]byte // the header of a record, as far as it has come
	nRecord int
	left    int // of the record that follows its header

	message  [messageHeader]byte // the header of a message that is not encrypted
	nMessage int
	body     int // of the message, what has not come yet

	whole  int  // messages that the record has completed so far
	hello  bool // a ClientHello is among what was received last
	begun  bool // there was a ClientHello
	sealed bool // records of every type are encrypted
	retry  bool // another ClientHello was asked for: the version is 1.3
	broken bool // crypto/tls does not read on
}

// What RFC 8446 says of records and messages, see its sections 4 and 5.1.
const (
	recordHeader      = 5
	messageHeader     = 4
	recordCipherSpec  = 20
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23 // what is encrypted in version 1.3
	clientHello       = 1
	serverHello       = 2

	// maxRecord is the longest record that crypto/tls accepts, and maxVersion the first byte of a
	// version that it takes for no TLS.
	maxRecord  = 16384 + 2048
	maxVersion = 0x10
)

// helloRetryRequest is the random of a ServerHello that asks for another ClientHello. See RFC 8446,
// section 4.1.3.
var helloRetryRequest = []byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// received follows what the peer has sent next. It returns how many messages and encrypted records
// can be computed with it, and whether some of them follow a ClientHello: these are computed after
// the answer to it, without another read.
func (f *flight) received(b []byte) (work int, ahead bool) {
	f.hello = false
	for len(b) > 0 {
		if f.nRecord < recordHeader {
			n := copy(f.record[f.nRecord:], b)
			f.nRecord += n
			b = b[n:]
			if f.nRecord < recordHeader {
				break
			}
			if f.beginRecord(); f.broken {
				break
			}
		}
		n := min(f.left, len(b))
		f.left -= n
		f.payload(b[:n])
		b = b[n:]
		if f.left == 0 {
			work += f.endRecord()
		}
	}
	return work, f.hello && work > 1
}

// beginRecord looks at the header of a record.
func (f *flight) beginRecord() {
	f.left = int(f.record[3])<<8 | int(f.record[4])
	first := f.begun || f.record[0] == recordHandshake || f.record[0] == recordAlert
	f.broken = !first || f.left > maxRecord || f.record[1] >= maxVersion
}

// plain reports whether the record has messages that are not encrypted.
func (f *flight) plain() bool { return f.record[0] == recordHandshake && !f.sealed }

// payload follows the messages in a part of a record.
func (f *flight) payload(b []byte) {
	if !f.plain() {
		return
	}
	for len(b) > 0 {
		if f.nMessage < messageHeader {
			n := copy(f.message[f.nMessage:], b)
			f.nMessage += n
			b = b[n:]
			if f.nMessage < messageHeader {
				return
			}
			f.body = int(f.message[1])<<16 | int(f.message[2])<<8 | int(f.message[3])
		}
		n := min(f.body, len(b))
		f.body -= n
		b = b[n:]
		if f.body == 0 {
			f.endMessage()
		}
	}
}

// endMessage counts a message. The first one must be a ClientHello.
func (f *flight) endMessage() {
	if f.message[0] == clientHello {
		f.begun, f.hello = true, true
	}
	if f.begun {
		f.whole++
	}
	f.nMessage = 0
}

// endRecord returns how much there is to compute with the record that is complete.
func (f *flight) endRecord() (work int) {
	switch {
	case f.plain():
		work = f.whole
	case f.record[0] == recordCipherSpec:
		f.sealed = !f.retry
	case f.sealed || f.record[0] == recordApplication:
		work = 1
	}
	f.nRecord, f.whole = 0, 0
	return work
}

// answer is what crypto/tls sends.
type answer uint8

const (
	someAnswer   answer = iota
	anotherHello        // a part of what only asks for another ClientHello
	refused             // the handshake has failed
)

// sent looks at an answer.
func (f *flight) sent(b []byte) answer {
	const random = recordHeader + messageHeader + 2
	switch {
	case len(b) == 0:
	case b[0] == recordAlert:
		return refused
	case b[0] == recordCipherSpec && f.retry:
		return anotherHello
	case b[0] == recordHandshake && len(b) > random && b[recordHeader] == serverHello && bytes.HasPrefix(b[random:], helloRetryRequest):
		f.retry, f.sealed = true, false
		return anotherHello
	}
	return someAnswer
}
