// The links to the sections: they land where they point although tables load
// late, and the one of the section that is read is marked.

import { setAttribute } from './dom.js';

// settling is how long after a link was followed its section is held in place,
// in milliseconds, unless the reader moves the page.
const settling = 4_000;

// followSections starts it.
export function followSections() {
  let wanted = null;
  let until = 0;
  const hold = () => {
    if (wanted && performance.now() < until) wanted.scrollIntoView({ behavior: 'instant', block: 'start' });
  };
  const want = () => {
    wanted = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    until = performance.now() + settling;
    hold();
  };
  addEventListener('hashchange', want);
  document.addEventListener('click', (e) => { // the same link again
    if (e.target.closest?.('a[href^="#"]')?.hash === location.hash && location.hash) want();
  });
  for (const moved of ['wheel', 'touchstart', 'keydown', 'pointerdown']) {
    addEventListener(moved, () => { wanted = null; }, { passive: true, capture: true });
  }
  new ResizeObserver(hold).observe(document.querySelector('main'));
  want();

  const links = [...document.querySelectorAll('nav a')];
  const parts = links.map((a) => document.getElementById(a.hash.slice(1)));
  const mark = () => {
    const line = innerHeight / 3;
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    let now = parts.findLastIndex((p) => p.getBoundingClientRect().top <= line);
    if (wanted && performance.now() < until && parts.includes(wanted)) now = parts.indexOf(wanted);
    else if (atEnd && scrollY > 0) now = parts.findLastIndex((p) => p.getBoundingClientRect().top < innerHeight);
    links.forEach((a, i) => setAttribute(a, 'aria-current', i === Math.max(0, now) ? 'true' : null));
  };
  let due = false;
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; mark(); });
    due = true;
  };
  addEventListener('scroll', later, { passive: true });
  addEventListener('resize', later);
  mark();
}
