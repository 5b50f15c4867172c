// The line under the header: all is well, or what is not, each with a link to
// what says more. The server makes the list.

import { page } from './api.js';
import { announce, byId, el, keep, setAttribute, setText, show } from './dom.js';
import { time } from './format.js';

const headings = { ok: 'All well', notice: 'Well, but note', warning: 'Needs a look', critical: 'Needs attention' };

// places are what a link may lead to: a section, or a page of this server.
const places = /^(#[a-z]+|[a-z]+z(\?[a-zA-Z=&]*)?)$/;

// Status is the line. onStatus is called with each /statusz, onClosed with the
// reason of closed connections whose link was followed.
export class Status {
  #said = null; // what a screen reader has read
  #latest = null;
  #onClosed;

  constructor(poller, onStatus, onClosed) {
    this.#onClosed = onClosed;
    poller.always(2000, async (signal) => {
      const z = await page('statusz', {}, signal);
      this.#draw(z);
      onStatus(z);
    }, (text) => text && this.#unknown(text));
  }

  // state is the state of the connection to the server. What was said before is
  // not said on as if it were so now.
  state(state) {
    if (state === 'lost') this.#unknown('the server does not answer');
    if (state === 'login') this.#unknown('the server asks for a login');
    if (state === 'paused' && this.#latest) setText(byId('status-title'), `${headings[this.#latest.status]} at ${time(new Date(this.#latest.now))}`);
  }

  #unknown(why) {
    setAttribute(byId('status'), 'data-status', 'wait');
    setText(byId('status-title'), `Not known: ${why}`);
    show(byId('status-list'), false);
  }

  #draw(z) {
    this.#latest = z;
    setAttribute(byId('status'), 'data-status', z.status);
    setText(byId('status-title'), headings[z.status] ?? z.status);
    keep(byId('status-list'), z.conditions, (c) => c.code, () => this.#condition());
    show(byId('status-list'), z.conditions.length > 0);
    const codes = z.conditions.map((c) => c.code).join();
    if (this.#said !== null && this.#said !== codes) {
      announce(z.conditions.length === 0 ? headings.ok : z.conditions.map((c) => c.text).join('. '));
    }
    this.#said = codes;
  }

  // condition makes the link of one condition. One to closed connections leads
  // to those in the table of connections.
  #condition() {
    let reason = null;
    const link = el('a', { onclick: () => reason && this.#onClosed(reason) });
    const node = el('li', {}, link);
    return {
      node,
      update: (c) => {
        setText(link, c.text);
        setAttribute(node, 'data-status', c.severity);
        const url = places.test(c.link) ? c.link : 'statusz';
        reason = url.startsWith('connz?state=closed') ? new URLSearchParams(url.slice('connz?'.length)).get('reason') : null;
        setAttribute(link, 'href', reason ? '#connections' : url);
      },
    };
  }
}
