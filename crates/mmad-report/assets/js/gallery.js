// Pictures in groups that follow the threshold, each as picture, truth and overlay.

import { arrange, choiceRow, el, setText, titleOf } from './dom.js';
import { whenFree } from './frames.js';
import { decodePicture, drawContour, drawTruth, heatOf } from './picture.js';
import { decide } from './stats.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./picture.js').View} View
 * @typedef {import('./stats.js').ReviewOf} ReviewOf
 * @typedef {import('./stats.js').Decision} Decision
 * @typedef {{threshold: number, reviewOf: ReviewOf | null}} Limits
 * @typedef {{node: HTMLElement, caption: HTMLElement, overlay: HTMLElement, contour: HTMLCanvasElement,
 *   truth: HTMLCanvasElement, decision: Decision | '', isNear: boolean, colormap: string}} Card
 *   `overlay` holds picture, map and contour on top of each other; `colormap` names the colours of
 *   the map there, and is empty until it is drawn
 */

const PAGE = 24;
/** Longer side of a picture on a card, for a screen with small pixels. */
const CARD_PX = 200;
/** Milliseconds without a change after which cards far from the screen follow too. */
const REST_MS = 150;
const GROUPS = [
  { value: 'falseRejects', label: 'False rejects' },
  { value: 'misses', label: 'Misses' },
  { value: 'closest', label: 'Closest to threshold' },
  { value: 'random', label: 'Random' },
];

/**
 * What the thresholds make of a picture.
 * @param {Picture} picture
 * @param {Limits} limits
 */
