// Who floods, and what: the clients and the subjects with most messages and
// bytes now.

import { page } from './api.js';
import { clientAddress, clientButton } from './client.js';
import { byId, el, keep, setText, show } from './dom.js';
import { bytes, count, plural, rate, visible } from './format.js';

// most is how many of each are shown.
const most = 8;

// orders are what clients may be sorted by, and the rate that it is.
const orders = { msgs_from_rate: 'in_msgs', bytes_from_rate: 'in_bytes', msgs_to_rate: 'out_msgs', bytes_to_rate: 'out_bytes' };

// Top is the panel.
export class Top {
  #open;

  constructor(poller, open) {
    this.#open = open;
    for (const id of ['talkers-sort', 'top-sort']) byId(id).addEventListener('change', () => this.loop.refresh());
    this.loop = poller.panel(byId('top'), 2000, (signal) => this.#load(signal), (text) => this.#trouble(text));
  }

  async #load(signal) {
    const sort = byId('talkers-sort').value;
    const talkers = await page('connz', { sort, rates: 1, limit: most }, signal);
    const subjects = await page('subjectz', { sort: byId('top-sort').value, limit: most }, signal);
    const busy = talkers.connections.filter((c) => c.rates?.[orders[sort]] > 0);
    keep(byId('talkers'), busy, (c) => c.cid, () => this.#talker());
    const known = talkers.connections.length === 0 || talkers.connections.some((c) => c.rates);
    setText(byId('talkers-empty'), known ? sort.includes('from') ? 'None: nothing is received from a client now.' : 'None: nothing is sent to a client now.' : 'Measuring…');
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
        setText(received, `Received ${both(c.rates.in_msgs, c.rates.in_bytes)} · ${clientAddress(c)}`);
        setText(sent, `Sent ${both(c.rates.out_msgs, c.rates.out_bytes)}`);
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
        setText(facts, `${both(s.msgs_rate, s.bytes_rate)} · fan-out ${count(Math.round(s.fanout * 10) / 10)}`);
        setText(unheard, `${rate(s.no_receivers_rate)} msgs/s without a receiver`);
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

// both is messages and bytes per second.
function both(msgs, size) {
  return `${rate(msgs)} msgs/s, ${bytes(size)}/s`;
}
