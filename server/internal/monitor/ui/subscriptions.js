// The subscriptions of all clients, or those that a message on a subject reaches.

import { page } from './api.js';
import { clientButton } from './client.js';
import { announce, byId, el, narrow, setAttribute, setText, show } from './dom.js';
import { Figures } from './figures.js';
import { count, percent, plural, short, visible } from './format.js';
import { Pager, Table, where } from './table.js';

// limit is how many are shown on a page.
const limit = narrow() ? 10 : 25;

// typing is how long to wait for the next letter, in milliseconds.
const typing = 250;

const columns = (open) => [
  { title: 'Subject', kind: 'main', cell: subject },
  { title: 'Queue group', cell: code((s) => s.qgroup || '–') },
  { title: 'Client', sort: 'client', ascending: true, kind: 'name', cell: (td) => clientButton(td, open) },
  { title: 'Sid', kind: 'number minor', text: (s) => (s.folded > 1 ? '–' : visible(s.sid)) },
  { title: 'Delivered', sort: 'delivered', kind: 'number', text: (s) => short(s.msgs) },
  { title: 'Max', kind: 'number minor', text: (s) => (s.max ? count(s.max) : '–') },
];

// code prepares a cell for a subject or the like.
function code(of) {
  return (td) => {
    const node = td.appendChild(el('code'));
    return (s) => setText(node, visible(of(s)));
  };
}

// subject prepares a cell with a subject, and how many inboxes it stands for.
function subject(td) {
  const node = td.appendChild(el('code'));
  const note = td.appendChild(el('span', { class: 'quiet' }));
  return (s) => {
    setText(node, visible(s.subject));
    setText(note, s.folded ? ` ${count(s.folded)} ${s.folded === 1 ? 'inbox' : 'inboxes'}` : '');
  };
}

// figures are the numbers of the routing table.
const figures = [
  { title: 'In the routing table', show: (z) => count(z.num_subscriptions) },
  { title: 'Average fan-out', show: (z) => z.avg_fanout.toFixed(1) },
  { title: 'Max fan-out', show: (z) => count(z.max_fanout) },
  { title: 'Lookups', show: (z) => short(z.num_matches) },
  { title: 'Cache hits', show: (z) => (z.num_matches ? percent(z.cache_hit_rate * 100) : '–') },
];

// Subscriptions is the panel.
export class Subscriptions {
  #test = '';
  #sort = 'client';
  #offset = 0;
  #say = false;
  #figures = new Figures('sub-figures', figures);
  #table = new Table(byId('sub-table'));
  #pager = new Pager(byId('sub-pager'), (offset) => this.#change(this.#test, offset));
  #loop;

  constructor(poller, open) {
    this.#table.columns(columns(open), (sort) => this.#order(sort));
    this.#table.sorted(this.#sort);
    this.#loop = poller.panel(byId('subscriptions'), 4000, (signal) => this.#load(signal), (text) => this.#trouble(text));
    let timer = 0;
    const field = byId('sub-test');
    field.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#change(field.value.trim(), 0), typing);
    });
    byId('sub-form').addEventListener('submit', (e) => {
      e.preventDefault();
      this.#change(field.value.trim(), 0);
    });
  }

  #order(sort) {
    this.#sort = sort;
    this.#table.sorted(sort);
    this.#change(this.#test, 0);
  }

  #change(test, offset) {
    this.#test = test;
    this.#offset = offset;
    this.#say = true;
    this.#loop.refresh();
  }

  // load asks for one more than is shown: the server does not say how many
  // there are.
  async #load(signal) {
    const offset = this.#offset;
    const z = await page('subsz', { subs: 1, fold: 1, test: this.#test, sort: this.#sort === 'client' ? '' : this.#sort, offset, limit: limit + 1 }, signal);
    const list = z.subscriptions_list ?? [];
    if (list.length === 0 && offset > 0) { // so many have ended
      this.#offset = Math.max(0, offset - limit);
      await this.#load(signal);
      return;
    }
    const rows = list.slice(0, limit);
    this.#figures.draw(z);
    this.#table.draw(rows, (s) => `${s.cid} ${s.sid}`);
    this.#others(z.remotes ?? []);
    this.#pager.draw({ offset, limit, shown: rows.length, total: null, more: list.length > limit });
    setText(byId('sub-empty'), this.#test ? `None: a message on “${visible(this.#test)}” reaches no client here.` : 'No client has subscribed to anything.');
    show(byId('sub-empty'), rows.length === 0);
    if (this.#say) {
      this.#say = false;
      announce(rows.length === 0 ? byId('sub-empty').textContent : `${where(offset, rows.length, null)} subscriptions`);
    }
  }

  // others says which other servers a message goes to as well.
  #others(remotes) {
    const names = remotes.slice(0, 8).map((r) => visible(r.remote_name));
    const more = remotes.length > names.length ? ` and ${count(remotes.length - names.length)} more` : '';
    setText(byId('sub-remotes'), `It is also sent to ${plural(remotes.length, 'other server')}: ${names.join(', ')}${more}.`);
    show(byId('sub-remotes'), remotes.length > 0);
  }

  #trouble(text) {
    setAttribute(byId('sub-test'), 'aria-invalid', text === null ? null : 'true');
    setText(byId('sub-trouble'), text ?? '');
    show(byId('sub-trouble'), text !== null);
  }
}