export function outcomeBadge(picture, { threshold, reviewOf }) {
  const decision = decide(picture, threshold, reviewOf);
  const isGood = picture.defect === null;
  const [text, kind] = {
    rejected: isGood ? ['false reject', 'wrong-good'] : ['rejected', 'right'],
    review: ['review', 'review'],
    passed: isGood ? ['passed', 'right'] : ['missed', 'wrong-bad'],
  }[decision];
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
 * @param {Limits} limits
 */
function pick(pictures, group, { threshold, reviewOf }) {
  const distance = (/** @type {Picture} */ picture) => Math.abs(picture.score01 - threshold);
  /** @type {(wanted: Decision, isGood: boolean) => Picture[]} */
  const decided = (wanted, isGood) =>
    pictures.filter((p) => (p.defect === null) === isGood && decide(p, threshold, reviewOf) === wanted);
  switch (group) {
    case 'falseRejects':
      return decided('rejected', true).sort((a, b) => b.score01 - a.score01);
    case 'misses':
      return decided('passed', false).sort((a, b) => a.score01 - b.score01);
    case 'closest':
      return [...pictures].sort((a, b) => distance(a) - distance(b));
    default:
      return [...pictures].sort((a, b) => lotOf(a) - lotOf(b));
  }
}

/** @type {WeakMap<Picture, number>} */
const lots = new WeakMap();

/** @param {Picture} picture */
function lotOf(picture) {
  const known = lots.get(picture) ?? lot(`${picture.class}/${picture.name}`);
  lots.set(picture, known);
  return known;
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
  /** @type {Limits} */
  let limits = { threshold: 0, reviewOf: null };
  let group = 'closest';
  let shown = PAGE;
  /** @type {Map<Picture, Card>} */
  const cards = new Map();
  /** @type {WeakMap<Element, Picture>} */
  const pictureOf = new WeakMap();
  /** The group as the cards show it. @type {Picture[]} */
  let list = [];
  let isNear = false;
  let rest = 0;

  const tabs = choiceRow('Group of pictures', GROUPS, group, (value) => {
    group = value;
    shown = PAGE;
    update();
  });
  const grid = el('div', { class: 'cards' });
  const more = el('button', { type: 'button', class: 'more', click: () => { shown += PAGE; update(); } }, 'Show more');
  const body = el('div', { class: 'card-group' }, tabs.node, grid, more);
  host.append(body);
  new IntersectionObserver(([entry]) => {
    isNear = entry.isIntersecting;
    if (isNear) follow();
  }, { rootMargin: '300px' }).observe(body);

  // Pictures are decoded when they come near the screen.
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const picture = pictureOf.get(target);
      const card = picture && cards.get(picture);
      if (!card) continue;
      card.isNear = isIntersecting;
      if (isIntersecting) draw(picture);
    }
  }, { rootMargin: '300px' });

  /** @param {Picture} picture */
  function cardOf(picture) {
    let card = cards.get(picture);
    if (card) return card;
    const [contour, truth] = [el('canvas', { class: 'contour' }), el('canvas', {})];
    const overlay = el('span', { class: 'overlay' });
    const caption = el('span', { class: 'caption' });
    const noMask = el('span', { class: 'no-mask' }, picture.defect === null ? 'good part' : 'no mask');
    const plain = el('img', { src: picture.picture, alt: '', loading: 'lazy' });
    const click = () => onOpen(list, list.indexOf(picture));
    const node = el(
      'button',
      { type: 'button', class: 'card', click },
      el('span', { class: 'panels' }, plain, picture.mask ? truth : noMask, overlay),
      caption,
    );
    card = { node, caption, overlay, contour, truth, decision: '', isNear: false, colormap: '' };
    cards.set(picture, card);
    pictureOf.set(node, picture);
    watcher.observe(node);
    return card;
  }

  /** @param {Picture} picture */
  async function draw(picture) {
    const card = cardOf(picture);
    if (card.colormap === view.colormap) return;
    const parts = await decodePicture(picture);
    whenFree(card, () => {
      if (card.colormap === '') {
        parts.image.alt = '';
        drawContour(card.contour, parts, CARD_PX);
        if (picture.mask) drawTruth(card.truth, parts, CARD_PX);
      }
      card.colormap = view.colormap;
      const heat = heatOf(parts, view.colormap, colormaps);
      heat.className = 'heat';
      card.overlay.replaceChildren(parts.image, heat, card.contour);
    });
  }

  // The cards come a frame after the numbers, and later while nobody can see them: otherwise a
  // slider would wait for pictures that come and go.
  function follow() {
    clearTimeout(rest);
    if (isNear) whenFree(grid, update);
    else rest = setTimeout(update, REST_MS);
  }

  function update() {
    clearTimeout(rest);
    for (const { value, label } of GROUPS) {
      const text = tabs.texts.get(value);
      const isAll = value === 'closest' || value === 'random';
      const n = isAll ? pictures.length : pick(pictures, value, limits).length;
      if (text) setText(text, `${label} ${n}`);
    }
    list = pick(pictures, group, limits);
    /** @type {HTMLElement[]} */
    const page = list.slice(0, shown).map((picture) => {
      const card = cardOf(picture);
      const decision = decide(picture, limits.threshold, limits.reviewOf);
      if (card.decision !== decision) {
        card.decision = decision;
        card.caption.replaceChildren(
          el('strong', {}, titleOf(picture)),
          outcomeBadge(picture, limits),
          el('span', { class: 'quiet' }, `${picture.defect ?? 'good'} · ${picture.score01.toFixed(3)}`),
        );
      }
      return card.node;
    });
    if (page.length === 0) page.push(el('p', { class: 'quiet' }, 'No such picture among those in this page.'));
    arrange(grid, page);
    more.hidden = list.length <= shown;
  }

  return {
    /**
     * @param {Picture[]} newPictures
     * @param {Limits} newLimits
     */
    show(newPictures, newLimits) {
      if (newPictures !== pictures) shown = PAGE;
      pictures = newPictures;
      limits = newLimits;
      follow();
    },
    /** Follows the colours of the maps; the style sheet does the rest. */
    recolour() {
      for (const [picture, card] of cards) if (card.isNear) draw(picture);
    },
  };
}
