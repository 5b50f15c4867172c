// The table of clients, connected or gone, which the server searches, sorts and
// divides into pages: it may have tens of thousands.

import { page } from './api.js';
import { clientAddress, clientButton, clientLibrary } from './client.js';
import { announce, byId, el, narrow, setText, show } from './dom.js';
import { bytes, count, duration, short, span, time } from './format.js';
import { Pager, Table, where } from './table.js';

const number = 'number';

// Columns of clients that are connected, and of those that are gone. Received
// and sent are seen from the server. Its sort keys call them "from" and "to".
const first = (open) => [
  { title: 'Id', sort: 'cid', ascending: true, kind: 'number id', text: (c) => String(c.cid) },
  { title: 'Client', kind: 'main', cell: (td) => clientButton(td, open) },
  { title: 'Address', kind: 'address', text: clientAddress },
  { title: 'Library', kind: 'library', text: clientLibrary },
];
const traffic = [
  { title: 'Subs', sort: 'subs', kind: 'number minor', text: (c) => count(c.subscriptions) },
  { title: 'Pending', sort: 'pending', kind: number, text: (c) => bytes(c.pending_bytes) },
  { title: 'Received', sort: 'msgs_from', kind: 'number minor', cell: two((c) => short(c.in_msgs), (c) => bytes(c.in_bytes)) },
  { title: 'Sent', sort: 'msgs_to', kind: 'number minor', cell: two((c) => short(c.out_msgs), (c) => bytes(c.out_bytes)) },
];
const rates = [
  { title: 'Received/s', sort: 'msgs_from_rate', kind: number, cell: two((c) => perSecond(c, 'in_msgs', short), (c) => perSecond(c, 'in_bytes', bytes)) },
  { title: 'Sent/s', sort: 'msgs_to_rate', kind: number, cell: two((c) => perSecond(c, 'out_msgs', short), (c) => perSecond(c, 'out_bytes', bytes)) },
];

// more are orders without a column of their own.
const more = {
  open: [['rate', 'Rate'], ['bytes_from', 'Bytes received'], ['bytes_to', 'Bytes sent'], ['bytes_from_rate', 'Bytes received/s'], ['bytes_to_rate', 'Bytes sent/s']],
  closed: [['bytes_from', 'Bytes received'], ['bytes_to', 'Bytes sent']],
};

// perSecond is a rate, if it is known.
function perSecond(c, key, text) {
  return c.rates ? text(c.rates[key]) : '–';
}

// two prepares a cell with messages and, below, bytes.
function two(msgs, size) {
  return (td) => {
    const [a, b] = [el('span'), el('span', { class: 'second' })];
    td.append(a, b);
    return (c) => {
      setText(a, msgs(c));
      setText(b, size(c));
    };
  };
}

const columns = {
  open: (open) => [
    ...first(open),
    { title: 'Uptime', sort: 'uptime', ascending: true, kind: 'number minor', text: (c) => span(c.uptime) },
    { title: 'Idle', sort: 'idle', kind: 'number minor', text: (c) => span(c.idle) },
    { title: 'RTT', sort: 'rtt', kind: 'number minor', text: (c) => duration(c.rtt) || '–' },
    ...traffic,
    ...rates,
  ],
  closed: (open) => [
    ...first(open),
    { title: 'Disconnected', sort: 'stop', kind: number, text: (c) => time(new Date(c.stop)) },
    { title: 'Reason', sort: 'reason', ascending: true, kind: 'reason', text: (c) => c.reason },
    ...traffic,
  ],
};

// defaults are the order that a state is shown in first.
const defaults = { open: 'cid', closed: 'stop' };

// typing is how long to wait for the next letter, in milliseconds.
const typing = 250;

// Connections is the panel.
export class Connections {
  #ask = { state: 'open', sort: 'cid', search: '', offset: 0, limit: narrow() ? 10 : 25 };
  #table = new Table(byId('conn-table'));
  #pager = new Pager(byId('conn-pager'), (offset) => this.#change({ offset }));
  #loop;
  #open;
  #say = false; // the user has asked for something and waits for the outcome

  constructor(poller, open) {
    this.#open = open;
    this.#loop = poller.panel(byId('connections'), 3000, (signal) => this.#load(signal), (text) => this.#trouble(text));
    byId('conn-state').addEventListener('change', (e) => this.#setState(e.target.value));
    byId('conn-sort').addEventListener('change', (e) => this.#change({ sort: e.target.value, offset: 0 }));
    byId('conn-limit').addEventListener('change', (e) => this.#change({ limit: Number(e.target.value), offset: 0 }));
    byId('conn-limit').value = this.#ask.limit;
    let timer = 0;
    byId('conn-search').addEventListener('input', (e) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#change({ search: e.target.value.trim(), offset: 0 }), typing);
    });
    this.#build();
  }

  #setState(state) {
    Object.assign(this.#ask, { state, sort: defaults[state], offset: 0 });
    this.#build();
    this.#change({});
  }

  // build makes the columns of the state, and the list of orders.
  #build() {
    const list = columns[this.#ask.state](this.#open);
    this.#table.columns(list, (sort) => this.#change({ sort, offset: 0 }));
    byId('conn-sort').replaceChildren(...list.filter((c) => c.sort).map((c) => el('option', { value: c.sort }, c.title)),
      ...more[this.#ask.state].map(([value, title]) => el('option', { value }, title)));
    this.#mark();
  }

  #mark() {
    this.#table.sorted(this.#ask.sort);
    byId('conn-sort').value = this.#ask.sort;
  }

  #change(what) {
    Object.assign(this.#ask, what);
    this.#say = true;
    this.#mark();
    this.#loop.refresh();
  }

  async #load(signal) {
    const { state, sort, search, offset, limit } = this.#ask;
    const z = await page('connz', { state, sort, search, offset, limit, rates: state === 'open' ? 1 : '' }, signal);
    const shown = z.connections.length;
    if (shown === 0 && z.total > 0 && offset > 0) { // so many have gone
      this.#ask.offset = Math.floor((z.total - 1) / limit) * limit;
      await this.#load(signal);
      return;
    }
    this.#table.draw(z.connections, (c) => c.cid);
    this.#pager.draw({ offset, limit, shown, total: z.total, more: offset + shown < z.total });
    this.#empty(shown === 0);
    if (this.#say) {
      this.#say = false;
      const order = byId('conn-sort').selectedOptions[0]?.text;
      announce(shown === 0 ? byId('conn-empty').textContent : `${where(offset, shown, z.total)} connections, sorted by ${order}`);
    }
  }

  #empty(on) {
    const { state, search } = this.#ask;
    const none = state === 'open' ? 'No client is connected.' : 'No client has disconnected since the server started.';
    setText(byId('conn-empty'), search ? `Nothing matches “${search}”.` : none);
    show(byId('conn-empty'), on);
  }

  #trouble(text) {
    setText(byId('conn-trouble'), text ?? '');
    show(byId('conn-trouble'), text !== null);
  }
}
