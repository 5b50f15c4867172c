// The mesh as a picture: this server, and a wire to each server that it is, or
// should be, connected to. What the wires show, the list of servers says.

import { page } from './api.js';
import { byId, el, keep, keptNode, setAttribute, setText, show, svg } from './dom.js';
import { bytes, duration, plural, rate, seconds, span, visible } from './format.js';

// states of a route, as they are shown.
const states = { up: 'Connected', trying: 'Connecting', down: 'Not connected', self: 'This server itself' };

// Mesh is the panel.
export class Mesh {
  #picture = byId('mesh-picture');
  #wires = byId('mesh-wires');
  #peers = byId('mesh-peers');
  #before = new Map(); // by rid: sums of the page before
  #drawn = [];
  #said = new Map(); // by server id: what it says of itself

  constructor(poller) {
    poller.panel(byId('mesh'), 2000, (signal) => this.#load(signal), (text) => this.#trouble(text));
    poller.panel(byId('mesh'), 5000, async (signal) => {
      const z = await page('clusterz', {}, signal);
      this.#said = new Map(z.servers.map((s) => [s.server_id, s]));
    }, () => {});
    new ResizeObserver(() => this.#wire()).observe(this.#picture);
  }

  async #load(signal) {
    const z = await page('routez', {}, signal);
    z.routes = perServer(z.routes);
    const now = Date.parse(z.now);
    const peers = peersOf(z).map((p) => ({ ...p, rates: this.#rates(p.route, now), now, said: this.#said.get(p.route?.remote_id) }));
    this.#before = new Map(z.routes.map((r) => [r.rid, { at: now, in: r.in_msgs, out: r.out_msgs }]));
    setText(byId('mesh-self'), visible(z.server_name === z.server_id ? 'This server' : z.server_name));
    keep(this.#peers, peers, (p) => p.key, peerNode);
    this.#peers.classList.toggle('many', peers.length > 8);
    show(this.#picture, peers.length > 0);
    setText(byId('mesh-empty'), 'This server is on its own. Routes to others, which the setting cluster opens, would be seen here.');
    show(byId('mesh-empty'), peers.length === 0);
    setText(byId('mesh-summary'), summary(peers));
    show(byId('mesh-summary'), peers.length > 0);
    this.#drawn = peers;
    this.#wire();
  }

  // rates are messages per second over a route since the page before.
  #rates(route, now) {
    const before = route && this.#before.get(route.rid);
    if (!before || now <= before.at) return null;
    const since = (n, was) => Math.max(0, (n - was) * 1000 / (now - before.at));
    return { in: since(route.in_msgs, before.in), out: since(route.out_msgs, before.out) };
  }

  // wire draws a curve from this server to each other one: from side to side
  // where they are beside each other, else down and to the left edge.
  #wire() {
    const frame = this.#picture.getBoundingClientRect();
    if (frame.width === 0) return;
    setAttribute(this.#wires, 'viewBox', `0 0 ${frame.width} ${frame.height}`);
    const self = byId('mesh-self').getBoundingClientRect();
    const beside = this.#peers.getBoundingClientRect().left > self.right;
    const paths = this.#drawn.map((p) => {
      const box = keptNode(this.#peers, p.key).getBoundingClientRect();
      const to = { x: box.left - frame.left, y: box.top + box.height / 2 - frame.top };
      return { p, d: beside ? curve(self, frame, to) : branch(self, frame, to) };
    });
    keep(this.#wires, paths, ({ p }) => p.key, () => this.#newWire());
  }

  // newWire makes a wire and the beads that move on it while messages do.
  #newWire() {
    const node = svg(this.#wires, 'g');
    const wire = node.appendChild(svg(node, 'path'));
    const flow = node.appendChild(svg(node, 'path', { class: 'flow' }));
    return { node, update: (w) => drawWire(wire, flow, w) };
  }

  #trouble(text) {
    setText(byId('mesh-trouble'), text ?? '');
    show(byId('mesh-trouble'), text !== null);
  }
}

// curve leads from the right side of this server to the left side of another.
function curve(self, frame, to) {
  const x = self.right - frame.left;
  const y = self.top + self.height / 2 - frame.top;
  const half = (to.x - x) / 2;
  return `M${x} ${y}C${x + half} ${y} ${to.x - half} ${to.y} ${to.x} ${to.y}`;
}

// branch leads down from this server and turns to another below it.
function branch(self, frame, to) {
  const x = self.left - frame.left + 14;
  const bend = Math.min(12, to.x - x);
  return `M${x} ${self.bottom - frame.top}V${to.y - bend}Q${x} ${to.y} ${x + bend} ${to.y}H${to.x}`;
}

// drawWire makes a wire thicker the more goes over it.
function drawWire(wire, flow, { p, d }) {
  const sum = p.rates ? p.rates.in + p.rates.out : 0;
  setAttribute(wire, 'd', d);
  setAttribute(wire, 'class', `wire ${p.state}`);
  wire.style.strokeWidth = `${(1.5 + 0.7 * Math.log10(1 + sum)).toFixed(1)}px`;
  setAttribute(flow, 'd', sum > 0 ? d : 'M0 0');
}

// perServer makes one route of the connections of a pool: the carrier, with the
// sums of all.
function perServer(routes) {
  const merged = new Map();
  for (const r of routes) {
    const key = r.pool ? `${r.remote_id} ${r.pool.id}` : r.rid;
    const before = merged.get(key);
    const sum = { ...(before && !r.pool.carrier ? before : r), rid: key };
    for (const count of ['in_msgs', 'out_msgs', 'in_bytes', 'out_bytes', 'pending_size']) {
      sum[count] = r[count] + (before?.[count] ?? 0);
    }
    merged.set(key, sum);
  }
  return [...merged.values()];
}

// peersOf joins the routes that there are and those that are expected.
export function peersOf(z) {
  const left = new Map(z.routes.map((r) => [r.remote_id, r]));
  const peers = (z.expected ?? []).map((target) => {
    const route = target.connected ? left.get(target.remote_id) : undefined;
    if (route) left.delete(target.remote_id);
    const state = route ? 'up' : target.self ? 'self' : target.failures || target.last_error ? 'down' : 'trying';
    return { key: `to ${target.url}`, state, route, target, name: named(route, hostOf(target.url)) };
  });
  for (const route of left.values()) {
    peers.push({ key: `route ${route.rid}`, state: 'up', route, target: null, name: named(route, addressOf(route)) });
  }
  return peers;
}

// named puts the name of the server at the other end of a route, if it has one, before its address.
function named(route, address) {
  const name = route?.remote_name;
  return name && name !== route.remote_id ? `${visible(name)} · ${address}` : address;
}

const addressOf = (route) => (route.ip.includes(':') ? `[${route.ip}]:${route.port}` : `${route.ip}:${route.port}`);

// hostOf returns the host and port of a URL of a route, or all of it.
function hostOf(url) {
  return visible(/^(?:[a-z-]+:\/\/)?(?:[^@/]*@)?([^/]+)/.exec(url)?.[1] ?? url);
}

function summary(peers) {
  const wanted = peers.filter((p) => p.state !== 'self');
  const up = wanted.filter((p) => p.state === 'up').length;
  return up === wanted.length ? `${plural(up, 'other server')}, all connected.` : `${up} of ${plural(wanted.length, 'other server')} connected.`;
}

// peerNode makes the entry of one server.
function peerNode() {
  const name = el('strong');
  const link = el('a', { rel: 'noreferrer' });
  const said = el('p', { class: 'facts-line said' });
  const state = el('span', { class: 'badge' });
  const id = el('code', { class: 'quiet' });
  const facts = el('p', { class: 'facts-line' });
  const error = el('p', { class: 'facts-line error' });
  const node = el('li', { class: 'node' }, el('p', { class: 'node-head' }, name, state), id, facts, said, error);
  return {
    node,
    update: (p) => {
      setAttribute(node, 'data-state', p.state);
      setAttribute(node, 'data-status', p.said?.status ?? null);
      const url = pageURL(p.route?.monitor_url);
      if (url) {
        if (link.parentNode !== name) name.replaceChildren(link);
        setAttribute(link, 'href', url);
        setText(link, p.name);
      } else {
        setText(name, p.name);
      }
      setText(said, saidText(p.said));
      show(said, said.textContent !== '');
      setText(state, states[p.state]);
      setText(id, visible(p.route?.remote_id ?? p.target?.remote_id ?? ''));
      show(id, id.textContent !== '');
      setText(facts, factsOf(p).join(' · '));
      show(facts, facts.textContent !== '');
      setText(error, errorOf(p));
      show(error, error.textContent !== '');
    },
  };
}

// pageURL returns the address of another server's page, if it is one.
function pageURL(text) {
  return /^https?:\/\//.test(text ?? '') ? text : null;
}

// saidText is what a server says of itself, or why it could not be asked.
function saidText(said) {
  if (!said) return '';
  if (said.error) return `Cannot be asked: ${visible(said.error)}`;
  if (!said.conditions?.length) return 'All well';
  return said.conditions.map((c) => visible(String(c.text))).join('\n');
}

// factsOf is what a server's entry says of its route.
function factsOf({ route, target, rates, state }) {
  const from = target ? (target.is_configured ? 'configured' : 'learned from others') : 'it connected to us';
  if (!route) return state === 'self' ? ['ignored'] : [from];
  return [
    from,
    `up ${span(route.uptime)}`,
    route.rtt ? `RTT ${duration(route.rtt)}` : '',
    rates ? `received ${rate(rates.in)} msgs/s, sent ${rate(rates.out)} msgs/s` : '',
    plural(route.subscriptions, 'subscription'),
    route.pending_size > 0 ? `${bytes(route.pending_size)} pending` : '',
    route.waiting_for_interest > 0 ? `${plural(route.waiting_for_interest, 'line')} of interest on the way` : '',
  ].filter(Boolean);
}

// errorOf is why there is no route.
function errorOf({ target, state, now }) {
  if (state !== 'down') return '';
  const next = target.next ? Math.max(0, Date.parse(target.next) - now) / 1000 : null;
  const tries = target.failures ? `${plural(target.failures, 'attempt')} failed` : 'lost';
  const again = next === null ? '' : `, the next ${next < 1 ? 'at once' : `in ${seconds(next)}`}`;
  return `${tries}${again}: ${visible(target.last_error || 'no reason known')}`;
}
