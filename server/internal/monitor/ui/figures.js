// A row of figures, each with a title, a value and perhaps a note and a line.

import { byId, el, setText } from './dom.js';

// Figures shows them in a <dl>. One has a title, show and note, which make text
// of what is shown, alarm, which says whether it deserves a look, spark, a line,
// link, the part of the page that says more, and only, which says whether there
// is such a figure.
export class Figures {
  #list;

  constructor(id, list) {
    this.#list = list.map((f) => {
      const value = el('dd', { class: 'value' });
      const note = el('dd', { class: 'quiet' });
      const title = f.link ? el('a', { href: f.link }, f.title) : f.title;
      const node = el('div', {}, el('dt', {}, title), value);
      if (f.note) node.append(note);
      if (f.spark) node.append(el('dd', { class: 'sparkline' }, f.spark.node));
      byId(id).append(node);
      return { ...f, node, value, noteNode: note };
    });
  }

  draw(what, history = null) {
    for (const f of this.#list) {
      if (f.only) f.node.hidden = !f.only(what);
      setText(f.value, f.show(what));
      if (f.note) setText(f.noteNode, f.note(what));
      if (f.alarm) f.node.classList.toggle('alarm', Boolean(f.alarm(what)));
      if (f.spark) f.spark.draw(history);
    }
  }
}
