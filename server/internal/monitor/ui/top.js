// Who floods, and what: the clients and the subjects with most messages and
// bytes now.

import { page } from './api.js';
import { clientAddress, clientButton } from './client.js';
import { byId, el, keep, setText, show } from './dom.js';
import { bytes, count, plural, short, visible } from './format.js';

// most is how many of each are shown.
const most = 8;

// Top is the panel.
export class Top {
  #open;

  constructor(poller, open) {
    this.#open = open;
    byId('top-sort').addEventListener('change', () => this.loop.refresh());
    this.loop = poller.panel(byId('top'), 2000, (signal) => this.#load(signal), (text) => this.#trouble(text));
  }

  async #load(signal) {
    const talkers = await page('connz', { sort: 'rate', rates: 1, limit: most }, signal);
    const subjects = await page('subjectz', { sort: byId('top-sort').value, limit: most }, signal);
    const busy = talkers.connections.filter((c) => c.rates && c.rates.in_msgs + c.rates.out_msgs > 0);
    keep(byId('talkers'), busy, (c) => c.cid, () => this.#talker());
    const known = talkers.connections.length === 0 || talkers.connections.some((c) => c.rates);
    setText(byId('talkers-empty'), known ? 'None: no client sends or receives anything now.' : 'Measuring…');
    show(byId('talkers-empty'), busy.length === 0);
    keep(byId('top-subjects'), subjects.subjects, (s) => s.subject, () => this.#subject());
    setText(byId('top-subjects-empty'), 'None: no client publishes anything now.');
    show(byId('top-subjects-empty'), subjects.subjects.length === 0);
  }

  #talker() {
    const node = el('li');
    const name = clientButton(node, this.#open);
    const received = el('span', { class: 'facts-line' });
    const sent = el('span', { class: 'facts-line' });
    node.append(received, sent);
    return {
      node,
      update: (c) => {
        name(c);
        setText(received, `Received ${rate(c.rates.in_msgs, c.rates.in_bytes)} · ${clientAddress(c)}`);
        setText(sent, `Sent ${rate(c.rates.out_msgs, c.rates.out_bytes)}`);
      },
    };
  }

  #subject() {
    const subject = el('code');
    const facts = el('span', { class: 'facts-line' });
    const unheard = el('span', { class: 'facts-line warn' });
    const from = el('span', { class: 'facts-line' });
    const node = el('li', {}, subject, facts, unheard, from);
    const name = clientButton(from, this.#open);
    const others = el('span');
    from.append(others);
    return {
      node,
      update: (s) => {
        setText(subject, visible(s.subject));
        setText(facts, `${rate(s.msgs_rate, s.bytes_rate)} · fan-out ${count(Math.round(s.fanout * 10) / 10)}`);
        setText(unheard, `${short(s.no_receivers_rate)} msgs/s without a receiver`);
        show(unheard, s.no_receivers_rate > 0);
        show(from, Boolean(s.top_cid));
        if (!s.top_cid) return;
        name({ cid: s.top_cid, name: s.top_client });
        setText(others, s.publishers > 1 ? ` and ${plural(s.publishers - 1, 'other client')}` : '');
      },
    };
  }

  #trouble(text) {
    setText(byId('top-trouble'), text ?? '');
    show(byId('top-trouble'), text !== null);
  }
}

// rate is messages and bytes per second.
export function rate(msgs, size) {
  return `${short(msgs)} msgs/s, ${bytes(size)}/s`;
}
