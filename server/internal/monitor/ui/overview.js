// What the server is and does: its name, its rates, its totals.

import { byId, setText } from './dom.js';
import { Chart, Spark, roundBytes, roundCount } from './chart.js';
import { Figures } from './figures.js';
import { bytes, count, percent, plural, short, span, time } from './format.js';

const limited = (n, show, otherwise) => (n > 0 ? `of ${show(n)}` : otherwise);

const figures = () => [
  { title: 'Connections', link: '#connections', show: (v) => count(v.connections), note: connectionsNote, alarm: nearFull },
  { title: 'Subscriptions', link: '#subscriptions', show: (v) => count(v.subscriptions), note: () => 'in the routing table' },
  { title: 'Slow consumers', link: '#slow', show: (v) => count(v.slow_consumers), note: slowNote, alarm: (v) => v.slow_consumers > 0 },
  { title: 'Waiting to be sent', link: '#slow', show: (v) => bytes(v.pending_bytes), note: (v) => limited(v.max_pending_total, bytes, 'to all clients') },
  { title: 'Routes', link: '#mesh', show: (v) => count(v.routes), note: () => 'to other servers' },
  { title: 'CPU', show: (v) => percent(v.cpu), note: (v) => `of one core of ${v.cores}`, spark: new Spark('cpu') },
  { title: 'Memory', show: (v) => bytes(v.mem), note: () => 'resident', spark: new Spark('mem') },
  { title: 'Uptime', show: (v) => span(v.uptime), note: (v) => `since ${time(new Date(v.start))}` },
];

// nearFull reports whether the server has little room for more clients.
function nearFull(v) {
  return v.max_connections > 0 && v.connections > 0.9 * v.max_connections;
}

function connectionsNote(v) {
  return nearFull(v) ? `of ${count(v.max_connections)} allowed` : `${short(v.total_connections)} since the start`;
}

function slowNote(v) {
  const routes = v.slow_consumer_stats?.routes ?? 0;
  return routes ? `disconnected, ${plural(routes, 'route')} among them` : 'disconnected since the start';
}

// Overview is the top of the page and the rates.
export class Overview {
  #figures = new Figures('figures', figures());
  #messages = new Chart(byId('chart-msgs'), [{ key: 'in_msgs', name: 'in' }, { key: 'out_msgs', name: 'out' }], short, roundCount);
  #bytes = new Chart(byId('chart-bytes'), [{ key: 'in_bytes', name: 'in' }, { key: 'out_bytes', name: 'out' }], bytes, roundBytes);

  // draw shows /varz and what it was during the last minute.
  draw(varz, history) {
    const named = varz.server_name && varz.server_name !== varz.server_id;
    setText(byId('server-name'), named ? varz.server_name : 'gnatsd');
    setText(byId('server-about'), `version ${varz.version} on ${varz.host}:${varz.port}`);
    setText(byId('server-id'), `Server ${varz.server_id}, ${varz.go}`);
    const title = `${named ? varz.server_name : `${varz.host}:${varz.port}`} – gnatsd`;
    if (document.title !== title) document.title = title;
    this.#messages.draw(history, varz);
    this.#bytes.draw(history, varz);
    this.#figures.draw(varz, history);
  }
}
