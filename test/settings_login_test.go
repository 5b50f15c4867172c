//go:build unix

package test

import (
	"fmt"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// This file shows what the settings of who may connect, and what they may do, do.

// hashOfSecret is a bcrypt hash of "secret" that takes little time.
const hashOfSecret = "$2a$04$iC7qGs6KA77q0DOyfWXgXOjUROOX5gwBgqFn6q34aPHA4hy/vJePy"

// guarded starts a broker with an authorization block.
func guarded(t *testing.T, block, outside string) string {
	t.Helper()
	_, addr := configured(t, "authorization {\n"+block+"\n}\n"+outside)
	return addr
}

// wantLogins fails the test unless just those CONNECTs are taken that should be.
func wantLogins(t *testing.T, addr string, taken, refused []string) {
	t.Helper()
	for _, connect := range taken {
		c := wire.Dial(t, addr)
		c.Say(`CONNECT {"verbose":false`+connect+`}`, "PING")
		c.Want("PONG")
	}
	for _, connect := range refused {
		c := wire.Dial(t, addr)
		c.Say(`CONNECT {"verbose":false` + connect + `}`)
		c.End("-ERR 'Authorization Violation'")
	}
}

var loginEffects = map[string]func(*testing.T){
	"authorization.user":     singleUser,
	"authorization.password": singleUser,
	"authorization.token": func(t *testing.T) {
		wantLogins(t, guarded(t, "token: secret", ""), []string{`,"auth_token":"secret"`}, []string{"", `,"auth_token":"x"`})
	},
	"authorization.timeout": func(t *testing.T) {
		begin := time.Now()
		wire.Dial(t, guarded(t, "user: me\npassword: p\ntimeout: 0.3", "")).End("-ERR 'authorization timeout'")
		if took := time.Since(begin); took < 300*time.Millisecond {
			t.Errorf("a silent client was disconnected within %v", took)
		}
	},
	"authorization.users": func(t *testing.T) {
		wantLogins(t, guarded(t, "users: [ {user: anna, password: a}, {user: bert, password: b} ]", ""),
			[]string{`,"user":"anna","pass":"a"`, `,"user":"bert","pass":"b"`}, []string{"", `,"user":"anna","pass":"b"`})
	},
	"authorization.default_permissions": func(t *testing.T) {
		addr := guarded(t, "users: [ {user: anna, password: a}, {user: bert, password: b, permissions: {publish: \">\"}} ]\ndefault_permissions: { publish: open }", "")
		for user, want := range map[string]string{"anna": `-ERR 'Permissions Violation for Publish to "shut"'`, "bert": "PONG"} {
			c := wire.Dial(t, addr)
			c.Say(fmt.Sprintf(`CONNECT {"verbose":false,"user":%q,"pass":%q}`, user, user[:1]), "PUB open 0", "", "PUB shut 0", "", "PING")
			c.Want(want)
		}
	},
	"authorization.default_limits": func(t *testing.T) {
		addr := guarded(t, "users: [ {user: anna, password: a}, {user: bert, password: b, limits: {max_subscriptions: -1}} ]\ndefault_limits: { max_subscriptions: 1 }", "")
		for user, want := range map[string]string{"anna": "-ERR 'maximum subscriptions exceeded'", "bert": "PONG"} {
			c := wire.Dial(t, addr)
			c.Say(fmt.Sprintf(`CONNECT {"verbose":false,"user":%q,"pass":%q}`, user, user[:1]), "SUB x 1", "SUB y 2", "PING")
			c.Want(want)
		}
	},
	"accounts": func(t *testing.T) {
		addr := guarded(t, "", "accounts { $SYS { users: [ {user: sys, password: s} ] }, APP { users: [ {user: anna, password: a} ] } }")
		wantLogins(t, addr, []string{`,"user":"anna","pass":"a"`, `,"user":"sys","pass":"s"`}, []string{"", `,"user":"anna","pass":"b"`})
	},
	"system_account": func(t *testing.T) {
		addr := guarded(t, "", "system_account: B\naccounts { A { users: [ {user: anna, password: a} ] }, B { users: [ {user: bert, password: b} ] } }")
		for user, want := range map[string]string{"anna": `-ERR 'Permissions Violation for Subscription to "$SYS.>"'`, "bert": "PONG"} {
			c := wire.Dial(t, addr)
			c.Say(fmt.Sprintf(`CONNECT {"verbose":false,"user":%q,"pass":%q}`, user, user[:1]), "SUB $SYS.> 1", "PING")
			c.Want(want)
		}
	},
	"no_auth_user": func(t *testing.T) {
		addr := guarded(t, "users: [ {user: anna, password: a}, {user: guest, password: v, permissions: {publish: open}} ]", "no_auth_user: guest")
		c := quiet(t, addr)
		c.Say("PUB shut 0", "")
		c.Want(`-ERR 'Permissions Violation for Publish to "shut"'`)
	},
}

// singleUser has the README's user, with a hash for a password.
func singleUser(t *testing.T) {
	addr := guarded(t, "user: derek\npassword: "+hashOfSecret, "")
	wantLogins(t, addr, []string{`,"user":"derek","pass":"secret"`}, []string{"", `,"user":"derek","pass":"x"`, `,"user":"x","pass":"secret"`})
}
