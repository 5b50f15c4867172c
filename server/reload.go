package server

import "errors"

// errNoConfigFile is the answer to a reload where there is nothing to read.
var errNoConfigFile = errors.New("can only reload config when a file is provided using -c or --config")

// reload is Reload without the words to the service manager.
func (s *Server) reload() error { return errNoConfigFile }
