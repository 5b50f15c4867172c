// Tables that the server sorts and divides into pages.

import { el, keep, setAttribute, setText } from './dom.js';
import { count } from './format.js';

// Table shows rows under columns. A column has a title and either text, a
// function of a row, or cell, which prepares a cell and returns a function that
// shows a row in it. With sort, a sort key of the server, its header is a button;
// ascending says in which direction the server sorts by it. kind is a class, brief
// the title where the screen is narrow, if it is another one.
//
// The roles are those that the elements have anyway, but lose in some browsers
// where narrow screens show rows as cards.
export class Table {
  #table;
  #columns;
  #headers = [];

  constructor(table) {
    this.#table = table;
  }

  // columns sets what is shown, and what to call when another order is wanted.
  columns(columns, onSort = null) {
    this.#columns = columns;
    this.#headers = columns.map((c) => el('th', { scope: 'col', role: 'columnheader', class: c.kind ?? null }, c.sort
      ? el('button', { type: 'button', class: 'sorter', onclick: () => onSort(c.sort) }, c.title)
      : c.title));
    this.#table.tHead.replaceChildren(el('tr', { role: 'row' }, ...this.#headers));
    keep(this.#table.tBodies[0], [], null, null);
  }

  // sorted marks the column that the rows are sorted by.
  sorted(key) {
    this.#columns.forEach((c, i) => {
      setAttribute(this.#headers[i], 'aria-sort', c.sort !== key ? null : c.ascending ? 'ascending' : 'descending');
    });
  }

  // draw shows rows. The table is hidden if there are none.
  draw(rows, keyOf) {
    keep(this.#table.tBodies[0], rows, keyOf, () => this.#row());
    this.#table.hidden = rows.length === 0;
  }

  #row() {
    const node = el('tr', { role: 'row' });
    const shows = this.#columns.map((c) => {
      const cell = node.appendChild(el('td', { role: 'cell', class: c.kind ?? null, 'data-title': c.title, 'data-brief': c.brief ?? null }));
      return c.cell ? c.cell(cell) : (row) => setText(cell, c.text(row));
    });
    return { node, update: (row) => shows.forEach((show) => show(row)) };
  }
}

// Pager is the buttons and the text below a table. onMove is called with a new offset.
export class Pager {
  #first;
  #previous;
  #next;
  #text = el('span', { class: 'where' });
  #offset = 0;
  #limit = 1;
  #root;

  constructor(root, onMove) {
    const move = (offset) => (e) => e.currentTarget.getAttribute('aria-disabled') ?? onMove(offset());
    const button = (title, offset) => el('button', { type: 'button', class: 'button', onclick: move(offset) }, title);
    this.#root = root;
    this.#first = button('First', () => 0);
    this.#previous = button('Previous', () => Math.max(0, this.#offset - this.#limit));
    this.#next = button('Next', () => this.#offset + this.#limit);
    root.append(this.#text, this.#first, this.#previous, this.#next);
    root.hidden = true;
  }

  // draw shows where a page is: so many entries from offset on, of total, which
  // is null if it is unknown, and whether there are more.
  draw({ offset, limit, shown, total, more }) {
    this.#offset = offset;
    this.#limit = limit;
    this.#root.hidden = shown === 0 && offset === 0;
    setText(this.#text, where(offset, shown, total));
    // A button that has the focus stays able to have it.
    for (const [b, on] of [[this.#first, offset > 0], [this.#previous, offset > 0], [this.#next, more]]) {
      setAttribute(b, 'aria-disabled', on ? null : 'true');
    }
  }
}

// where says in words which entries are shown.
export function where(offset, shown, total) {
  if (shown === 0) return 'none';
  const range = `${count(offset + 1)}–${count(offset + shown)}`;
  return total === null ? range : `${range} of ${count(total)}`;
}
