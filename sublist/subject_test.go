package sublist

import (
	"strings"
	"testing"
)

func TestSubjectGrammar(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, subject            string
		valid, literal, pedantic bool
	}{
		{"one token is valid", "foo", true, true, true},
		{"tokens are split on dots", "foo.bar.baz", true, true, true},
		{"a star is a wildcard", "*", true, false, false},
		{"a star may stand anywhere", "foo.*.bar.*", true, false, false},
		{"a tail is a wildcard", ">", true, false, false},
		{"a tail may come last", "foo.>", true, false, false},
		{"a tail after a star is valid", "*.>", true, false, false},
		{"a tail in front is not valid", ">.foo", false, false, false},
		{"a tail in the middle is not valid", "foo.>.bar", false, false, false},
		{"a tail before an empty token is not valid", "foo.>.", false, false, false},
		{"two tails are not valid", ">.>", false, false, false},
		{"the empty subject is not valid", "", false, true, false},
		{"a dot is not valid", ".", false, true, false},
		{"a last empty token is not valid", "foo.", false, true, false},
		{"a first empty token is not valid", ".foo", false, true, false},
		{"an empty token in the middle is not valid", "foo..bar", false, true, false},
		{"a star at the end of a token is text", "foo*", true, true, true},
		{"a star at the start of a token is text", "*foo.bar", true, true, true},
		{"a tail inside a token is text", "fo>o", true, true, true},
		{"a tail inside the first token is text", "f>.bar", true, true, true},
		{"two tails in one token are text", ">>", true, true, true},
		{"two stars in one token are text", "foo.**", true, true, true},
		{"any printed byte is allowed in a token", "!.~é\x80\xff", true, true, true},
		{"NUL is not valid", "\x00.a", false, true, false},
		{"a blank is not valid", "a b", false, true, false},
		{"a vertical tab is not valid", "evt.x\v2", false, true, false},
		{"a line end is not valid", "a.b\n", false, true, false},
		{"the last control byte below the blank is not valid", "a.\x1fb", false, true, false},
		{"DEL is not valid", "*.\x7f", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidSubject(tt.subject); got != tt.valid {
				t.Errorf("ValidSubject(%q) = %v, want %v", tt.subject, got, tt.valid)
			}
			if got := IsLiteral(tt.subject); got != tt.literal {
				t.Errorf("IsLiteral(%q) = %v, want %v", tt.subject, got, tt.literal)
			}
			if got := ValidLiteral(tt.subject); got != tt.pedantic {
				t.Errorf("ValidLiteral(%q) = %v, want %v", tt.subject, got, tt.pedantic)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, subject string
		want                   bool
	}{
		{"a literal matches itself", "foo.bar", "foo.bar", true},
		{"case matters", "foo", "Foo", false},
		{"a prefix does not match", "foo", "foo.bar", false},
		{"a star matches one token", "foo.*", "foo.bar", true},
		{"a star does not match two", "foo.*", "foo.bar.baz", false},
		{"a star does not match none", "foo.*", "foo", false},
		{"a tail matches one token", "foo.>", "foo.bar", true},
		{"a tail matches many", "foo.>", "foo.a.b.c", true},
		{"a tail does not match none", "foo.>", "foo", false},
		{"a tail alone matches everything", ">", "a.b.c", true},
		{"a published star is text for a literal", "foo.bar", "foo.*", false},
		{"a published star matches a star", "foo.*", "foo.*", true},
		{"a published tail matches a tail", "foo.>", "foo.>", true},
		{"a published tail is one token", "foo.*.bar", "foo.>.bar", true},
		{"a star matches a last empty token", "foo.*", "foo.", true},
		{"a star matches an empty token in the middle", "foo.*.bar", "foo..bar", true},
		{"a tail alone matches a dot", ">", ".", true},
		{"a tail alone matches the empty subject", ">", "", true},
		{"a tail that is not last is text", "foo.>.bar", "foo.x.bar", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Matches(tt.pattern, tt.subject); got != tt.want {
				t.Errorf("Matches(%q, %q) = %v, want %v", tt.pattern, tt.subject, got, tt.want)
			}
		})
	}
}

// every returns all sequences of one to depth tokens from alphabet that keep accepts.
func every(depth int, alphabet []string, keep func(string) bool) []string {
	var all []string
	level := []string{""}
	for range depth {
		var next []string
		for _, prefix := range level {
			for _, token := range alphabet {
				next = append(next, strings.TrimPrefix(prefix+"."+token, "."))
			}
		}
		for _, s := range next {
			if keep(s) {
				all = append(all, s)
			}
		}
		level = next
	}
	return all
}

