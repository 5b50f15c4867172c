package process

import (
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A signalEffect is what a trapped signal does.
type signalEffect int

const (
	effectInterrupt signalEffect = iota // shutdown; during a shutdown, exit at once
	effectShutdown                      // shutdown; during lame duck mode, which ends in one, nothing
	effectReload
	effectReopen
	effectLameDuck
	effectRebalance
	effectCount
)

// exitInterrupted is the exit code after a shutdown that was cut short: 128 plus the number of
// SIGINT, as shells report it.
const exitInterrupted = 128 + 2

// terminationDelay is how long SIGTERM waits for the signal for lame duck mode: of two signals that
// are sent one right after the other, the second may be delivered first.
const terminationDelay = 20 * time.Millisecond

// maxSignalsQueued is how many signals wait for the loop, which never does anything slow: more than
// there are kinds.
const maxSignalsQueued = 16

// A SignalLoop turns the signals of the process into actions. One goroutine listens and is never
// busy with anything else, so that a second SIGINT works even while a reload or a shutdown hangs;
// another carries out reload, reopen and lame duck mode in the order they came. A shutdown that a
// signal began ends with the exit of the process, status 0.
type SignalLoop struct {
	// set once
	actions Actions
	effects map[os.Signal]signalEffect
	exit    func(code int) // ends the process, and does not return but in tests
	signals chan os.Signal
	work    chan signalEffect
	quit    chan struct{}
	due     chan struct{} // holds a value when terminationDelay after a SIGTERM has passed
	done    chan struct{} // closed when the listener has ended
	end     func()        // closes quit, once

	// atomic
	queued   [effectCount]atomic.Bool // in work, not begun: another would change nothing
	stopping atomic.Bool              // a signal began a shutdown
	leaving  atomic.Int32             // requests of lame duck mode that have not been performed
}

// StartSignalLoop traps signals on behalf of actions until Stop is called. exit ends the process,
// with code 0 after a shutdown: it is os.Exit, after what has to be saved, as the last lines of a
// log. With any other code it must not wait.
func StartSignalLoop(actions Actions, exit func(code int)) *SignalLoop {
	l := newSignalLoop(actions, trappedSignals(), exit)
	signal.Notify(l.signals, slices.Collect(maps.Keys(l.effects))...)
	l.run()
	return l
}

// newSignalLoop is a loop that no signal reaches yet.
func newSignalLoop(actions Actions, effects map[os.Signal]signalEffect, exit func(code int)) *SignalLoop {
	l := &SignalLoop{
		actions: actions,
		effects: effects,
		exit:    exit,
		signals: make(chan os.Signal, maxSignalsQueued),
		work:    make(chan signalEffect, effectCount),
		quit:    make(chan struct{}),
		due:     make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	l.end = sync.OnceFunc(func() { close(l.quit) })
	return l
}

// run starts the two goroutines of the loop.
func (l *SignalLoop) run() {
	// Ended by end, waited for through done.
	go l.listen()
	// Ended by the listener, which closes work. Stop does not wait for it: a reload in it may
	// be what calls Stop, by a shutdown.
	go func() {
		for effect := range l.work {
			l.queued[effect].Store(false)
			l.perform(effect)
		}
	}()
}

// Stop gives the signals back to the system, or to the embedding program, at the end of a shutdown.
// If a signal began this shutdown the loop goes on listening: the process is about to exit, and a
// late signal must not spoil its status.
func (l *SignalLoop) Stop() {
	if l.stopping.Load() {
		return
	}
	l.end()
	<-l.done
}

// listen takes each signal as it comes, until quit.
func (l *SignalLoop) listen() {
	defer close(l.done)
	defer close(l.work)
	defer signal.Stop(l.signals)
	for {
		select {
		case sig := <-l.signals:
			l.actions.Debugf("Trapped %q signal", sig.String())
			l.handle(l.effects[sig])
		case <-l.due:
			l.stopUnlessLeaving()
		case <-l.quit:
			return
		}
	}
}

// handle starts what a signal asks for, without waiting for it.
func (l *SignalLoop) handle(effect signalEffect) {
	switch effect {
	case effectInterrupt:
		if !l.shutdown() {
			l.exit(exitInterrupted)
		}
	case effectShutdown:
		time.AfterFunc(terminationDelay, func() {
			select {
			case l.due <- struct{}{}:
			default: // another SIGTERM is due
			}
		})
	case effectLameDuck:
		l.leaving.Add(1)
		if !l.queue(effect) {
			l.leaving.Add(-1)
		}
	default:
		l.queue(effect)
	}
}

// queue queues an effect for the other goroutine, unless it is queued already.
func (l *SignalLoop) queue(effect signalEffect) bool {
	queued := l.queued[effect].CompareAndSwap(false, true)
	if queued {
		l.work <- effect // has room for one of each kind
	}
	return queued
}

// stopUnlessLeaving does what SIGTERM asks for, behind requests of lame duck mode.
func (l *SignalLoop) stopUnlessLeaving() {
	if l.leaving.Load() > 0 {
		l.queue(effectShutdown)
		return
	}
	l.terminate()
}

// terminate starts a shutdown, unless lame duck mode has begun: Kubernetes sends SIGTERM as soon as
// the command has returned that asked for it.
func (l *SignalLoop) terminate() {
	if l.actions.InLameDuck() {
		l.actions.Noticef("SIGTERM is ignored in lame duck mode, which ends with a shutdown; SIGINT stops at once")
		return
	}
	l.shutdown()
}

// shutdown starts a shutdown. It reports false if a signal began one before.
func (l *SignalLoop) shutdown() bool {
	if !l.stopping.CompareAndSwap(false, true) {
		return false
	}
	// Ends with the process.
	go func() {
		l.actions.Shutdown()
		l.exit(0)
		l.end()
	}()
	return true
}

// perform carries out an effect that was queued.
func (l *SignalLoop) perform(effect signalEffect) {
	switch effect {
	case effectReload:
		l.actions.Reload()
	case effectReopen:
		l.actions.ReOpenLogFile()
	case effectLameDuck:
		l.actions.LameDuck()
		l.leaving.Add(-1)
	case effectRebalance:
		l.actions.Rebalance()
	case effectShutdown:
		l.terminate()
	}
}
