// Slow consumers: clients that lag now, and beside them those that were
// disconnected, by the name of the client: one that comes back is one line.

import { page } from './api.js';
import { clientAddress, clientButton } from './client.js';
import { byId, el, keep, setText, show } from './dom.js';
import { bytes, count, duration, plural, time, visible } from './format.js';

// most is how many clients of each kind are shown.
const most = 10;

// records is how many disconnected ones are asked for: the server remembers no
// more slow consumers apart from others.
const records = 256;

// recent is how long ago is recent, in milliseconds.
const recent = 5 * 60_000;

// causes say in a sentence what the server's reasons mean.
const causes = {
  'Slow Consumer (Pending Bytes)': 'Too many bytes pending',
  'Slow Consumer (Write Deadline)': 'No progress within the write deadline',
};

// Slow is the panel. limit returns how many bytes may be pending for one client.
export class Slow {
  #limit;
  #open;

  constructor(poller, open, limit) {
    this.#open = open;
    this.#limit = limit;
    poller.panel(byId('slow'), 2000, (signal) => this.#load(signal), (text) => this.#trouble(text));
  }

  async #load(signal) {
    const open = await page('connz', { sort: 'pending', limit: most }, signal);
    const closed = await page('connz', { state: 'closed', reason: 'Slow Consumer', sort: 'stop', limit: records }, signal);
    const behind = open.connections.filter((c) => c.pending_bytes > 0);
    keep(byId('behind'), behind, (c) => c.cid, () => this.#behind());
    setText(byId('behind-empty'), 'None: every client has what was sent to it.');
    show(byId('behind-empty'), behind.length === 0);
    const groups = byClient(closed.connections, Date.parse(closed.now));
    keep(byId('disconnected'), groups.slice(0, most), (g) => g.key, () => this.#disconnected());
    setText(byId('disconnected-empty'), more(groups.length));
    show(byId('disconnected-empty'), groups.length === 0 || groups.length > most);
  }

  // behind makes a row of a client that is connected.
  #behind() {
    const bar = el('span');
    const facts = el('span', { class: 'facts-line' });
    const subject = el('span', { class: 'facts-line' });
    const node = el('li');
    const name = clientButton(node, this.#open);
    node.append(el('div', { class: 'meter', 'aria-hidden': 'true' }, bar), facts, subject);
    return {
      node,
      update: (c) => {
        name(c);
        const limit = this.#limit();
        bar.style.width = `${limit > 0 ? Math.min(100, (100 * c.pending_bytes) / limit) : 0}%`;
        const allowed = limit > 0 ? ` of ${bytes(limit)}` : '';
        const since = c.pending_for ? ` for ${duration(c.pending_for)}` : '';
        setText(facts, `${bytes(c.pending_bytes)}${allowed} pending${since} · ${clientAddress(c)}`);
        about(subject, c.pending_subject);
      },
    };
  }

  // disconnected makes a row of the clients of one name that were disconnected.
  #disconnected() {
    const times = el('span', { class: 'facts-line' });
    const cause = el('span', { class: 'cause' });
    const facts = el('span', { class: 'facts-line' });
    const subject = el('span', { class: 'facts-line' });
    const node = el('li');
    const name = clientButton(node, this.#open);
    node.append(times, cause, facts, subject);
    return {
      node,
      update: (g) => {
        const c = g.last;
        name(c);
        node.classList.toggle('recent', g.recent);
        setText(times, `${g.times === records ? `${count(records)} or more times` : plural(g.times, 'time')}, last ${time(new Date(c.stop))}`);
        setText(cause, causes[c.reason] ?? c.reason);
        cause.title = c.reason;
        const since = c.pending_for ? `, for ${duration(c.pending_for)}` : '';
        setText(facts, `${bytes(c.pending_bytes)} pending${since} · ${clientAddress(c)}`);
        about(subject, c.pending_subject);
      },
    };
  }

  #trouble(text) {
    setText(byId('slow-trouble'), text ?? '');
    show(byId('slow-trouble'), text !== null);
  }
}

// byClient groups clients by their names, or where they have none by their
// addresses. The list has the last to be disconnected first, and so have the groups.
export function byClient(clients, now) {
  const groups = new Map();
  for (const c of clients) {
    const key = c.name ? `name ${c.name}` : `ip ${c.ip}`;
    const group = groups.get(key);
    if (group) group.times++;
    else groups.set(key, { key, last: c, times: 1, recent: now - Date.parse(c.stop) < recent });
  }
  return [...groups.values()];
}

// about shows the subject of most pending bytes, if there is one.
function about(node, subject) {
  show(node, Boolean(subject));
  const text = subject ? visible(subject) : '';
  if (node.lastChild?.textContent !== text) node.replaceChildren('top subject ', el('code', {}, text));
}

// more says what is not in the list of clients that were disconnected.
function more(groups) {
  if (groups === 0) return 'No slow consumer was disconnected.';
  return `${plural(groups - most, 'other client')}: see the closed connections.`;
}
