package server

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
)

// signalActions is what a signal, or a Windows service control, can make a broker do.
type signalActions interface {
	// Shutdown stops the broker in order. It is idempotent, and returns to every caller only when the stop is complete,
	// pid and ports files and the last log line included: the process exits right after.
	Shutdown()
	// Reload reads the configuration again. The broker logs a success, the caller logs the error.
	Reload() error
	ReOpenLogFile()
	// lameDuckMode starts the lame duck mode and need not wait for its end.
	lameDuckMode()
	Debugf(format string, v ...any)
	Errorf(format string, v ...any)
}

// A signalEffect is what a trapped signal does.
type signalEffect int

const (
	effectInterrupt signalEffect = iota // shutdown; during a shutdown, death at once
	effectShutdown
	effectReload
	effectReopen
	effectLameDuck
	effectCount
)

// exitInterrupted is the exit code after a shutdown that was cut short: 128 plus the number of SIGINT, as shells say it.
const exitInterrupted = 128 + 2

// msgReloadFailed is logged, as an error, when a reload is refused.
const msgReloadFailed = "Failed to reload server configuration: %v"

// maxSignalsQueued is how many signals wait for the loop, which never does anything slow: more than there are kinds.
const maxSignalsQueued = 16

// A signalLoop turns the signals of the process into actions. One goroutine listens and is never busy with anything else, so
// that a second SIGINT works even while a reload or a shutdown hangs; another carries out reload, reopen and lame
// duck mode in the order they came. A shutdown that a signal began ends with the exit of the process, status 0.
type signalLoop struct {
	// set once
	actions signalActions
	effects map[os.Signal]signalEffect
	exit    func(code int) // ends the process, and does not return but in tests
	signals chan os.Signal
	work    chan signalEffect
	quit    chan struct{}
	done    chan struct{} // closed when the listener has ended
	end     func()        // closes quit, once

	// atomic
	queued   [effectCount]atomic.Bool // in work, not begun: another of its kind would change nothing
	stopping atomic.Bool              // a signal began a shutdown
}

// startSignalLoop traps signals on behalf of actions until stop is called. exit ends the process, with code 0 after a shutdown:
// it is os.Exit, after whatever has to be saved, as the last lines of a log. With any other code it must not wait.
func startSignalLoop(actions signalActions, exit func(code int)) *signalLoop {
	l := newSignalLoop(actions, trappedSignals(), exit)
	for sig := range l.effects {
		signal.Notify(l.signals, sig)
	}
	l.run()
	return l
}

// newSignalLoop is a loop that hears nothing yet.
func newSignalLoop(actions signalActions, effects map[os.Signal]signalEffect, exit func(code int)) *signalLoop {
	l := &signalLoop{
		actions: actions,
		effects: effects,
		exit:    exit,
		signals: make(chan os.Signal, maxSignalsQueued),
		work:    make(chan signalEffect, effectCount),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	l.end = sync.OnceFunc(func() { close(l.quit) })
	return l
}

// run starts the two goroutines of the loop.
func (l *signalLoop) run() {
	// Ended by end, waited for through done.
	go l.listen()
	// Ended by the listener, which closes work; nobody waits, for it may be the one that is shutting the broker down.
	go func() {
		for effect := range l.work {
			l.queued[effect].Store(false)
			l.perform(effect)
		}
	}()
}

// stop gives the signals back to the system, or to the embedding program, at the end of a shutdown. If a signal began this
// shutdown the loop goes on listening: the process is about to exit, and a late signal must not spoil its status.
func (l *signalLoop) stop() {
	if l.stopping.Load() {
		return
	}
	l.end()
	<-l.done
}

// listen takes each signal as it comes, until quit.
func (l *signalLoop) listen() {
	defer close(l.done)
	defer close(l.work)
	defer signal.Stop(l.signals)
	for {
		select {
		case sig := <-l.signals:
			l.actions.Debugf("Trapped %q signal", sig.String())
			l.handle(l.effects[sig])
		case <-l.quit:
			return
		}
	}
}

// handle starts what a signal asks for, without waiting for it.
func (l *signalLoop) handle(effect signalEffect) {
	if effect != effectInterrupt && effect != effectShutdown {
		if l.queued[effect].CompareAndSwap(false, true) {
			l.work <- effect // has room for one of each kind
		}
		return
	}
	if !l.stopping.CompareAndSwap(false, true) {
		if effect == effectInterrupt {
			l.exit(exitInterrupted)
		}
		return
	}
	// Ends with the process.
	go func() {
		l.actions.Shutdown()
		l.exit(0)
		l.end()
	}()
}

// perform carries out an effect that leaves the broker running.
func (l *signalLoop) perform(effect signalEffect) {
	switch effect {
	case effectReload:
		reload(l.actions)
	case effectReopen:
		l.actions.ReOpenLogFile()
	case effectLameDuck:
		l.actions.lameDuckMode()
	}
}

// reload reads the configuration again, on demand of a signal or a service control.
func reload(actions signalActions) {
	if err := actions.Reload(); err != nil {
		refusedReload(actions, err)
	}
}

// refusedReload logs why a reload changed nothing, a line for each reason.
func refusedReload(log interface{ Errorf(format string, v ...any) }, err error) {
	for _, reason := range reasons(err) {
		log.Errorf(msgReloadFailed, reason)
	}
}
