package server

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"gnatsd/conf"
)

// This file has the keys of nats-server 2.x that this broker does not support. One that restricts
// access is an error: the server would admit what its file excludes. With others the server starts
// with a warning.

// foreignKey are keys of nats-server 2.x.
type foreignKey struct {
	keys      string // by their paths, with blanks between them
	restricts bool
	hint      string // what to do instead
}

// unsupportedFeature begins the hints.
const unsupportedFeature = "a feature of nats-server 2.x that this broker does not have"

var foreignKeys = []foreignKey{
	// Who may connect.
	{"operator operators roots root root_operators root_operator", true, "it requires signed users: list them under authorization, for instance by their nkeys"},
	{"trusted trusted_keys", true, "it requires signed users: list them under authorization, for instance by their nkeys"},
	{"resolver account_resolver resolver_preload resolver_pinned_accounts", true, "it defines the accounts of users: list the users under authorization"},
	{"authorization.auth_callout", true, "it lets a service decide who may connect: list the users under authorization"},
	{"authorization.auth_users", true, "it belongs to auth_callout: list the users under authorization"},
	{"authorization.account authorization.users.account", true, "it separates users: give them permissions"},
	{"authorization.proxy_required authorization.users.proxy_required proxies", true, "it admits clients of trusted proxies only: use tls with verify"},
	{"authorization.users.allowed_connection_types authorization.users.connection_types authorization.users.clients", true, "it limits how a user may connect: take it out, or the user"},
	{"authorization.users.src authorization.users.times", true, "it limits where or when a user may connect: take it out, or the user"},
	{"cluster.accounts cluster.authorization.account", true, "it separates the accounts on routes: take it out"},
	{"tls.pinned_certs cluster.tls.pinned_certs", true, "it admits certain certificates only: use verify, or verify_and_map and a list of users"},
	{"tls.verify_cert_and_check_known_urls cluster.tls.verify_cert_and_check_known_urls", true, "it checks the names in certificates: use verify, or verify_and_map and a list of users"},
	{"tls.ocsp_peer cluster.tls.ocsp_peer", true, "it refuses certificates that were revoked: take those users out of the list of users"},
	{"tls.certs tls.cert_store tls.cert_match tls.cert_match_by tls.cert_match_skip_invalid tls.ca_certs_match", true, "use cert_file, key_file and ca_file"},
	{"cluster.tls.certs cluster.tls.cert_store cluster.tls.cert_match cluster.tls.cert_match_by cluster.tls.cert_match_skip_invalid cluster.tls.ca_certs_match", true, "use cert_file, key_file and ca_file"},

	// Other listeners, which are not opened.
	{"websocket mqtt leafnodes leaf gateway gateways", false, ""},
	// What grants or relaxes.
	{"default_sentinel no_sys_acc no_system no_system_account resolver_tls tls.insecure cluster.tls.insecure tls.allow_insecure_cipher_suites cluster.tls.allow_insecure_cipher_suites", false, ""},
	// Everything else.
	{"jetstream store_dir default_js_domain proxy_protocol feature_flags mapping mappings maps strict max_sub_tokens server_tags server_metadata ocsp ocsp_cache", false, ""},
	{"trace_verbose trace_headers logtime_utc prof_block_rate write_timeout connect_error_reports reconnect_error_reports", false, ""},
	{"no_header_support disable_sublist_cache no_fast_producer_stall", false, ""},
	{"cluster.ping_interval cluster.ping_max cluster.write_deadline cluster.write_timeout cluster.connect_backoff cluster.no_advertise_dns", false, ""},
	{"tls.connection_rate_limit cluster.tls.connection_rate_limit cluster.tls.handshake_first", false, ""},
}

// misplacedKeys are keys of no broker that say who may connect or what a user may do, as people
// write them: in another place than their row, or by another name.
var misplacedKeys = []foreignKey{
	{"auth authenticate authenticator access access_control acl acls security login logins basic_auth", true, `did you mean "authorization"?`},
	{"require_auth auth_required require_login login_required", true, `a login in "authorization" is what requires one`},
	{"nkey nkeys authorization.nkey authorization.nkeys", true, "it belongs in the list of users: authorization { users: [ { nkey: U... } ] }"},
	{"cluster.nkey cluster.nkeys", true, `routes have a user and a password: they belong in "authorization"`},
	{"ssl", true, `did you mean "tls"?`},
	{"tls_required require_tls tls_verify verify_clients verify_client client_cert_auth require_client_cert ssl_required require_ssl", true,
		`a "tls" block turns TLS on, and "verify" in it requires certificates of clients`},
	{"http_auth http_token http_users monitor_user monitor_username monitor_password monitor_pass monitor_auth monitor_token", true,
		"a login of the monitoring pages is http_user and http_password"},
	{"http_allow http_allowed_ips http_allowed_cidrs monitor_allow", true, "it limits where the monitoring pages may be read from: use http with an address, or a firewall"},
	{"allowed_cidrs cidrs allowed_ips ips whitelist allowlist allow_list ip_whitelist blacklist denylist deny_list", true, "it limits where clients may connect from: use a firewall"},
	{"authorization.allowed_cidrs authorization.cidrs authorization.allowed_ips authorization.ips authorization.src authorization.source_networks authorization.whitelist authorization.allowlist", true,
		"it limits where clients may connect from: use a firewall"},
	{"cluster.import cluster.export", true, `it belongs in "permissions"`},
	{"authorization.publish authorization.pub authorization.subscribe authorization.sub authorization.import authorization.export authorization.allow authorization.deny", true,
		`it belongs in "default_permissions", or in "permissions" of a user`},
	{"authorization.limits authorization.limit", true, `did you mean "default_limits"?`},
	{"authorization.users.publish authorization.users.pub authorization.users.subscribe authorization.users.sub", true, `it belongs in "permissions"`},
	{"authorization.users.import authorization.users.export authorization.users.allow authorization.users.deny", true, `it belongs in "permissions"`},
	{"authorization.users.allow_responses authorization.users.allow_response", true, `it belongs in "permissions"`},
	{"authorization.users.can_publish authorization.users.can_subscribe authorization.users.subjects authorization.users.topics authorization.users.read_only authorization.users.write_only authorization.users.rights authorization.users.permit authorization.users.acls", true,
		`what a user may do is "permissions": { publish, subscribe }`},
	{"authorization.users.disabled", true, "take the user out of the list"},
	{"authorization.users.tls_required", true, `a "tls" block without allow_non_tls requires TLS of all clients`},
	{"authorization.users.role authorization.users.roles authorization.users.groups authorization.users.acl", true, "a user has permissions of its own"},
	{"authorization.users.expires authorization.users.expiration authorization.users.expiry authorization.users.valid_until authorization.users.valid_from", true,
		"users do not expire here: take the user out in time"},
	{"authorization.users.cidr authorization.users.cidrs authorization.users.allowed_cidrs authorization.users.ip authorization.users.ips authorization.users.allowed_ips authorization.users.hosts authorization.users.source authorization.users.source_networks", true,
		"it limits where a user may connect from: use a firewall, or take the user out"},
}

