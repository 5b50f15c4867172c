// The links to the sections: they land where they point although tables load
// late, and the one of the section that is read is marked.

import { setAttribute } from './dom.js';

// quiet is how long all tables in sight must have been there, and the page as
// high as it is, until a section is left where it is, in milliseconds.
const quiet = 1_000;

// atEnd reports whether the end of the page is in sight.
function atEnd() {
  return innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
}

// followSections starts it. A section whose link was followed is held in place
// until the reader moves the page, or its tables and those around it have loaded.
export function followSections(poller) {
  const main = document.querySelector('main');
  let wanted = null; // the section that is held
  let followed = null; // the one whose link was followed, until the reader moves the page
  let placed = null; // where it was put: how far from the top of the window, and of the page
  let complete = null; // since when the tables have been there, and how high the page was
  const top = () => wanted.getBoundingClientRect().top;
  const hold = () => {
    if (!wanted) return;
    wanted.scrollIntoView({ block: 'start' });
    placed = { top: top(), scrollY };
  };
  const want = () => {
    wanted = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    followed = wanted;
    complete = null;
    if (wanted) history.scrollRestoration = 'manual'; // what a reload restores is from before the tables
    hold();
    mark();
  };
  const moved = () => { wanted = followed = null; };
  addEventListener('hashchange', want);
  document.addEventListener('click', (e) => { // the same link again
    if (e.target.closest?.('a[href^="#"]')?.hash === location.hash && location.hash) want();
  });
  for (const event of ['wheel', 'touchstart', 'keydown', 'pointerdown']) {
    addEventListener(event, moved, { passive: true, capture: true });
  }
  addEventListener('scroll', () => { // by a scrollbar, or by what reads the page aloud
    if (!wanted) return;
    const cut = scrollY < placed.scrollY && atEnd(); // the page has become shorter
    if (!cut && Math.abs(scrollY - placed.scrollY) > 2 && Math.abs(top() - placed.top) > 2) moved();
  }, { passive: true });
  new ResizeObserver(hold).observe(main);
  poller.onPanel = (all) => {
    const now = performance.now();
    const height = main.offsetHeight;
    if (!all || complete?.height !== height) complete = all ? { at: now, height } : null;
    else if (now - complete.at >= quiet) wanted = null;
  };

  const links = [...document.querySelectorAll('nav a')];
  const parts = links.map((a) => document.getElementById(a.hash.slice(1)));
  const mark = () => {
    const line = innerHeight / 3;
    let now = parts.findLastIndex((p) => p.getBoundingClientRect().top <= line);
    if (parts.includes(followed)) now = parts.indexOf(followed);
    else if (atEnd() && scrollY > 0) now = parts.findLastIndex((p) => p.getBoundingClientRect().top < innerHeight);
    links.forEach((a, i) => setAttribute(a, 'aria-current', i === Math.max(0, now) ? 'true' : null));
  };
  let due = false;
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; mark(); });
    due = true;
  };
  addEventListener('scroll', later, { passive: true });
  addEventListener('resize', later);
  want();
}
