// When data is requested from the server. Each part of the page has a loop that asks
// for its data, waits, and asks again: one request at a time, none while the page
// is hidden or paused or the part is out of sight, and while the server does not
// answer only one that finds out whether it is back.

// longest is the longest wait between attempts to reach the server, in
// milliseconds.
const longest = 5_000;

// Poller runs loops. onState is called with "live", "paused", "lost" or "login".
export class Poller {
  #loops = [];
  #paused = false;
  #reach = 'wait'; // or live, lost, login
  #onState;

  // onPanel is called when a panel has been answered, with whether all panels in
  // sight have been.
  onPanel = () => {};

  constructor(onState) {
    this.#onState = onState;
    document.addEventListener('visibilitychange', () => this.#wake());
  }

  // vital adds the loop that finds out whether the server answers.
  vital(every, work) {
    return this.#add(new Loop(this, every, work, () => true, true));
  }

  // panel adds the loop of an element, which runs while the element is in sight,
  // or near. onTrouble is called with the server's error text, and with null once
  // there is none.
  panel(element, every, work, onTrouble) {
    let near = false;
    const loop = this.#add(new Loop(this, every, work, () => near, false, onTrouble));
    loop.panel = true;
    new IntersectionObserver((entries) => {
      near = entries.at(-1).isIntersecting;
      if (near) loop.resume();
    }, { rootMargin: '200px' }).observe(element);
    return loop;
  }

  // always adds a loop that runs wherever the reader is.
  always(every, work, onTrouble) {
    return this.#add(new Loop(this, every, work, () => true, false, onTrouble));
  }

  #add(loop) {
    this.#loops.push(loop);
    return loop;
  }

  set paused(on) {
    this.#paused = on;
    this.#publish();
    this.#wake();
  }

  // runs reports whether a loop may ask by itself. After a refusal to log in
  // none does: each attempt would have the browser ask the user again.
  runs(loop) {
    if (this.#paused || document.hidden || this.#reach === 'login') return false;
    return loop.vital || this.#reach === 'live';
  }

  // found and failed are what a loop's last request came to.
  found(loop) {
    this.#answered(loop);
    if (!loop.vital || this.#reach === 'live') return;
    this.#reach = 'live';
    this.#publish();
    this.#wake();
  }

  failed(loop, kind) {
    if (kind === 'refused') this.#answered(loop);
    if (kind === 'refused' || this.#reach === kind) return;
    if (!loop.vital) { // let the vital one find out
      this.#loops.find((l) => l.vital).resume();
      return;
    }
    this.#reach = kind;
    this.#publish();
  }

  #answered(loop) {
    loop.answered = true;
    if (loop.panel) this.onPanel(this.#loops.every((l) => !l.panel || l.answered || !l.inSight()));
  }

  #publish() {
    this.#onState(this.#paused && this.#reach === 'live' ? 'paused' : this.#reach);
  }

  #wake() {
    for (const loop of this.#loops) loop.resume();
  }
}

// Loop asks for one thing again and again.
class Loop {
  #poller;
  #every;
  #work;
  #onTrouble;
  #timer = 0;
  #busy = null; // the AbortController of the request under way
  #failures = 0;
  panel = false; // whether it is one of an element
  answered = false;

  constructor(poller, every, work, inSight, vital, onTrouble = () => {}) {
    this.#poller = poller;
    this.#every = every;
    this.#work = work;
    this.inSight = inSight;
    this.#onTrouble = onTrouble;
    this.vital = vital;
  }

  // resume asks now if it may and is not under way.
  resume() {
    if (!this.#busy && this.#mayRun()) this.refresh();
  }

  // refresh asks now, in place of a request under way: the user wants it.
  async refresh() {
    clearTimeout(this.#timer);
    this.#busy?.abort();
    const mine = new AbortController();
    this.#busy = mine;
    try {
      await this.#work(mine.signal);
      this.#failures = 0;
      this.#onTrouble(null);
      this.#poller.found(this);
    } catch (err) {
      if (mine.signal.aborted) return;
      if (!err.kind) throw err; // a mistake of ours: let the console have it
      this.#failures++;
      this.#onTrouble(err.kind === 'refused' ? err.message : null);
      this.#poller.failed(this, err.kind);
    } finally {
      if (this.#busy === mine) {
        this.#busy = null;
        this.#plan();
      }
    }
  }

  #mayRun() {
    return this.inSight() && this.#poller.runs(this);
  }

  #plan() {
    const wait = this.#failures === 0 ? this.#every : Math.min(this.#every * 2 ** (this.#failures - 1), longest);
    this.#timer = setTimeout(() => this.resume(), Math.max(wait, this.#every));
  }
}
