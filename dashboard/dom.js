// Makes elements, and brings what is shown in line with what should be shown.
// Text goes in as text and never as markup, wherever it comes from.

const SVG = 'http://www.w3.org/2000/svg';

/** Make an HTML element; attributes that are null or false are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child);
    }
  }
  return element;
}

/** Make the children of an element be these, and keep what is alike: focus, scroll, what is open. */
export function morph(parent, wanted) {
  const focused = document.activeElement;
  const nodes = wanted.flat(Infinity).filter((one) => one !== null && one !== false)
    .map((one) => (typeof one === 'string' ? document.createTextNode(one) : one));
  bring(parent, nodes);
  if (focused !== document.activeElement && focused.isConnected && parent.contains(focused)) {
    focused.focus({ preventScroll: true });  // it was moved, which takes the focus away
  }
}

function bring(parent, wanted) {
  const keyed = new Map();
  for (const node of parent.childNodes) {
    if (keyOf(node)) keyed.set(keyOf(node), node);
  }
  let at = parent.firstChild;
  for (const fresh of wanted) {
    const key = keyOf(fresh);
    const found = key ? keyed.get(key) : at;
    if (!found || !isAlike(found, fresh)) {
      parent.insertBefore(fresh, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else parent.insertBefore(found, at);
    patch(found, fresh);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('data-key') : null;
}

function isAlike(old, fresh) {
  return old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

function patch(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    const isTheirs = name === 'open' && old.nodeName === 'DETAILS';  // people open and close it
    if (!fresh.hasAttribute(name) && !isTheirs) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  bring(old, [...fresh.childNodes]);
}
