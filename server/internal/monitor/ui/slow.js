// Slow consumers: clients that are behind now, and those that were disconnected.

import { page } from './api.js';
import { clientAddress, clientButton } from './client.js';
import { byId, el, keep, setText, show } from './dom.js';
import { bytes, count, duration, time, visible } from './format.js';

// most is how many clients of each kind are shown.
const most = 10;

// causes say in a sentence what the server's reasons mean.
const causes = {
  'Slow Consumer (Pending Bytes)': 'Too much was waiting for it',
  'Slow Consumer (Write Deadline)': 'It took nothing for too long',
};

// Slow is the panel. limit returns how many bytes may wait for one client.
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
    const closed = await page('connz', { state: 'closed', reason: 'Slow Consumer', sort: 'stop', limit: most }, signal);
    const behind = open.connections.filter((c) => c.pending_bytes > 0);
    keep(byId('behind'), behind, (c) => c.cid, () => this.#behind());
    setText(byId('behind-empty'), 'None: every client has what was sent to it.');
    show(byId('behind-empty'), behind.length === 0);
    keep(byId('disconnected'), closed.connections, (c) => c.cid, () => this.#disconnected());
    setText(byId('disconnected-empty'), more(closed));
    show(byId('disconnected-empty'), closed.total === 0 || closed.total > most);
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
        setText(facts, `${bytes(c.pending_bytes)}${allowed} waiting${since} · ${clientAddress(c)}`);
        about(subject, 'mostly ', c.pending_subject);
      },
    };
  }

  // disconnected makes a row of a client that is gone.
  #disconnected() {
    const cause = el('span', { class: 'cause' });
    const facts = el('span', { class: 'facts-line' });
    const subject = el('span', { class: 'facts-line' });
    const node = el('li');
    const name = clientButton(node, this.#open);
    node.append(cause, facts, subject);
    return {
      node,
      update: (c) => {
        name(c);
        const stop = new Date(c.stop);
        setText(cause, causes[c.reason] ?? c.reason);
        cause.title = c.reason;
        const since = c.pending_for ? `, for ${duration(c.pending_for)}` : '';
        setText(facts, `${bytes(c.pending_bytes)} waiting${since} · ${time(stop)} · ${clientAddress(c)}`);
        about(subject, 'mostly ', c.pending_subject);
      },
    };
  }

  #trouble(text) {
    setText(byId('slow-trouble'), text ?? '');
    show(byId('slow-trouble'), text !== null);
  }
}

// about shows a subject after a word, if there is one.
function about(node, word, subject) {
  show(node, Boolean(subject));
  const text = subject ? visible(subject) : '';
  if (node.textContent !== word + text) node.replaceChildren(word, el('code', {}, text));
}

// more says what is not in the list of clients that were disconnected.
function more(closed) {
  if (closed.total === 0) return 'No slow consumer was disconnected.';
  return `${count(closed.total - most)} more were disconnected before; they are among the closed connections.`;
}
