//go:build !linux

package server

import "errors"

// settingsTeller keeps the record of a server's settings where others can find it,
// for which this system has no place.
type settingsTeller struct{}

func newSettingsTeller() *settingsTeller { return nil }

func (*settingsTeller) settings(*Options) {}

func (*settingsTeller) close() {}

// runningSettings cannot ask a process on this system.
func runningSettings(int) (record *settingsRecord, args, env []string, err error) {
	return nil, nil, nil, errors.New("a running server cannot be asked on this system")
}
