// Package storm holds a test of the moment after a restart: everybody connects at once, over TLS and with bcrypt passwords, while
// some clients who are in already go on with their work. Nobody may be turned away because others were first, and those who work
// must hardly notice.
//
// The broker, the crowd that connects and the regulars who work are processes of their own, so that none measures the
// scheduler of another.
package storm
