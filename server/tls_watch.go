package server

import (
	"context"
	"fmt"
	"os"
	"time"
)

// certWatch is how often certificate files are looked at.
const certWatch = 10 * time.Second

// certWatcher notices that certificate files changed, and puts the new ones into
// the holders that use them. Files that do not fit together, or are half
// written, change nothing: the old ones stay in use.
type certWatcher struct {
	opts    TLSConfigOpts
	holders []*tlsHolder // at least one

	// owned by the caller of poll
	seen     []os.FileInfo // of the files in use; nil before the first poll
	reported string        // the trouble told last, "" for none
}

// watchCerts returns a watcher of the files of opts, which the holders use now.
func watchCerts(opts TLSConfigOpts, holders ...*tlsHolder) *certWatcher {
	return &certWatcher{opts: opts, holders: holders}
}

// run polls at every tick until ctx ends or tick is closed, and reports what
// poll says. The caller makes tick, so that tests own the time.
func (w *certWatcher) run(ctx context.Context, tick <-chan time.Time, report func(message string, err error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-tick:
			if !open {
				return
			}
		}
		if message, err := w.poll(); message != "" || err != nil {
			report(message, err)
		}
	}
}

// poll looks at the files once. It returns a message when it put new ones in
// use, and an error when they cannot be used, once for each trouble.
func (w *certWatcher) poll() (message string, err error) {
	now := w.stat() // before reading: what changes in between is seen next time
	if w.same(now) {
		w.reported = ""
		return "", nil
	}
	config, err := GenTLSConfig(&w.opts)
	if err != nil {
		if err.Error() == w.reported {
			return "", nil
		}
		w.reported = err.Error()
		return "", fmt.Errorf("TLS files changed but cannot be used, keeping the old ones: %w", err)
	}
	w.seen, w.reported = now, ""
	if sameCertificates(config, w.holders[0].inUse()) {
		return "", nil // as at the first poll, or when they were written again
	}
	for _, h := range w.holders {
		h.swap(config)
	}
	return fmt.Sprintf("Reloaded TLS certificate %s, valid until %s",
		w.opts.CertFile, config.Certificates[0].Leaf.NotAfter.UTC().Format(time.DateOnly)), nil
}

// stat returns what tells versions of the files apart; nil for one missing. It
// follows symbolic links, so a link that is turned to other files is noticed.
func (w *certWatcher) stat() []os.FileInfo {
	var infos []os.FileInfo
	for _, name := range []string{w.opts.CertFile, w.opts.KeyFile, w.opts.CaFile} {
		info, err := os.Stat(name)
		if err != nil {
			info = nil
		}
		infos = append(infos, info)
	}
	return infos
}

// same reports whether the files are those in use.
func (w *certWatcher) same(now []os.FileInfo) bool {
	if w.seen == nil {
		return false
	}
	for i, old := range w.seen {
		n := now[i]
		if (old == nil) != (n == nil) {
			return false
		}
		if old != nil && !(os.SameFile(old, n) && old.Size() == n.Size() && old.ModTime().Equal(n.ModTime())) {
			return false
		}
	}
	return true
}
