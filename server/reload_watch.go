package server

import (
	"context"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
)

// This file watches files: certificates, and the configuration with --watch-config.

// How often files are checked. A change is reloaded if the next check finds the same contents: that
// of the configuration after 1 to 2 s, that of certificates after 5 to 10 s.
const (
	configInterval = time.Second
	certInterval   = 5 * time.Second
)

// fileWatcher calls reload when the contents of files have changed. It polls: that works on every
// file system, for files that are edited, replaced or behind changed symbolic links, and for files
// that do not exist yet.
type fileWatcher struct {
	files  func() *readFiles // of the last attempt to load them
	reload func()
	kept   func(name string) // is called, if it is not nil, when a change is not loaded because a file is empty

	changed string // digest at the last check, "" if it was that of files
	empty   string // digest of what kept was called for; "" = none
}

// run checks the files at every tick, until ctx ends or tick is closed.
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
		w.check()
	}
}

// check calls reload if the files have changed and are the same as at the last check: before that,
// a program may still be writing them. Files that failed to load are not tried again until they
// change. Nor is a file that has become empty: some programs empty it before they write it, and without
// its users a broker would be open.
func (w *fileWatcher) check() {
	files := w.files()
	now := files.reread()
	digest, emptied := now.digest(), now.emptied(files)
	switch {
	case digest == files.digest():
		w.changed = ""
	case digest != w.changed:
		w.changed = digest
	case emptied == "":
		w.changed = ""
		w.reload()
	case w.kept != nil && digest != w.empty:
		w.empty = digest
		w.kept(emptied)
	}
}

// watchFiles runs w on another goroutine until ctx, a child of s.ctx, ends.
func (s *Server) watchFiles(ctx context.Context, interval time.Duration, w *fileWatcher) {
	s.conns.Add(1)
	go func() { // ends with ctx; Shutdown waits for it
		defer s.conns.Done()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		w.run(ctx, ticker.C)
	}()
}

// watchConfig watches the configuration file until the server is shut down, if WatchConfig is set.
func (s *Server) watchConfig() {
	o := s.options()
	if !o.WatchConfig || o.ConfigFile == "" {
		return
	}
	s.watchFiles(s.ctx, configInterval, &fileWatcher{
		files: s.configFiles,
		reload: func() {
			if err := s.Reload(); err != nil {
				s.logRefusedReload(err)
			}
		},
		kept: func(name string) {
			s.Warnf("%s has become empty: changes are not loaded by themselves until it is not, or the configuration is reloaded", conf.Printable(name))
		},
	})
}

// configFiles returns the files of the last attempt to load the configuration.
func (s *Server) configFiles() *readFiles {
	if files := s.lastRead.Load(); files != nil {
		return files
	}
	if loaded := s.options().loaded; loaded != nil {
		return loaded.files
	}
	return &readFiles{names: []string{s.options().ConfigFile}} // a program set the options: it has not been read
}

// watchCerts watches the files of a tls block, which holders use, until ctx ends. block may be nil.
func (s *Server) watchCerts(ctx context.Context, block *TLSConfigOpts, holders ...*tlsfiles.Holder) {
	if block != nil && holders[0] != nil {
		s.watchFiles(ctx, certInterval, s.certWatcher(block.files(), holders))
	}
}

// certWatcher returns a watcher that reloads certificate files. It reloads them once at its second
// check: they may have changed since they were read for the holders.
func (s *Server) certWatcher(files *tlsfiles.Files, holders []*tlsfiles.Holder) *fileWatcher {
	read := &readFiles{names: files.Names()}
	return &fileWatcher{
		files: func() *readFiles { return read },
		reload: func() {
			read = read.reread() // before loading: the next check finds a change in between
			s.reloadCerts(files, holders)
		},
	}
}

// reloadCerts loads certificate files that have changed.
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
