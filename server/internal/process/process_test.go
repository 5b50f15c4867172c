package process

import "testing"

func TestOverriddenName(t *testing.T) {
	t.Parallel()
	var o overriddenName
	for _, step := range []struct{ set, want string }{{"broker", "broker"}, {"", "gnatsd"}} {
		o.set(step.set)
		if got := o.get(); got != step.want {
			t.Errorf("set %q: got %q, want %q", step.set, got, step.want)
		}
	}
	if got := new(overriddenName).get(); got != "gnatsd" {
		t.Errorf("unset: got %q, want gnatsd", got)
	}
}
