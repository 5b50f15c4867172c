// How a client is shown wherever it appears.

import { el, setText, setAttribute } from './dom.js';
import { visible } from './format.js';

// clientButton makes a button with the name of a client, which opens its
// details, and returns what shows another client in it. Subscriptions have the
// name of their client, too.
export function clientButton(parent, open) {
  let cid = 0;
  const name = el('bdi');
  const button = el('button', { type: 'button', class: 'link', onclick: () => open(cid) }, name);
  parent.append(button);
  return (c) => {
    cid = c.cid;
    const own = c.client_name ?? c.name;
    setText(name, clientName({ cid, name: own }));
    setAttribute(button, 'title', own ? visible(own) : null);
    button.classList.toggle('unnamed', !own);
  };
}

// clientName is what a client calls itself.
export function clientName(c) {
  return c.name ? visible(c.name) : `connection ${c.cid}`;
}

// clientAddress is where a client is.
export function clientAddress(c) {
  return c.ip.includes(':') ? `[${c.ip}]:${c.port}` : `${c.ip}:${c.port}`;
}

// clientLibrary is the language and the version of the library a client uses.
export function clientLibrary(c) {
  return visible([c.lang, c.version].filter(Boolean).join(' '));
}
