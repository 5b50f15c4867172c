// The table of clients, connected or gone, which the server searches, sorts and
// divides into pages: it may have tens of thousands.

import { page } from './api.js';
import { clientAddress, clientButton, clientLibrary } from './client.js';
import { announce, byId, el, narrow, setAttribute, setText, show } from './dom.js';
import { bytes, count, duration, rate, short, span, time } from './format.js';
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
  { title: 'Received/s', brief: 'Received', sort: 'msgs_from_rate', kind: number, cell: two((c) => perSecond(c, 'in_msgs', rate), (c) => perSecond(c, 'in_bytes', bytes)) },
  { title: 'Sent/s', brief: 'Sent', sort: 'msgs_to_rate', kind: number, cell: two((c) => perSecond(c, 'out_msgs', rate), (c) => perSecond(c, 'out_bytes', bytes)) },
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

// choices are which clients may be shown: reason is part of why they are gone.
const choices = [
  { value: 'open', title: 'Open', state: 'open', reason: '' },
  { value: 'closed', title: 'Closed', state: 'closed', reason: '' },
  { value: 'slow', title: 'Slow consumers', state: 'closed', reason: 'Slow Consumer' },
  { value: 'refused', title: 'Logins refused', state: 'closed', reason: 'Authentication' },
];

// defaults are the order that a state is shown in first.
const defaults = { open: 'cid', closed: 'stop' };

// typing is how long to wait for the next letter, in milliseconds.
const typing = 250;

// Connections is the panel.
export class Connections {
  #ask = { state: 'open', reason: '', sort: 'cid', search: '', offset: 0, limit: narrow() ? 10 : 25 };
  #table = new Table(byId('conn-table'));
  #pager = new Pager(byId('conn-pager'), (offset) => this.#change({ offset }));
  #loop;
  #open;
  #say = false; // the user has asked for something and waits for the outcome

  constructor(poller, open) {
    this.#open = open;
    this.#loop = poller.panel(byId('connections'), 3000, (signal) => this.#load(signal), (text) => this.#trouble(text));
    byId('conn-state').append(...choices.map((c) => el('option', { value: c.value }, c.title)));
    byId('conn-state').addEventListener('change', (e) => this.#show(choices.find((c) => c.value === e.target.value)));
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

  // closedFor shows the clients that are gone for a reason, whatever was searched before.
  closedFor(reason) {
    const choice = choices.find((c) => c.reason === reason) ?? choices.find((c) => c.value === 'closed');
    byId('conn-state').value = choice.value;
    byId('conn-search').value = '';
    this.#ask.search = '';
    this.#show(choice);
  }

  #show({ state, reason }) {
    Object.assign(this.#ask, { state, reason, sort: defaults[state], offset: 0 });
    this.#build();
    this.#change({});
  }

  // build makes the columns of the state, and the list of orders.
  #build() {
    const list = columns[this.#ask.state](this.#open);
    setAttribute(byId('conn-table'), 'data-state', this.#ask.state);
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
    const { state, reason, sort, search, offset, limit } = this.#ask;
    const z = await page('connz', { state, reason, sort, search, offset, limit, rates: state === 'open' ? 1 : '' }, signal);
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
    const { state, reason, search } = this.#ask;
    const gone = reason ? 'None since the server started.' : 'No client has disconnected since the server started.';
    const none = state === 'open' ? 'No client is connected.' : gone;
    setText(byId('conn-empty'), search ? `Nothing matches “${search}”.` : none);
    show(byId('conn-empty'), on);
  }

  #trouble(text) {
    setText(byId('conn-trouble'), text ?? '');
    show(byId('conn-trouble'), text !== null);
  }
}
