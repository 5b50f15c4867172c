// Making elements. Whatever text comes from the server becomes a text node, never
// HTML: there is no other way in here.

// el makes an element with attributes and children. An attribute of the form
// onclick is a listener; null and false leave an attribute out.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

// byId returns an element of the page.
export function byId(id) {
  return document.getElementById(id);
}

// svg makes an SVG element of the same kind as the drawing it will be part of.
export function svg(drawing, tag, attributes = {}) {
  const node = document.createElementNS(drawing.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// narrow reports whether rows of a table are shown as cards, which are long.
export function narrow() {
  return matchMedia('(max-width: 1000px)').matches;
}

// setText changes a text if it is another one, so that nothing is drawn, or
// read out, for nothing.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// setAttribute is the same for an attribute; null removes it.
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// show hides an element or takes it out of hiding.
export function show(node, on) {
  node.hidden = !on;
}

// kept are the children that keep made, by parent and key.
const kept = new WeakMap();

// keptNode returns the child that keep made for a key.
export function keptNode(parent, key) {
  return kept.get(parent).get(key).node;
}

// keep makes the children of parent those of a list: one per item, the same
// element for the same key as before, in the order of the list. make returns an
// element for an item and a function that shows an item in it. The focus stays
// where it is if its element does.
export function keep(parent, items, keyOf, make) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  const focus = document.activeElement;
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = before.get(key) ?? make(item);
    before.delete(key);
    after.set(key, child);
    child.update(item);
    if (child.node === at) at = at.nextElementSibling;
    else parent.insertBefore(child.node, at);
  }
  for (const gone of before.values()) gone.node.remove();
  kept.set(parent, after);
  if (focus !== document.activeElement && parent.contains(focus)) focus.focus({ preventScroll: true });
}

// announce has a screen reader say something, once what it says now is done.
// It is for the outcome of what the user did and for the state of the server,
// not for numbers that change.
export function announce(text) {
  const node = byId('announce');
  node.textContent = '';
  node.textContent = text;
}
