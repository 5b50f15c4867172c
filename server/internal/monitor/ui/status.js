// The line under the header: all is well, or what is not, each with a link to
// what says more. The server makes the list.

import { page } from './api.js';
import { announce, byId, el, keep, setAttribute, setText, show } from './dom.js';

const headings = { ok: 'All well', notice: 'Well, but note', warning: 'Needs a look', critical: 'Needs attention' };

// places are what a link may lead to: a section, or a page of this server.
const places = /^(#[a-z]+|[a-z]+z(\?[a-zA-Z=&]*)?)$/;

// Status is the line. onStatus is called with each /statusz.
export class Status {
  #said = null; // what a screen reader has read

  constructor(poller, onStatus) {
    poller.always(2000, async (signal) => {
      const z = await page('statusz', {}, signal);
      this.#draw(z);
      onStatus(z);
    });
  }

  #draw(z) {
    setAttribute(byId('status'), 'data-status', z.status);
    setText(byId('status-title'), headings[z.status] ?? z.status);
    keep(byId('status-list'), z.conditions, (c) => c.code, () => condition());
    show(byId('status-list'), z.conditions.length > 0);
    const codes = z.conditions.map((c) => c.code).join();
    if (this.#said !== null && this.#said !== codes) {
      announce(z.conditions.length === 0 ? headings.ok : z.conditions.map((c) => c.text).join('. '));
    }
    this.#said = codes;
  }
}

// condition makes the link of one condition.
function condition() {
  const link = el('a');
  const node = el('li', {}, link);
  return {
    node,
    update: (c) => {
      setText(link, c.text);
      setAttribute(node, 'data-status', c.severity);
      setAttribute(link, 'href', places.test(c.link) ? c.link : 'statusz');
    },
  };
}
