package server

// This file holds the keys of nats-server 2.x that this broker does not have. A
// file that was written for it starts all the same, with a warning for each.

import (
	"strings"
)

// foreignFeature is what whoever uses a key of 2.x must know.
const foreignFeature = "a feature of nats-server 2.x that this broker does not have"

// foreignUsers are keys that say who may connect.
const foreignUsers = `accounts operator resolver resolver_preload resolver_pinned_accounts trusted trusted_keys
	authorization.auth_callout authorization.auth_users`

// foreignFeatures are the others. Of tls they are those without which nobody
// gets in who should not; the rest, as pinned_certs, is refused as ever.
const foreignFeatures = `jetstream store_dir default_js_domain websocket mqtt leafnodes leaf gateway gateways
	system_account system no_sys_acc no_system_account resolver_tls default_sentinel proxies proxy_protocol feature_flags
	mapping mappings maps strict max_sub_tokens server_tags server_metadata ocsp ocsp_cache
	trace_verbose trace_headers logtime_utc prof_block_rate write_timeout connect_error_reports reconnect_error_reports
	no_header_support disable_sublist_cache no_fast_producer_stall
	authorization.account authorization.proxy_required
	cluster.pool_size cluster.accounts cluster.compression cluster.ping_interval cluster.ping_max cluster.write_deadline
	cluster.write_timeout cluster.connect_backoff cluster.no_advertise_dns
	tls.insecure tls.connection_rate_limit tls.allow_insecure_cipher_suites tls.ocsp_peer
	cluster.tls.insecure cluster.tls.connection_rate_limit cluster.tls.allow_insecure_cipher_suites cluster.tls.ocsp_peer
	cluster.tls.handshake_first`

// foreignKeys are these keys, by path, with what to tell about them.
func foreignKeys() map[string]string {
	keys := map[string]string{}
	for key := range strings.FieldsSeq(foreignFeatures) {
		keys[key] = foreignFeature
	}
	for key := range strings.FieldsSeq(foreignUsers) {
		keys[key] = foreignFeature + ": the users it defines are unknown here"
	}
	return keys
}
