// Package storm holds a test of the moment after a restart: all clients connect at once, over TLS
// and with bcrypt passwords, while some that are connected go on with their work. No client may be
// turned away because others were first, and those that work must hardly notice.
//
// The broker, the arriving clients and the regular ones are processes of their own, so that none
// measures the scheduler of another.
package storm
