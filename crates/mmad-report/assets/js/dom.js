// Small helpers to build elements. Text always goes in as text nodes, never as markup.

/**
 * Creates an HTML element; a property that is a function listens to the event of its name.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [props]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Creates an SVG element under the same rules.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [props]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), props, children);
}

/**
 * @template {Element} E
 * @param {E} node
 * @param {Record<string, unknown>} props
 * @param {(Node | string)[]} children
 */
function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') node.addEventListener(name, /** @type {EventListener} */ (value));
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/**
 * Changes a text; the same text again costs no layout.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes `nodes` the children of `parent`. Those that stay in their order are not touched, so they
 * keep focus and cost nothing.
 * @param {Element} parent
 * @param {Element[]} nodes
 */
export function arrange(parent, nodes) {
  const staying = new Set(nodes);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  nodes.forEach((node, i) => {
    const there = parent.children[i] ?? null;
    if (there !== node) parent.insertBefore(node, there);
  });
}

/**
 * The element with this id; a page without it is broken.
 * @param {string} id
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no element #${id}`);
  return node;
}

/**
 * Radio buttons drawn as one row of choices.
 * @param {string} legend
 * @param {{value: string, label: string}[]} choices
 * @param {string} chosen
 * @param {(value: string) => void} onChoose
 */
export function choiceRow(legend, choices, chosen, onChoose) {
  const name = `choice-${legend.toLowerCase().replaceAll(' ', '-')}`;
  /** @type {Map<string, HTMLElement>} */
  const texts = new Map();
  const node = el('fieldset', { class: 'choices' }, el('legend', { class: 'unseen' }, legend));
  for (const { value, label } of choices) {
    const text = el('span', {}, label);
    const change = () => onChoose(value);
    const radio = el('input', { type: 'radio', name, value, checked: value === chosen, change });
    texts.set(value, text);
    node.append(el('label', {}, radio, text));
  }
  return { node, texts };
}

/**
 * Calls `draw` with the width of `host` now and whenever it changes.
 * @param {HTMLElement} host
 * @param {(width: number) => void} draw
 */
export function onWidth(host, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    if (width > 0) draw(width);
  }).observe(host);
}

/**
 * What a picture is called: its class and its name, which often begins with the class.
 * @param {{class: string, name: string}} picture
 */
export function titleOf({ class: of, name }) {
  return `${of} / ${name.startsWith(`${of}/`) ? name.slice(of.length + 1) : name}`;
}

/**
 * `part` of `whole` in percent, with one decimal.
 * @param {number} part
 * @param {number} whole
 */
export function percent(part, whole) {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '–';
}

/**
 * A linear scale from data to pixels, and back.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 */
export function linear([d0, d1], [r0, r1]) {
  const slope = (r1 - r0) / (d1 - d0);
  return {
    /** @param {number} value */
    at: (value) => r0 + (value - d0) * slope,
    /** @param {number} pixel */
    invert: (pixel) => d0 + (pixel - r0) / slope,
  };
}
