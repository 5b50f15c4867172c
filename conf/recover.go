package conf

// This file skips to the next pair after an error, so that all errors of a file are reported
// together.

import "strings"

// skipPair skips to where the next pair may start: behind the line, or behind the brackets that are
// open. A brace that closes the map is not consumed.
func (p *parser) skipPair(in context) {
	open := []byte(strings.Repeat("[", p.arrays))
	for {
		if p.atComment() {
			p.skipComment()
		}
		r := p.peek()
		switch {
		case r == endOfText || isNewline(r) && len(open) == 0:
			return
		case r == '[' || r == '{':
			open = append(open, byte(r))
		case r == ']' && len(open) > 0 && open[len(open)-1] == '[':
			open = open[:len(open)-1]
		case r == '}':
			for len(open) > 0 && open[len(open)-1] == '[' {
				open = open[:len(open)-1]
			}
			if len(open) == 0 {
				if in == inFile {
					p.next()
				}
				return
			}
			open = open[:len(open)-1]
		case r == '"' || r == '\'':
			p.skipQuotes(r)
			continue
		}
		p.next()
	}
}

// skipQuotes skips a quoted string that ends in its line, or else the quote alone.
func (p *parser) skipQuotes(quote rune) {
	p.next()
	i := strings.IndexAny(p.text[p.off:], string(quote)+"\r\n")
	if i >= 0 && p.text[p.off+i] == byte(quote) {
		p.off += i + 1
	}
}
