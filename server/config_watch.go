package server

import (
	"time"
)

// configPoll is how often the configuration is looked at with --watch-config. A
// change that lasts from one look to the next is reloaded: within 1 to 2 s.
const configPoll = time.Second

// configWatcher notices that the configuration file, or one that it includes, has
// another content than what was loaded last. It reads rather than asks for
// notifications: that works for files that are edited, replaced, or reached by
// links that are turned elsewhere, on every file system, and for files that are
// yet to come.
type configWatcher struct {
	files   func() *readFiles // of the last attempt to load
	reload  func() error
	refused func(error) // is told why not

	settling string // what was found at the last look, "" if it was what is loaded
}

// run looks at every tick, until quit or tick is closed. The caller makes tick, so
// that tests own the time.
func (w *configWatcher) run(quit <-chan struct{}, tick <-chan time.Time) {
	for {
		select {
		case <-quit:
			return
		case _, open := <-tick:
			if !open {
				return
			}
		}
		w.look()
	}
}

// look reloads what has changed, once it has settled: whoever writes may not be
// done. What was refused is not tried again until it changes.
func (w *configWatcher) look() {
	files := w.files()
	now := files.now()
	switch now {
	case files.digest():
		w.settling = ""
	case w.settling:
		w.settling = ""
		if err := w.reload(); err != nil {
			w.refused(err)
		}
	default:
		w.settling = now
	}
}

// watchConfig looks after the configuration file until the server ends, if it is
// asked to.
func (s *Server) watchConfig() {
	o := s.options()
	if !o.WatchConfig || o.ConfigFile == "" {
		return
	}
	w := &configWatcher{files: s.configFiles, reload: s.Reload, refused: s.logRefusedReload}
	s.conns.Add(1)
	go func() { // ends with the server; Shutdown waits for it
		defer s.conns.Done()
		ticker := time.NewTicker(configPoll)
		defer ticker.Stop()
		w.run(s.quit, ticker.C)
	}()
}

// configFiles are the files that were read by the last attempt to load.
func (s *Server) configFiles() *readFiles {
	if files := s.attempted.Load(); files != nil {
		return files
	}
	if loaded := s.options().loaded; loaded != nil {
		return loaded.files
	}
	return &readFiles{names: []string{s.options().ConfigFile}} // a program has yet to read it
}
