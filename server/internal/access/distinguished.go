package access

import (
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Distinguished names, so that a certificate's subject can name a user. Both the configured text
// (RFC 4514) and the certificate (DER) are brought to one canonical form and compared exactly: same
// attributes, same order, same letters. Nothing is ignored, because what is ignored can be forged.

// attributeTypes are the keywords of RFC 4514 and the usual others.
var attributeTypes = map[string]string{
	"CN":           "2.5.4.3",
	"SN":           "2.5.4.4",
	"SERIALNUMBER": "2.5.4.5",
	"C":            "2.5.4.6",
	"L":            "2.5.4.7",
	"ST":           "2.5.4.8",
	"STREET":       "2.5.4.9",
	"O":            "2.5.4.10",
	"OU":           "2.5.4.11",
	"TITLE":        "2.5.4.12",
	"POSTALCODE":   "2.5.4.17",
	"GIVENNAME":    "2.5.4.42",
	"UID":          "0.9.2342.19200300.100.1.1",
	"DC":           "0.9.2342.19200300.100.1.25",
	"EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// derAttribute and derRelativeSET are the DER of one RDN; encoding/asn1 knows by the suffix SET
// what it is.
type (
	derAttribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	derRelativeSET []derAttribute
)

// subjectDN returns the canonical form of a certificate's subject; false if it is empty or not a
// name.
func subjectDN(raw []byte) (string, bool) {
	var rdns []derRelativeSET
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 || len(rdns) == 0 {
		return "", false
	}
	var canonical []string
	for _, rdn := range slices.Backward(rdns) { // RFC 4514 writes the last first
		var attributes []string
		for _, a := range rdn {
			attributes = append(attributes, a.Type.String()+"="+canonicalDER(a.Value.FullBytes))
		}
		canonical = append(canonical, joinRelative(attributes))
	}
	return strings.Join(canonical, ","), true
}

// canonicalDER quotes a string of any ASN.1 string type and shows anything else in hexadecimal.
func canonicalDER(der []byte) string {
	var s string
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) > 0 {
		return "#" + hex.EncodeToString(der)
	}
	return strconv.Quote(s)
}

// joinRelative joins the attributes of one RDN, which is a set.
func joinRelative(attributes []string) string {
	slices.Sort(attributes)
	return strings.Join(attributes, "+")
}

// canonicalDN returns the canonical form of a name written as in RFC 4514, `CN=Joe\,
// Jr.,OU=broker+UID=7,DC=example`; false if it is not one.
func canonicalDN(text string) (string, bool) {
	var canonical, attributes []string
	for text != "" {
		attribute, end, rest, ok := cutAttribute(text)
		if !ok {
			return "", false
		}
		attributes = append(attributes, attribute)
		if end != '+' {
			canonical = append(canonical, joinRelative(attributes))
			attributes = nil
		}
		if end != 0 && rest == "" {
			return "", false
		}
		text = rest
	}
	return strings.Join(canonical, ","), len(canonical) > 0
}

// cutAttribute parses one type=value from the front of text. end is the ',' or '+' after it, or 0.
func cutAttribute(text string) (attribute string, end byte, rest string, ok bool) {
	key, text, found := strings.Cut(text, "=")
	if !found {
		return "", 0, "", false
	}
	kind, ok := attributeType(strings.Trim(key, " "))
	if !ok {
		return "", 0, "", false
	}
	text = strings.TrimLeft(text, " ")
	n := valueLength(text)
	value := text[:n]
	if n < len(text) {
		end, rest = text[n], text[n+1:]
	}
	if strings.HasPrefix(value, "#") {
		der, err := hex.DecodeString(strings.TrimRight(value[1:], " "))
		return kind + "=" + canonicalDER(der), end, rest, err == nil && len(der) > 0
	}
	value, ok = unescapeValue(value)
	return kind + "=" + strconv.Quote(value), end, rest, ok
}

// attributeType returns the object identifier of a keyword or dotted number.
func attributeType(key string) (string, bool) {
	if oid, ok := attributeTypes[strings.ToUpper(key)]; ok {
		return oid, true
	}
	arcs := strings.Split(key, ".")
	for _, arc := range arcs {
		if n, err := strconv.ParseUint(arc, 10, 32); err != nil || strconv.FormatUint(n, 10) != arc {
			return "", false
		}
	}
	return key, len(arcs) > 1
}

// valueLength returns the index of the first separator that is not escaped.
func valueLength(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',', '+':
			return i
		}
	}
	return len(text)
}

// unescapeValue undoes the escapes of RFC 4514 and drops blanks at the end that are not escaped.
func unescapeValue(text string) (string, bool) {
	var out []byte
	keep := 0 // up to here blanks were escaped
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case strings.IndexByte("\";<>\x00", c) >= 0:
			return "", false
		case c != '\\':
			out = append(out, c)
			continue
		case i+1 < len(text) && strings.IndexByte(` "#+,;<=>\`, text[i+1]) >= 0:
			out = append(out, text[i+1])
			i++
		case i+2 < len(text):
			b, err := hex.DecodeString(text[i+1 : i+3])
			if err != nil {
				return "", false
			}
			out = append(out, b[0])
			i += 2
		default:
			return "", false
		}
		keep = len(out)
	}
	for len(out) > keep && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	return string(out), utf8.Valid(out)
}
