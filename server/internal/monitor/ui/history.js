// A minute of what the server counts, and the rates that follow from it.

// minute is how much is kept, in milliseconds.
export const minute = 60_000;

// longestStep is the longest time between two samples that a rate is made from.
// After a pause a new line begins.
const longestStep = 5_000;

// counted are the sums whose rates are kept, measured what is kept as it is.
const counted = ['in_msgs', 'out_msgs', 'in_bytes', 'out_bytes'];
const measured = ['cpu', 'mem'];

// History keeps samples of /varz.
export class History {
  #last = null;
  #points = []; // {at, gap, in_msgs, …}: gap says that no line leads here

  // add takes a sample and reports whether the server has been restarted since
  // the one before.
  add(varz) {
    const at = Date.parse(varz.now);
    const last = this.#last;
    this.#last = { varz, at };
    if (!last) return false;
    const restarted = last.varz.server_id !== varz.server_id || last.varz.start !== varz.start;
    const step = at - last.at;
    if (restarted || step <= 0 || step > longestStep) {
      this.#points.push({ at, gap: true, none: true });
    } else {
      const before = this.#points.at(-1);
      const point = { at, gap: !before || before.none === true };
      for (const key of counted) point[key] = Math.max(0, (varz[key] - last.varz[key]) * 1000 / step);
      for (const key of measured) point[key] = varz[key];
      this.#points.push(point);
    }
    const old = at - minute - longestStep;
    while (this.#points.length > 0 && this.#points[0].at < old) this.#points.shift();
    return restarted;
  }

  // latest returns the newest point, null if there is none yet.
  latest() {
    const point = this.#points.at(-1);
    return point && !point.none ? point : null;
  }

  // runs returns the points of the minute before now as pieces that lines can be
  // drawn through.
  runs() {
    const runs = [];
    for (const point of this.#points) {
      if (point.none) continue;
      if (point.gap || runs.length === 0) runs.push([]);
      runs.at(-1).push(point);
    }
    return runs;
  }

  // now is the server's time of the newest sample.
  now() {
    return this.#last ? this.#last.at : 0;
  }
}
