package conf

import "testing"

func TestMaskHidesUsersAndPasswords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain text", "nothing here", "nothing here"},
		{"a URL in a sentence", `cannot parse "nats://bob:CANARY@h:1", sorry`, `cannot parse "nats://[REDACTED]@h:1", sorry`},
		{"several", "nats://a:CANARY@h,nats://CANARY@i", "nats://[REDACTED]@h,nats://[REDACTED]@i"},
		{"an @ in the password", "nats://a:CAN@ARY@h", "nats://[REDACTED]@h"},
		{"a slash in the password", "nats://a:CAN/ARY@h", "nats://[REDACTED]@h"},
		{"without a scheme", "bob:CANARY@h", "[REDACTED]@h"},
		{"a scheme behind the @", "bob:CANARY@h://x", "[REDACTED]@h://x"},
	} {
		if got := Mask(tc.in); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}
