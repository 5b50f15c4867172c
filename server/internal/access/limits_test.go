package access

import "testing"

func TestLimitsThatThereAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limits Limits
		want   string // "" for none
		rates  bool
	}{
		{limits: Limits{}},
		{limits: Limits{MaxConnections: -1, MaxSubscriptions: -1, MaxPayload: -1, MaxMsgsPerSecond: -1, MaxBytesPerSecond: -1}},
		{limits: Limits{MaxConnections: 1}, want: "max_connections 1"},
		{limits: Limits{MaxSubscriptions: 1}, want: "max_subscriptions 1"},
		{limits: Limits{MaxPayload: 1}, want: "max_payload 1"},
		{limits: Limits{MaxMsgsPerSecond: 1}, want: "max_msgs_per_second 1", rates: true},
		{limits: Limits{MaxBytesPerSecond: 1}, want: "max_bytes_per_second 1", rates: true},
		{limits: Limits{SlowConsumer: DropNew}, want: "slow_consumer drop_new"},
		{limits: Limits{MaxConnections: 2, MaxPayload: 3, MaxBytesPerSecond: 4, SlowConsumer: DropOld},
			want: "max_connections 2, max_payload 3, max_bytes_per_second 4, slow_consumer drop_old", rates: true},
	} {
		if got := tt.limits.String(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.limits, got, tt.want)
		}
		if got := tt.limits.some() != nil; got != (tt.want != "") {
			t.Errorf("%+v: limits something = %v", tt.limits, got)
		}
		if got := tt.limits.Rates(); got != tt.rates {
			t.Errorf("%+v: limits a rate = %v", tt.limits, got)
		}
	}
	if (*Limits)(nil).some() != nil {
		t.Error("no limits are some")
	}
}

func TestNamesOfSlowConsumerPolicies(t *testing.T) {
	t.Parallel()
	for _, want := range []SlowConsumer{Disconnect, DropNew, DropOld} {
		if got, ok := ParseSlowConsumer(want.String()); got != want || !ok {
			t.Errorf("%s: got %v, %v", want, got, ok)
		}
	}
	if got, ok := ParseSlowConsumer("Drop_Old"); got != DropOld || !ok {
		t.Errorf("in any case: got %v, %v", got, ok)
	}
	if got, ok := ParseSlowConsumer("drop"); got != Disconnect || ok {
		t.Errorf("drop: got %v, %v", got, ok)
	}
}
