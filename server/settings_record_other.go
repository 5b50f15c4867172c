//go:build !linux

package server

import "errors"

// settingsTeller keeps the record of a server's settings where others can find it,
// for which this system has no place.
type settingsTeller struct{}

func newSettingsTeller() *settingsTeller { return nil }

func (*settingsTeller) settings(*Options) {}

func (*settingsTeller) close() {}

// errNotAsked is the answer where a running server cannot be asked.
var errNotAsked = errors.New("a running server cannot be asked on this system; compare with the file it runs with, --diff=FILE")

func runningPid(string) (int, error) { return 0, errNotAsked }

func runningSettings(int) (record *settingsRecord, args, env []string, err error) {
	return nil, nil, nil, errNotAsked
}