// matchesObvious is what Matches says, by another way: it compares lists of tokens.
func matchesObvious(pattern, subject []string) bool {
	for i, p := range pattern {
		switch {
		case i >= len(subject):
			return false
		case p == ">" && i == len(pattern)-1:
			return true
		case p != "*" && p != subject[i]:
			return false
		}
	}
	return len(pattern) == len(subject)
}

// TestPatternsAgainstEverySubject compares Matches, Subset and Overlap with the sets of subjects
// they speak about. "c" stands for all the tokens no pattern has, and one token more than the
// deepest pattern for all the longer subjects.
func TestPatternsAgainstEverySubject(t *testing.T) {
	t.Parallel()
	patterns := every(4, []string{"a", "b", "*", ">"}, ValidSubject)
	subjects := every(5, []string{"a", "b", "c"}, ValidSubject)
	words := (len(subjects) + 63) / 64
	sets := make([][]uint64, len(patterns)) // bit per subject
	for i, p := range patterns {
		sets[i] = make([]uint64, words)
		for j, s := range subjects {
			want := matchesObvious(strings.Split(p, "."), strings.Split(s, "."))
			if got := Matches(p, s); got != want {
				t.Fatalf("Matches(%q, %q) = %v, want %v", p, s, got, want)
			}
			if want {
				sets[i][j/64] |= 1 << (j % 64)
			}
		}
	}
	for i, a := range patterns {
		for j, b := range patterns {
			subset, overlap := true, false
			for k := range words {
				subset = subset && sets[i][k]&^sets[j][k] == 0
				overlap = overlap || sets[i][k]&sets[j][k] != 0
			}
			if got := Subset(a, b); got != subset {
				t.Fatalf("Subset(%q, %q) = %v, want %v", a, b, got, subset)
			}
			if got := Overlap(a, b); got != overlap {
				t.Fatalf("Overlap(%q, %q) = %v, want %v", a, b, got, overlap)
			}
		}
	}
}

func FuzzGrammar(f *testing.F) {
	for _, s := range []string{"", ".", "foo", "foo.*", "foo.>", ">.foo", "foo..bar", "*.>", ">>", "f*.b", "a b", "a\x7f.b", "é"} {
		f.Add(s, "foo.bar")
		f.Add("foo.>", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		checkGrammar(t, a)
		checkGrammar(t, b)
		if Overlap(a, b) != Overlap(b, a) {
			t.Errorf("Overlap(%q, %q) depends on the order", a, b)
		}
		if want := matchesObvious(strings.Split(a, "."), strings.Split(b, ".")); Matches(a, b) != want {
			t.Errorf("Matches(%q, %q) = %v, want %v", a, b, !want, want)
		}
		if IsLiteral(b) && (Matches(a, b) != Subset(b, a) || Matches(a, b) != Overlap(a, b)) {
			t.Errorf("for literal %q, Matches, Subset and Overlap with %q differ", b, a)
		}
		if Subset(a, b) && !Overlap(a, b) {
			t.Errorf("%q is a subset of %q but does not overlap it", a, b)
		}
		if Matches(a, b) && !Overlap(a, b) {
			t.Errorf("%q matches %q but does not overlap it", a, b)
		}
	})
}

// checkGrammar compares what is said about s with its list of tokens.
func checkGrammar(t *testing.T, s string) {
	t.Helper()
	valid, literal, empty, text := true, true, false, true
	for i := range len(s) {
		text = text && s[i] > ' ' && s[i] != 0x7f
	}
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		empty = empty || token == ""
		literal = literal && token != "*" && token != ">"
		valid = valid && (token != ">" || i == len(tokens)-1)
	}
	if got, want := ValidSubject(s), valid && !empty && text; got != want {
		t.Errorf("ValidSubject(%q) = %v, want %v", s, got, want)
	}
	if got := IsLiteral(s); got != literal {
		t.Errorf("IsLiteral(%q) = %v, want %v", s, got, literal)
	}
	if got, want := ValidLiteral(s), literal && !empty && text; got != want {
		t.Errorf("ValidLiteral(%q) = %v, want %v", s, got, want)
	}
	if !Matches(s, s) || !Subset(s, s) || !Overlap(s, s) {
		t.Errorf("%q does not match, contain and overlap itself", s)
	}
}
