// Pictures in groups that follow the threshold, each as picture, truth and overlay.

import { choiceRow, el } from './dom.js';
import { decodePicture, drawOverlay, drawTruth } from './picture.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./picture.js').View} View
 * @typedef {{node: HTMLElement, caption: HTMLElement, overlay: HTMLCanvasElement,
 *   truth: HTMLCanvasElement, seen: boolean}} Card
 */

const PAGE = 24;
const GROUPS = [
  { value: 'falseRejects', label: 'False rejects' },
  { value: 'misses', label: 'Misses' },
  { value: 'closest', label: 'Closest to threshold' },
  { value: 'random', label: 'Random' },
];

/**
 * What the threshold makes of a picture.
 * @param {Picture} picture
 * @param {number} threshold
 */
export function outcomeBadge(picture, threshold) {
  const rejected = picture.score01 >= threshold;
  const [text, kind] = picture.defect === null
    ? rejected ? ['false reject', 'wrong-good'] : ['passed', 'right']
    : rejected ? ['rejected', 'right'] : ['missed', 'wrong-bad'];
  return el('span', { class: `badge ${kind}` }, text);
}

/**
 * A number that looks random but stays with its name (FNV-1a), so that a page never reshuffles.
 * @param {string} text
 */
function lot(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
}

/**
 * The pictures of a group in the order they are shown.
 * @param {Picture[]} pictures
 * @param {string} group
 * @param {number} threshold
 */
function pick(pictures, group, threshold) {
  const distance = (/** @type {Picture} */ picture) => Math.abs(picture.score01 - threshold);
  const key = (/** @type {Picture} */ picture) => lot(`${picture.class}/${picture.name}`);
  switch (group) {
    case 'falseRejects':
      return pictures.filter((p) => p.defect === null && p.score01 >= threshold).sort((a, b) => b.score01 - a.score01);
    case 'misses':
      return pictures.filter((p) => p.defect !== null && p.score01 < threshold).sort((a, b) => a.score01 - b.score01);
    case 'closest':
      return [...pictures].sort((a, b) => distance(a) - distance(b));
    default:
      return [...pictures].sort((a, b) => key(a) - key(b));
  }
}

/**
 * @param {HTMLElement} host
 * @param {View} view
 * @param {Record<string, Uint8Array>} colormaps
 * @param {(pictures: Picture[], index: number) => void} onOpen
 */
export function createGallery(host, view, colormaps, onOpen) {
  /** @type {Picture[]} */
  let pictures = [];
  let threshold = 0;
  let group = 'closest';
  let shown = PAGE;
  /** @type {Map<Picture, Card>} */
  const cards = new Map();
  /** @type {WeakMap<Element, Picture>} */
  const pictureOf = new WeakMap();

  const tabs = choiceRow('Group of pictures', GROUPS, group, (value) => {
    group = value;
    shown = PAGE;
    update();
  });
  const grid = el('div', { class: 'cards' });
  const more = el('button', { type: 'button', class: 'more', click: () => { shown += PAGE; update(); } }, 'Show more');
  host.append(tabs.node, grid, more);

  // Pictures are decoded when they come near the screen.
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const picture = pictureOf.get(target);
      const card = picture && cards.get(picture);
      if (!card) continue;
      card.seen = isIntersecting;
      if (isIntersecting) draw(picture);
    }
  }, { rootMargin: '300px' });

  /** @param {Picture} picture */
  function cardOf(picture) {
    let card = cards.get(picture);
    if (card) return card;
    const [overlay, truth] = [el('canvas', { class: 'overlay' }), el('canvas', {})];
    const caption = el('span', { class: 'caption' });
    const noMask = el('span', { class: 'no-mask' }, picture.defect === null ? 'good part' : 'no mask');
    const plain = el('img', { src: picture.picture, alt: '', loading: 'lazy' });
    const click = () => {
      const list = pick(pictures, group, threshold);
      onOpen(list, list.indexOf(picture));
    };
    const node = el(
      'button',
      { type: 'button', class: 'card', click },
      el('span', { class: 'panels' }, plain, picture.mask ? truth : noMask, overlay),
      caption,
    );
    card = { node, caption, overlay, truth, seen: false };
    cards.set(picture, card);
    pictureOf.set(node, picture);
    watcher.observe(node);
    return card;
  }

  /** @param {Picture} picture */
  async function draw(picture) {
    const parts = await decodePicture(picture);
    const card = cardOf(picture);
    drawOverlay(card.overlay, parts, view, colormaps, 256);
    if (picture.mask) drawTruth(card.truth, parts, 256);
  }

  function update() {
    for (const { value, label } of GROUPS) {
      const text = tabs.texts.get(value);
      if (text) text.textContent = `${label} ${pick(pictures, value, threshold).length}`;
    }
    const list = pick(pictures, group, threshold);
    /** @type {HTMLElement[]} */
    const page = list.slice(0, shown).map((picture) => {
      const card = cardOf(picture);
      card.caption.replaceChildren(
        el('strong', {}, `${picture.class} / ${picture.name}`),
        outcomeBadge(picture, threshold),
        el('span', { class: 'quiet' }, `${picture.defect ?? 'good'} · ${picture.score01.toFixed(3)}`),
      );
      return card.node;
    });
    if (page.length === 0) page.push(el('p', { class: 'quiet' }, 'No such picture among those in this page.'));
    grid.replaceChildren(...page);
    more.hidden = list.length <= shown;
  }

  return {
    /**
     * @param {Picture[]} newPictures
     * @param {number} newThreshold
     */
    show(newPictures, newThreshold) {
      if (newPictures !== pictures) shown = PAGE;
      pictures = newPictures;
      threshold = newThreshold;
      update();
    },
    redraw() {
      for (const [picture, card] of cards) if (card.seen) draw(picture);
    },
  };
}
