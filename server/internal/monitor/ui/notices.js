// Notices at the top of the page: whether the server answers, and is the one of
// before. A screen reader says each once, when it comes.

import { announce, byId, el, keep, setAttribute, setText } from './dom.js';
import { time } from './format.js';

// Notices are kept by key. A key has at most one.
export class Notices {
  #all = new Map();
  #lost = null; // since when

  // state is the state of the connection to the server.
  state(state) {
    if (state === 'lost') {
      this.#lost ??= new Date();
      this.#put('reach', 'bad', `The server has not answered since ${time(this.#lost)}. What is shown is from before. Trying again…`);
    } else if (state === 'login') {
      this.#put('reach', 'bad', 'The server asks for a login now. Reload the page to give it.');
    }
    if (state !== 'live') return;
    this.#lost = null;
    if (this.#all.get('reach')?.kind === 'bad') { // no later notice took its place
      this.#put('reach', 'good', `The server answers again since ${time(new Date())}.`);
    }
  }

  // server looks at /varz; restarted says that it is not the server of before.
  server(varz, restarted) {
    if (restarted) {
      this.#put('reach', 'good', `The server was restarted at ${time(new Date(varz.start))}. Its counters start at zero again.`);
    }
  }

  // put sets the notice of a key; an empty text removes it.
  #put(key, kind, text) {
    const before = this.#all.get(key);
    if ((before?.text ?? '') === text) return;
    if (text) this.#all.set(key, { key, kind, text });
    else this.#all.delete(key);
    this.#draw();
    if (text) announce(text);
  }

  #draw() {
    keep(byId('notices'), [...this.#all.values()], (n) => n.key, () => this.#node());
  }

  #node() {
    let key = '';
    const text = el('span');
    const close = el('button', { type: 'button', class: 'link', onclick: () => this.#put(key, '', '') }, 'Dismiss');
    const node = el('p', { class: 'notice' }, text, close);
    return {
      node,
      update: (n) => {
        key = n.key;
        setText(text, n.text);
        setAttribute(node, 'data-kind', n.kind);
        close.hidden = n.kind !== 'good';
      },
    };
  }
}
