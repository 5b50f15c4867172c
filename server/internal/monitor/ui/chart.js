// Lines over time, as SVG.

import { byId, el, svg, setText, setAttribute } from './dom.js';
import { ago, time } from './format.js';
import { minute } from './history.js';

// Drawings are 600 wide and 100 high, stretched to where they are.
const width = 600;
const height = 100;

// roundCount returns a round number that is not below n, for the top of a scale:
// one that halves to a round number, too.
export function roundCount(n) {
  if (!(n > 4)) return 4;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.6, 2, 3, 4, 6, 8, 10].map((f) => f * power).find((c) => c >= n * 0.999);
}

// roundBytes is the same for sizes: a power of two.
export function roundBytes(n) {
  return n > 1024 ? 2 ** Math.ceil(Math.log2(n * 0.999)) : 1024;
}

// path returns the lines through the pieces of a history, for one key.
function path(runs, key, history, top, closed) {
  const now = history.now();
  let d = '';
  for (const run of runs) {
    const dots = run.map((p) => [width - ((now - p.at) / history.span) * width, height - (p[key] / top) * height]);
    const line = dots.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L');
    d += closed ? `M${dots[0][0].toFixed(1)} ${height}L${line}L${dots.at(-1)[0].toFixed(1)} ${height}Z` : `M${line}`;
  }
  return d;
}

// drawing makes an SVG that is stretched.
function drawing(className) {
  const node = byId('drawing').content.firstElementChild.cloneNode(false);
  setAttribute(node, 'class', className);
  setAttribute(node, 'viewBox', `0 0 ${width} ${height}`);
  setAttribute(node, 'preserveAspectRatio', 'none');
  return node;
}

// Chart draws rates with a scale, their present values and their sums. A series
// has a key of /varz, a name for its style and a title; show makes text of a number, round finds the top
// of the scale.
export class Chart {
  #series;
  #show;
  #round;
  #top = el('span');
  #half = el('span');
  #from = el('span');
  #read = el('span', { class: 'read' }, 'now');
  #cursor = el('div', { class: 'cursor', hidden: true });
  #plot;
  #history = null;
  #pointer = null;

  constructor(figure, series, show, round) {
    this.#show = show;
    this.#round = round;
    const picture = drawing('lines');
    this.#series = series.map((s) => ({
      ...s,
      line: picture.insertBefore(svg(picture, 'path', { class: `line ${s.name}` }), picture.firstChild), // the first on top
      area: picture.insertBefore(svg(picture, 'path', { class: `area ${s.name}` }), picture.firstChild),
      value: el('strong', {}, '–'),
      sum: el('span', { class: 'quiet' }),
    }));
    const legend = el('dl', { class: 'legend' }, ...this.#series.map((s) => el('div', { class: s.name },
      el('dt', {}, s.title), el('dd', {}, s.value, s.sum))));
    this.#plot = el('div', { class: 'plot', role: 'img', 'aria-label': 'Nothing yet' },
      picture, el('div', { class: 'scale' }, this.#top), el('div', { class: 'scale half' }, this.#half), this.#cursor);
    figure.append(legend, this.#plot, el('div', { class: 'axis', 'aria-hidden': 'true' }, this.#from, this.#read));
    this.#plot.addEventListener('pointermove', (e) => this.#point(e.clientX));
    this.#plot.addEventListener('pointerleave', () => this.#point(null));
  }

  // draw shows a history. The text for screen readers is renewed with it: it is
  // read when the user goes there.
  draw(history, varz) {
    this.#history = history;
    const runs = history.runs();
    const points = runs.flat();
    const top = this.#round(Math.max(0, ...points.flatMap((p) => this.#series.map((s) => p[s.key]))));
    setText(this.#top, this.#show(top));
    setText(this.#half, this.#show(top / 2));
    setText(this.#from, history.span > minute ? `${history.span / minute} min ago` : '60 s ago');
    const latest = history.latest();
    for (const s of this.#series) {
      setAttribute(s.area, 'd', path(runs, s.key, history, top, true));
      setAttribute(s.line, 'd', path(runs, s.key, history, top, false));
      setText(s.sum, `${this.#show(varz[s.key])} in total`);
      setText(s.value, latest ? this.#show(latest[s.key]) : '–');
    }
    setAttribute(this.#plot, 'aria-label', this.#description(points, latest));
    this.#readout();
  }

  #description(points, latest) {
    const over = `Lines over the last ${this.#history.span > minute ? `${this.#history.span / minute} minutes` : 'minute'}`;
    if (!latest) return `${over}: nothing yet`;
    const each = this.#series.map((s) => `${s.title} ${this.#show(latest[s.key])}, at most ${this.#show(Math.max(...points.map((p) => p[s.key])))}`);
    return `${over}: ${each.join('; ')}`;
  }

  #point(clientX) {
    this.#pointer = clientX;
    this.#readout();
  }

  // readout says what the lines are at where the pointer is.
  #readout() {
    const box = this.#plot.getBoundingClientRect();
    const points = this.#pointer === null || !this.#history ? [] : this.#history.runs().flat();
    this.#cursor.hidden = points.length === 0;
    if (points.length === 0) {
      setText(this.#read, 'now');
      return;
    }
    const now = this.#history.now();
    const { span } = this.#history;
    const at = now - span * (1 - (this.#pointer - box.left) / box.width);
    const near = points.reduce((a, b) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a));
    this.#cursor.style.left = `${100 - ((now - near.at) / span) * 100}%`;
    const values = this.#series.map((s) => `${s.title} ${this.#show(near[s.key])}`).join(', ');
    setText(this.#read, `${span > minute ? time(new Date(near.at)) : ago(near.at, now)}: ${values}`);
  }
}

// Spark is one line without text, beside a figure that says what it is.
export class Spark {
  #key;
  #line;

  constructor(key) {
    this.#key = key;
    this.node = drawing('spark');
    this.#line = this.node.appendChild(svg(this.node, 'path', { class: 'line' }));
  }

  draw(history) {
    const runs = history.runs();
    const top = Math.max(...runs.flat().map((p) => p[this.#key]), 0) * 1.15 || 1;
    setAttribute(this.#line, 'd', path(runs, this.#key, history, top, false));
  }
}
