//go:build !linux

package process

import (
	"errors"
	"os"
)

// errCannotPublish says that this system has no place for a record that others can find.
var errCannotPublish = errors.New("a running server cannot be asked on this system")

// NewSettingsRecord returns nil: nothing can be published here.
func NewSettingsRecord() *SettingsRecord { return nil }

// publish cannot publish on this system.
func publish([]byte) (*os.File, error) { return nil, errCannotPublish }

// published finds nothing on this system.
func published(int) ([]byte, error) { return nil, errCannotPublish }

// commandLine reads nothing on this system.
func commandLine(int) (args, env []string) { return nil, nil }
