// The dashboard of a gnatsd server. This file puts the parts together:
//
//   api.js            the server's pages, as objects
//   poll.js           when they are asked for
//   history.js        an hour of samples, and rates
//   sections.js       the links to the sections
//   status.js         all is well, or what is not
//   chart.js          lines
//   figures.js        rows of figures
//   table.js          tables with sorting and pages
//   client.js         how a client is shown
//   format.js         numbers, sizes, times, names
//   dom.js            elements, without HTML
//   notices.js        what the server's state is, beyond figures
//   overview.js, top.js, slow.js, connections.js, subscriptions.js, mesh.js,
//   server.js, details.js  the parts of the page
//
// All text that came from clients goes through dom.js as text nodes, and the
// Content-Security-Policy would stop anything else.

import { page } from './api.js';
import { Connections } from './connections.js';
import { Details } from './details.js';
import { byId, setAttribute, setText } from './dom.js';
import { History } from './history.js';
import { Mesh } from './mesh.js';
import { Notices } from './notices.js';
import { Overview } from './overview.js';
import { Poller } from './poll.js';
import { followSections } from './sections.js';
import { ServerFacts } from './server.js';
import { Slow } from './slow.js';
import { Status } from './status.js';
import { Subscriptions } from './subscriptions.js';
import { Top } from './top.js';

const stateTexts = { wait: 'Connecting', live: 'Live', paused: 'Paused', lost: 'Not reachable', login: 'Login needed' };

const notices = new Notices();
const poller = new Poller((state) => {
  setAttribute(byId('state'), 'data-state', state);
  setText(byId('state-text'), stateTexts[state]);
  notices.state(state);
  line.state(state);
});

const history = new History();
const overview = new Overview();
const facts = new ServerFacts();
let varz = null; // the latest
let status = null; // the latest

const draw = () => {
  if (!varz) return;
  overview.draw(varz, history, status);
  facts.draw(varz, status);
};

poller.vital(1000, async (signal) => {
  varz = await page('varz', {}, signal);
  const restarted = history.add(varz);
  draw();
  notices.server(varz, restarted);
  if (history.lacks) {
    history.fill(await page('historyz', {}, signal));
    draw();
  }
}).resume();

overview.spans(history, draw);
const line = new Status(poller, (z) => { status = z; draw(); }, (reason) => connections.closedFor(reason));

const details = new Details(poller);
const open = (cid) => details.open(cid);
new Top(poller, open);
new Slow(poller, open, () => varz?.max_pending ?? 0);
const connections = new Connections(poller, open);
new Subscriptions(poller, open);
new Mesh(poller);

byId('pause').addEventListener('click', (e) => {
  const on = e.currentTarget.getAttribute('aria-pressed') !== 'true';
  setAttribute(e.currentTarget, 'aria-pressed', on);
  poller.paused = on;
});

followSections(poller);
