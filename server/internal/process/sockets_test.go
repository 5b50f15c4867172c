package process

import "testing"

func TestSocketsOfSystemd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pid, count string
		want             int
	}{
		{"two for this process", "7", "2", 2},
		{"none", "", "", 0},
		{"those of the parent", "6", "2", 0},
		{"a number that cannot be", "7", "-1", 0},
		{"no number", "7", "x", 0},
		{"too many", "7", "100000", 0},
	} {
		env := func(name string) string { return map[string]string{"LISTEN_PID": tt.pid, "LISTEN_FDS": tt.count}[name] }
		if got := inheritedSockets(7, env); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
