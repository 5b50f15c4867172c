// Everything about one client, in a dialog.

import { page } from './api.js';
import { clientAddress, clientLibrary, clientName } from './client.js';
import { byId, el, keep, setText, show } from './dom.js';
import { bytes, count, duration, plural, span, time, visible } from './format.js';

// most is how many subscriptions are listed. Of a client with more, none are
// asked for: it may have a million.
const most = 500;

// facts are what is shown of a client, if it has it.
const facts = [
  ['Id', (c) => String(c.cid)],
  ['Address', clientAddress],
  ['User', (c) => visible(c.authorized_user ?? '')],
  ['Library', clientLibrary],
  ['TLS', (c) => [c.tls_version, c.tls_cipher_suite].filter(Boolean).join(', ')],
  ['Connected', (c) => `${time(new Date(c.start))}, ${c.stop ? 'stayed' : 'up'} ${span(c.uptime)}`],
  ['Last activity', (c) => `${time(new Date(c.last_activity))}, idle ${span(c.idle)}`],
  ['Disconnected', (c) => (c.stop ? `${time(new Date(c.stop))}: ${c.reason}` : '')],
  ['RTT', (c) => duration(c.rtt)],
  ['Pending', (c) => bytes(c.pending_bytes) + (c.pending_for ? `, for ${duration(c.pending_for)}` : '')],
  ['Dropped', (c) => (c.dropped_msgs ? `${plural(c.dropped_msgs, 'message')}, ${bytes(c.dropped_bytes ?? 0)}` : '')],
  ['Top subject', (c) => visible(c.pending_subject ?? '')],
  ['Sent', (c) => `${plural(c.out_msgs, 'message')}, ${bytes(c.out_bytes)}`],
  ['Received', (c) => `${plural(c.in_msgs, 'message')}, ${bytes(c.in_bytes)}`],
];

// Details is the dialog.
export class Details {
  #dialog = byId('details');
  #cid = 0;
  #loop;

  constructor(poller) {
    this.#loop = poller.panel(this.#dialog, 2000, (signal) => this.#load(signal), (text) => this.#trouble(text));
    byId('details-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('click', (e) => {
      if (e.target === this.#dialog) this.#dialog.close(); // beside it
    });
  }

  // open shows a client. The browser gives the focus back when it is closed.
  open(cid) {
    this.#cid = cid;
    this.#clear();
    this.#dialog.showModal();
    byId('details-title').focus();
    this.#loop.refresh();
  }

  #clear() {
    setText(byId('details-title'), `Connection ${this.#cid}`);
    keep(byId('details-facts'), [], null, null);
    keep(byId('details-subs'), [], null, null);
    setText(byId('details-subs-note'), 'Loading…');
    show(byId('details-subs-note'), true);
  }

  async #load(signal) {
    const ask = { cid: this.#cid, state: 'all', auth: 1 };
    const found = (await page('connz', ask, signal)).connections[0];
    if (!found) {
      setText(byId('details-subs-note'), 'The server does not remember this connection any more.');
      return;
    }
    const listed = found.subscriptions > 0 && found.subscriptions <= most;
    const client = listed ? (await page('connz', { ...ask, subs: 'detail' }, signal)).connections[0] ?? found : found;
    this.#draw(client, listed);
  }

  #draw(c, listed) {
    setText(byId('details-title'), clientName(c));
    const shown = facts.map(([title, of]) => ({ title, text: of(c) })).filter((f) => f.text);
    keep(byId('details-facts'), shown, (f) => f.title, fact);
    const subs = listed ? c.subscriptions_list_detail ?? [] : [];
    keep(byId('details-subs'), subs.slice(0, most), (s) => s.sid, subscription);
    const note = subs.length > 0 ? '' : noList(c, listed);
    setText(byId('details-subs-note'), note);
    show(byId('details-subs-note'), note !== '');
  }

  #trouble(text) {
    setText(byId('details-trouble'), text ?? '');
    show(byId('details-trouble'), text !== null);
  }
}

// noList says why no subscriptions are listed.
function noList(c, asked) {
  if (c.subscriptions === 0) return 'None.';
  return `${count(c.subscriptions)}, ${asked ? 'which the server does not remember any more' : 'too many to be listed here'}.`;
}

// fact makes one line of the facts.
function fact(f) {
  const value = el('dd');
  return { node: el('div', {}, el('dt', {}, f.title), value), update: (now) => setText(value, now.text) };
}

// subscription makes one line of the subscriptions.
function subscription() {
  const subject = el('code');
  const about = el('span', { class: 'quiet' });
  return {
    node: el('li', {}, subject, about),
    update: (s) => {
      setText(subject, visible(s.subject));
      const group = s.qgroup ? `queue group ${visible(s.qgroup)} · ` : '';
      const limit = s.max ? ` of ${count(s.max)}` : '';
      setText(about, `${group}${count(s.msgs)}${limit} delivered`);
    },
  };
}