// limitsOfUsers returns the keys of limits that stand beside them.
func limitsOfUsers() foreignKey {
	keys := []string{"authorization.users.slow_consumer"}
	for _, n := range limitNumbers {
		for _, name := range append([]string{n.key}, n.aliases...) {
			keys = append(keys, "authorization.users."+name)
		}
	}
	return foreignKey{strings.Join(keys, " "), true, `it belongs in "limits"`}
}

// openingKeys are keys of no broker that restrict access where they are false.
const openingKeys = "allow_anonymous anonymous anonymous_access allow_guest no_auth auth_optional"

// openingHint is what to do instead of them.
const openingHint = `clients need a login if "authorization" has one`

// unsupportedKeys returns these keys, and those above, as package conf takes them. One that restricts
// and has no section is refused in a cluster block, too.
var unsupportedKeys = sync.OnceValue(func() map[string]conf.Foreign {
	keys := map[string]conf.Foreign{}
	add := func(f foreignKey, hint string) {
		for key := range strings.FieldsSeq(f.keys) {
			keys[key] = conf.Foreign{Hint: hint, Restricts: f.restricts}
			if rest, ok := strings.CutPrefix(key, "authorization.users."); ok {
				keys["accounts.users."+rest] = keys[key]
			}
			if _, own := keys["cluster."+key]; f.restricts && !own && !strings.Contains(key, ".") {
				keys["cluster."+key] = keys[key]
			}
		}
	}
	for _, f := range append(slices.Clone(misplacedKeys), limitsOfUsers(), foreignKey{keys: openingKeys, hint: openingHint}) {
		add(f, f.hint)
	}
	for _, f := range foreignKeys {
		hint := unsupportedFeature
		if f.hint != "" {
			hint += ": " + f.hint
		}
		add(f, hint)
	}
	return keys
})

// refuseUnknown makes those unknown keys of a file errors that restrict access where they are false.
func refuseUnknown(v *conf.Values[Options], root *conf.Node) {
	var refused []*conf.Error
	for p := range root.Effective() {
		if !p.Used && p.Value.Kind == conf.Boolean && !p.Value.Bool && slices.Contains(strings.Fields(openingKeys), strings.ToLower(p.Key)) {
			refused = append(refused, &conf.Error{Pos: p.Pos, Key: p.Key, Msg: fmt.Sprintf("unknown field %q", p.Key), Hint: openingHint})
		}
	}
	for _, e := range refused {
		same := func(other *conf.Error) bool { return other.Pos == e.Pos }
		if i := slices.IndexFunc(v.Unknown, same); i >= 0 {
			e = v.Unknown[i]
			v.Unknown = slices.Delete(v.Unknown, i, i+1)
		} else if slices.ContainsFunc(v.Errors, same) {
			continue
		}
		v.Errors = append(v.Errors, e)
	}
}

// refusedKeysMarkdown returns the table in conf/README.md of the keys of nats-server 2.x that are
// errors.
func refusedKeysMarkdown() string {
	var b strings.Builder
	b.WriteString("| Key | What to do |\n|---|---|\n")
	for _, f := range foreignKeys {
		if f.restricts {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(f.keys, " ", "`, `"), f.hint)
		}
	}
	return b.String()
}

// unsupportedFlags returns a warning for each flag of nats-server 2.x that was given and has no
// effect.
func unsupportedFlags(flags *conf.Flags[Options]) (warnings []string) {
	for _, name := range []string{"jetstream", "store_dir"} {
		text, given := flags.Typed(name)
		if on, err := conf.ParseSwitch(text); given && (on || err != nil) {
			warnings = append(warnings, fmt.Sprintf("--%s: %s, it has no effect", name, unsupportedFeature))
		}
	}
	return warnings
}
