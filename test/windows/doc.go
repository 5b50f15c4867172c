// Package windows drives the broker for Windows: its tests build the .exe, run it under Wine on
// Linux, and talk to it over loopback. `make windows` runs them; without its flag they are skipped.
package windows
