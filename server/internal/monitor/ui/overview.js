// What the server is and does: its name, its rates, its totals.

import { byId, setAttribute, setText } from './dom.js';
import { Chart, Spark, roundBytes, roundCount } from './chart.js';
import { Figures } from './figures.js';
import { minute } from './history.js';
import { bytes, count, percent, plural, short, span, time } from './format.js';

const limited = (n, show, otherwise) => (n > 0 ? `of ${show(n)}` : otherwise);

const figures = () => [
  { title: 'Connections', link: '#connections', show: (v) => count(v.connections), note: connectionsNote, alarm: (v) => nearFull(v) || holds(v, 'connections') || holds(v, 'descriptors'), spark: new Spark('connections') },
  { title: 'Subscriptions', link: '#subscriptions', show: (v) => count(v.subscriptions), note: () => 'in the routing table' },
  { title: 'Slow consumers', link: '#slow', show: (v) => count(v.slow_consumers), note: slowNote, alarm: (v) => v.status?.recent.slow_consumers > 0 },
  { title: 'Pending', link: '#slow', show: (v) => bytes(v.pending_bytes), note: (v) => limited(v.max_pending_total, bytes, 'of all clients'), alarm: (v) => holds(v, 'pending'), spark: new Spark('pending_bytes') },
  { title: 'Routes', link: '#mesh', show: routesText, note: routesNote, alarm: (v) => v.status?.routes.up < v.status?.routes.expected },
  { title: 'System users', show: (v) => count(v.system_stats?.users ?? 0), note: systemNote, alarm: (v) => v.status?.recent.events_dropped > 0, only: (v) => Boolean(v.system_stats) },
  { title: 'CPU', show: (v) => percent(v.cpu), note: (v) => `of one core of ${v.cores}`, spark: new Spark('cpu') },
  { title: 'Memory', show: (v) => bytes(v.mem), note: () => 'resident', alarm: (v) => holds(v, 'memory'), spark: new Spark('mem') },
  { title: 'Uptime', show: (v) => span(v.uptime), note: (v) => `since ${time(new Date(v.start))}` },
];

// holds reports whether a condition of /statusz does.
function holds(v, code) {
  return v.status?.conditions.some((c) => c.code === code);
}

// nearFull reports whether the server has little room for more clients.
function nearFull(v) {
  return v.max_connections > 0 && v.connections > 0.9 * v.max_connections;
}

function connectionsNote(v) {
  return nearFull(v) ? `of ${count(v.max_connections)} allowed` : `${short(v.total_connections)} since the start`;
}

// routesText is how many of the other servers are connected.
function routesText(v) {
  const routes = v.status?.routes;
  return routes?.expected > 0 ? `${count(routes.up)} of ${count(routes.expected)}` : count(v.routes);
}

function routesNote(v) {
  const missing = (v.status?.routes.expected ?? 0) - (v.status?.routes.up ?? 0);
  if (missing > 0) return `${count(missing)} missing`;
  return v.routes > (v.status?.routes.up ?? v.routes) ? `servers, ${plural(v.routes, 'connection')}` : 'to other servers';
}

// systemNote is what the system account did.
function systemNote(v) {
  const { kicks = 0, dropped = 0 } = v.system_stats ?? {};
  return `${plural(kicks, 'kick')}, ${plural(dropped, 'event')} dropped`;
}

function slowNote(v) {
  const recent = v.status?.recent.slow_consumers ?? 0;
  if (recent > 0) return `disconnected, ${count(recent)} in the last 5 min`;
  const routes = v.slow_consumer_stats?.routes ?? 0;
  if (v.dropped_msgs > 0) return `disconnected; for others ${short(v.dropped_msgs)} messages were dropped`;
  return routes ? `disconnected, ${plural(routes, 'route')} among them` : 'disconnected since the start';
}

// Overview is the top of the page and the rates.
export class Overview {
  #figures = new Figures('figures', figures());
  #messages = new Chart(byId('chart-msgs'), [{ key: 'in_msgs', name: 'in', title: 'Received' }, { key: 'out_msgs', name: 'out', title: 'Sent' }], short, roundCount);
  #bytes = new Chart(byId('chart-bytes'), [{ key: 'in_bytes', name: 'in', title: 'Received' }, { key: 'out_bytes', name: 'out', title: 'Sent' }], bytes, roundBytes);

  // spans lets the user choose how much the charts show.
  spans(history, onChange) {
    const buttons = [1, 15, 60].map((n) => byId(`span-${n}`));
    buttons.forEach((b, i) => b.addEventListener('click', () => {
      history.span = [1, 15, 60][i] * minute;
      buttons.forEach((other) => setAttribute(other, 'aria-pressed', other === b));
      onChange();
    }));
  }

  // draw shows /varz, the latest /statusz, and what it was before.
  draw(varz, history, status) {
    const named = varz.server_name && varz.server_name !== varz.server_id;
    setText(byId('server-name'), named ? varz.server_name : 'gnatsd');
    setText(byId('server-about'), `version ${varz.version} on ${varz.host}:${varz.port}`);
    const title = `${named ? varz.server_name : `${varz.host}:${varz.port}`} – gnatsd`;
    if (document.title !== title) document.title = title;
    this.#messages.draw(history, varz);
    this.#bytes.draw(history, varz);
    this.#figures.draw({ ...varz, status }, history);
  }
}
