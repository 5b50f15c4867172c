package process

import "testing"

func TestParseStatm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, statm string
		want        int64
		wantErr     string
	}{
		{"the second number counts pages", "405 212 190 6 0 72 0\n", 212 * 4096, ""},
		{"one number is too few", "405\n", 0, `statm: want at least two numbers, have "405\n"`},
		{"a word is no number", "405 x 1\n", 0, `statm: strconv.ParseInt: parsing "x": invalid syntax`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStatm([]byte(tt.statm), 4096)
			if got != tt.want || errText(err) != tt.wantErr {
				t.Errorf("got %d, %v, want %d, %q", got, err, tt.want, tt.wantErr)
			}
		})
	}
}
