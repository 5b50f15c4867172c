// An hour of what the server counts, as rates: what it remembers itself, every
// few seconds, and what this page has seen since, every second.

// minute is a minute in milliseconds.
export const minute = 60_000;

// longest is how much is kept, in milliseconds.
const longest = 60 * minute;

// longestStep is the longest time between two samples that a rate is made from.
// After a pause a new line begins.
const longestStep = 5_000;

// longestGap is the longest time between two points that a line is drawn over.
const longestGap = 11_000;

// fine is how long points are kept as they came. Older ones become one in
// coarse milliseconds, as those of the server are.
const fine = 70_000;
const coarse = 5_000;

// counted are the sums whose rates are kept, measured what is kept as it is.
const counted = ['in_msgs', 'out_msgs', 'in_bytes', 'out_bytes'];
const measured = ['cpu', 'mem', 'connections', 'pending_bytes'];

// History keeps samples of /varz, and the rows of /historyz.
export class History {
  #last = null;
  #points = []; // {at, seen, gap, in_msgs, …}: gap says that no line leads here
  #lacks = true;

  // span is how much is shown, in milliseconds.
  span = minute;

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
      this.#lacks = true;
      this.#points.push({ at, seen: true, gap: true, none: true, restarted });
    } else {
      const before = this.#points.at(-1);
      const point = { at, seen: true, gap: before?.none === true, restarted: before?.none === true && before.restarted };
      for (const key of counted) point[key] = Math.max(0, (varz[key] - last.varz[key]) * 1000 / step);
      for (const key of measured) point[key] = varz[key];
      this.#points.push(point);
    }
    this.#thin(at);
    return restarted;
  }

  // lacks reports whether the server may remember what is not here.
  get lacks() {
    return this.#lacks;
  }

  // fill adds the rows of /historyz where nothing was seen.
  fill(z) {
    this.#lacks = false;
    const seen = this.#points.filter((p) => p.seen && (!p.none || p.restarted));
    for (const p of seen) p.gap = p.restarted; // what was not seen in a pause is here now
    const near = new Set(seen.map((p) => Math.floor(p.at / coarse)));
    const rows = z.rows.map((row) => Object.fromEntries(z.columns.map((c, i) => [c, row[i]])));
    this.#points = [...seen, ...rows.filter((p) => !near.has(Math.floor(p.at / coarse)))].sort((a, b) => a.at - b.at);
  }

  // thin forgets what is too old, and makes one point of several that are old.
  #thin(now) {
    const from = this.#points.findIndex((p) => p.at >= now - longest - coarse);
    if (from > 0) this.#points.splice(0, from);
    const at = this.#points.findIndex((p) => p.at >= now - fine);
    const [a, b] = [this.#points[at - 2], this.#points[at - 1]];
    if (at < 2 || a.none || b.none || b.gap || !a.seen || Math.floor(a.at / coarse) !== Math.floor(b.at / coarse)) return;
    const merged = { ...b, gap: a.gap, restarted: a.restarted, weight: (a.weight ?? 1) + 1 };
    for (const key of [...counted, ...measured]) merged[key] = (a[key] * (a.weight ?? 1) + b[key]) / merged.weight;
    this.#points.splice(at - 2, 2, merged);
  }

  // latest returns the newest point, null if there is none yet.
  latest() {
    const point = this.#points.at(-1);
    return point && !point.none && point.seen ? point : null;
  }

  // runs returns the points of the span before now as pieces that lines can be
  // drawn through.
  runs() {
    const runs = [];
    const from = this.now() - this.span - coarse;
    let before = null;
    for (const point of this.#points) {
      if (point.none || point.at < from) continue;
      if (point.gap || !before || point.at - before.at > longestGap) runs.push([]);
      runs.at(-1).push(point);
      before = point;
    }
    return runs;
  }

  // now is the server's time of the newest sample.
  now() {
    return this.#last ? this.#last.at : 0;
  }
}
