package server

import (
	"strings"
)

// This file has the keys of nats-server 2.x that this broker does not support. Where it is safe to
// ignore one, the server starts with a warning.

// unsupportedFeature is the text of the warning.
const unsupportedFeature = "a feature of nats-server 2.x that this broker does not have"

// unsupportedUsers are keys that define who may connect.
const unsupportedUsers = `accounts operator resolver resolver_preload resolver_pinned_accounts trusted trusted_keys
	authorization.auth_callout authorization.auth_users`

// unsupportedFeatures are other keys. Keys of tls that restrict who may connect, such as
// pinned_certs, are not among them: they are errors.
const unsupportedFeatures = `jetstream store_dir default_js_domain websocket mqtt leafnodes leaf gateway gateways
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

// unsupportedKeys returns all these keys with the warning for each.
func unsupportedKeys() map[string]string {
	keys := map[string]string{}
	for key := range strings.FieldsSeq(unsupportedFeatures) {
		keys[key] = unsupportedFeature
	}
	for key := range strings.FieldsSeq(unsupportedUsers) {
		keys[key] = unsupportedFeature + ": the users it defines are unknown here"
	}
	return keys
}
