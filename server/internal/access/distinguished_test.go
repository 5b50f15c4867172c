package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strconv"
	"strings"
	"testing"
)

// testAttribute is one attribute of a name to be encoded.
type testAttribute struct{ oid, value string }

// derName encodes a name, first RDN first, as certificates do.
func derName(t testing.TB, rdns [][]testAttribute) []byte {
	t.Helper()
	var seq pkix.RDNSequence
	for _, rdn := range rdns {
		var set pkix.RelativeDistinguishedNameSET
		for _, a := range rdn {
			var oid asn1.ObjectIdentifier
			for arc := range strings.SplitSeq(a.oid, ".") {
				n, err := strconv.Atoi(arc)
				if err != nil {
					t.Fatal(err)
				}
				oid = append(oid, n)
			}
			set = append(set, pkix.AttributeTypeAndValue{Type: oid, Value: a.value})
		}
		seq = append(seq, set)
	}
	der, err := asn1.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestConfiguredNamesMatchSubjects(t *testing.T) {
	t.Parallel()
	const cn, o, ou, uid, dc = "2.5.4.3", "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.1", "0.9.2342.19200300.100.1.25"
	example := [][]testAttribute{{{dc, "net"}}, {{dc, "example"}}}
	with := func(rdns ...[]testAttribute) [][]testAttribute {
		return append(append([][]testAttribute{}, example...), rdns...)
	}
	for _, tt := range []struct {
		name, text string
		subject    [][]testAttribute
		want       bool
	}{
		{"RFC 4514: plain", "UID=jsmith,DC=example,DC=net", with([]testAttribute{{uid, "jsmith"}}), true},
		{"RFC 4514: several attributes", "OU=Sales+CN=J.  Smith,DC=example,DC=net", with([]testAttribute{{ou, "Sales"}, {cn, "J.  Smith"}}), true},
		{"attributes of one RDN are a set", "CN=J.  Smith+OU=Sales,DC=example,DC=net", with([]testAttribute{{ou, "Sales"}, {cn, "J.  Smith"}}), true},
		{"RFC 4514: quotes", `CN=James \"Jim\" Smith\, III,DC=example,DC=net`, with([]testAttribute{{cn, `James "Jim" Smith, III`}}), true},
		{"RFC 4514: carriage return", `CN=Before\0dAfter,DC=example,DC=net`, with([]testAttribute{{cn, "Before\rAfter"}}), true},
		{"RFC 4514: hexadecimal", "1.3.6.1.4.1.1466.0=#0C024869", [][]testAttribute{{{"1.3.6.1.4.1.1466.0", "Hi"}}}, true},
		{"RFC 4514: UTF-8", `CN=Lu\C4\8Di\C4\87`, [][]testAttribute{{{cn, "Lučić"}}}, true},
		{"UTF-8 unescaped", `CN=Lučić`, [][]testAttribute{{{cn, "Lučić"}}}, true},
		{"keywords in any case, blanks around", "cn = bob, o=Example ", [][]testAttribute{{{o, "Example"}}, {{cn, "bob"}}}, true},
		{"an empty value", "CN=,O=Example", [][]testAttribute{{{o, "Example"}}, {{cn, ""}}}, true},
		{"hexadecimal with more behind it", "CN=#0C024869FF", [][]testAttribute{{{cn, "Hi"}}}, false},
		{"dotted types", "2.5.4.3=bob", [][]testAttribute{{{cn, "bob"}}}, true},
		{"an escaped blank at the end counts", `CN=bob\ `, [][]testAttribute{{{cn, "bob "}}}, true},
		{"an unescaped one does not", `CN=bob `, [][]testAttribute{{{cn, "bob "}}}, false},
		{"order counts", "O=Example,CN=bob", [][]testAttribute{{{o, "Example"}}, {{cn, "bob"}}}, false},
		{"letters count", "CN=Bob", [][]testAttribute{{{cn, "bob"}}}, false},
		{"a shorter name is another", "CN=bob", [][]testAttribute{{{o, "Example"}}, {{cn, "bob"}}}, false},
		{"a longer name is another", "CN=bob,O=Example", [][]testAttribute{{{cn, "bob"}}}, false},
		{"two RDNs are not one", "CN=bob,O=Example", [][]testAttribute{{{o, "Example"}, {cn, "bob"}}}, false},
		{"separators in a value stay there", `CN=bob\,O=Example`, [][]testAttribute{{{o, "Example"}}, {{cn, "bob"}}}, false},
		{"a value cannot pose as two RDNs", "CN=bob,O=Example", [][]testAttribute{{{cn, "bob,O=Example"}}}, false},
		{"a value cannot pose as quoted", "CN=bob,O=Example", [][]testAttribute{{{cn, `bob",2.5.4.10="Example`}}}, false},
		{"a NUL does not end a value", "CN=bob", [][]testAttribute{{{cn, "bob\x00eve"}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, ok := canonicalDN(tt.text)
			if !ok {
				t.Fatalf("%s does not parse", tt.text)
			}
			subject, ok := subjectDN(derName(t, tt.subject))
			if !ok {
				t.Fatal("the subject does not parse")
			}
			if (text == subject) != tt.want {
				t.Errorf("%s and %s: equal = %v", text, subject, !tt.want)
			}
		})
	}
}

func TestWhatIsNoDistinguishedName(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "bob", "=", "=x", "a=b@example.com", "CN", "CN=bob,", "CN=bob+", "CN=bob,O", `CN=bob\`, `CN=bob\z`, `CN=bob\4`,
		"CN=#", "CN=#0", "CN=#zz", `CN=bob\zz`, `CN=bob\4zeve`, "2.4294967296=x", `CN="bob"`, "CN=a<b", "CN=a;b", "3=x", "1..2=x", "01.2=x", "1.-2=x", `CN=\ff`, "CN=a\x00",
	} {
		if c, ok := canonicalDN(text); ok {
			t.Errorf("%q is taken for %s", text, c)
		}
	}
	name := derName(t, [][]testAttribute{{{"2.5.4.3", "bob"}}})
	for _, raw := range [][]byte{nil, {}, {0x30, 0x00}, {0x30, 0x03}, []byte("CN=bob"), append(name, 0), append(name, name...)} {
		if c, ok := subjectDN(raw); ok {
			t.Errorf("%x is taken for %q", raw, c)
		}
	}
}

func TestValuesThatAreNoTextAreHexadecimal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"CN=#020105": "2.5.4.3=#020105", "CN=#05": "2.5.4.3=#05", "CN=#0C0248690C": "2.5.4.3=#0c0248690c"} {
		if got, ok := canonicalDN(text); got != want || !ok {
			t.Errorf("%s: got %s, %v, want %s", text, got, ok, want)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	f.Add(`CN=James \"Jim\" Smith\, III,DC=example,DC=net`, []byte{0x30, 0})
	f.Add(`2.5.4.3=#0C024869+OU=x`, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		if c, ok := canonicalDN(text); ok && c == "" {
			t.Errorf("%q is the empty name", text)
		}
		if c, ok := subjectDN(raw); ok {
			if _, err := x509.ParseCertificate(raw); err == nil || c == "" {
				t.Errorf("%x is %q", raw, c)
			}
		}
	})
}
