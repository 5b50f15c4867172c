package server

import (
	"context"
	"time"

	"gnatsd/server/internal/tlsfiles"
)

// This file reloads what is in files when they change: the configuration, if --watch-config asks
// for it, and certificates always.

// How often files are looked at. A change that lasts from one look to the next is reloaded: of the
// configuration within 1 to 2 s, of certificates within 5 to 10 s.
const (
	configInterval = time.Second
	certInterval   = 5 * time.Second
)

// fileWatcher notices that files have another content than what was loaded last. It reads rather
// than asks for notifications: that works for files that are edited, replaced, or reached by links
// that are turned elsewhere, on every file system, and for files that do not exist yet.
type fileWatcher struct {
	files  func() *readFiles // of the last attempt to load
	reload func()

	settling string // what was found at the last look, "" if it was what is loaded
}

// run looks at every tick, until ctx ends or tick is closed. The caller makes tick, so that tests
// own the time.
func (w *fileWatcher) run(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-tick:
			if !open {
				return
			}
		}
		w.look()
	}
}

// look reloads what has changed, once it has settled: the program that writes may not be done. What
// was refused is not tried again until it changes.
func (w *fileWatcher) look() {
	files := w.files()
	now := files.reread()
	switch now.digest() {
	case files.digest():
		w.settling = ""
	case w.settling:
		w.settling = ""
		w.reload()
	default:
		w.settling = now.digest()
	}
}

// watchFiles runs w until ctx ends, which is made from the server's life.
func (s *Server) watchFiles(ctx context.Context, interval time.Duration, w *fileWatcher) {
	s.conns.Add(1)
	go func() { // ends with ctx; Shutdown waits for it
		defer s.conns.Done()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		w.run(ctx, ticker.C)
	}()
}

// watchConfig looks after the configuration file until the server ends, if it is asked to.
func (s *Server) watchConfig() {
	o := s.options()
	if !o.WatchConfig || o.ConfigFile == "" {
		return
	}
	s.watchFiles(s.life, configInterval, &fileWatcher{files: s.configFiles, reload: func() {
		if err := s.Reload(); err != nil {
			s.logRefusedReload(err)
		}
	}})
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

// watchCerts looks after the files of a tls block, which holders use, until ctx ends. block is nil
// if there is none.
func (s *Server) watchCerts(ctx context.Context, block *TLSConfigOpts, holders ...*tlsfiles.Holder) {
	if block != nil && holders[0] != nil {
		s.watchFiles(ctx, certInterval, s.certWatcher(block.files(), holders))
	}
}

// certWatcher reloads certificate files that have changed. It loads them first at its second look:
// they may have changed since they were read for the holders.
func (s *Server) certWatcher(files *tlsfiles.Files, holders []*tlsfiles.Holder) *fileWatcher {
	read := &readFiles{names: files.Names()}
	return &fileWatcher{
		files: func() *readFiles { return read },
		reload: func() {
			read = read.reread() // before loading: a change in between is noticed at the next look
			s.reloadCerts(files, holders)
		},
	}
}

// reloadCerts reads certificate files that have changed.
func (s *Server) reloadCerts(files *tlsfiles.Files, holders []*tlsfiles.Holder) {
	replaced, err := tlsfiles.Reload(files, holders...)
	switch {
	case err != nil:
		s.Errorf("TLS files changed but cannot be used, keeping the old ones: %v", err)
	case replaced:
		end := tlsfiles.NotAfter(holders[0].Current())
		s.Noticef("Reloaded TLS certificate %s, valid until %s", files.Cert, end.Format(time.DateOnly))
	}
}
