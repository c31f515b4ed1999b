// False rejects and misses as small pictures that come and go with the threshold.

import { arrange, el, setText, titleOf } from './dom.js';
import { whenFree } from './frames.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').Confusion} Confusion
 * @typedef {import('./picture.js').View} View
 * @typedef {ReturnType<typeof import('./thumbs.js').createThumbs>} Thumbs
 * @typedef {{node: HTMLElement, canvases: HTMLCanvasElement[], colormap: string}} Thumb a picture and its map
 */

/** Small pictures shown at first, and added by one press of the button. */
const STEP = 24;
/** Small pictures made in one go. */
const PER_JOB = 8;

/**
 * @param {HTMLElement} host
 * @param {Thumbs} thumbs
 * @param {View} view
 * @param {Record<string, Uint8Array>} colormaps
 * @param {(list: ScoreRow[], index: number) => void} onOpen
 */
export function createMistakes(host, thumbs, view, colormaps, onOpen) {
  /** @type {Map<ScoreRow, Thumb>} */
  const made = new Map();
  const panels = [
    createPanel('False rejects', 'wrong-good', 'No good part is rejected.'),
    createPanel('Misses', 'wrong-bad', 'No defective part is missed.'),
  ];
  host.replaceChildren(...panels.map(({ node }) => node));

  /** @param {ScoreRow} row */
  function thumbOf(row) {
    let thumb = made.get(row);
    if (!thumb) {
      const canvases = thumbs.has(row) ? ['picture', 'heat'].map((kind) => el('canvas', { class: kind, 'aria-hidden': 'true' })) : [];
      const image = canvases.length > 0 ? el('span', { class: 'stack' }, ...canvases) : el('span', {}, row.name);
      const label = titleOf(row);
      const score = row.score01.toFixed(3);
      const node = el(
        'button',
        { type: 'button', class: canvases.length > 0 ? 'thumb' : 'thumb named', title: `${label}\n${score}`, 'aria-label': `${label}, ${score}` },
        image,
        el('data', { value: row.score01 }, score),
      );
      thumb = { node, canvases, colormap: '' };
      made.set(row, thumb);
    }
    if (thumb.canvases.length > 0 && thumb.colormap !== view.colormap) {
      thumb.colormap = view.colormap;
      thumbs.draw(thumb.canvases, row, view.colormap, colormaps);
    }
    return thumb.node;
  }

  /**
   * @param {string} title
   * @param {string} kind
   * @param {string} none
   */
  function createPanel(title, kind, none) {
    const count = el('span', { class: 'count' });
    const grid = el('div', { class: 'thumbs' });
    const more = el('button', { type: 'button', class: 'more' });
    const readout = el('p', { class: 'quiet readout' });
    const node = el('div', { class: `mistakes ${kind}` }, el('h3', {}, title, count), grid, readout, more);
    const nothing = el('p', { class: 'quiet' }, none);
    /** @type {ScoreRow[]} */
    let sorted = [];
    let n = 0;
    let limit = STEP;
    /** @type {Map<Element, ScoreRow>} */
    const rowOf = new Map();

    const rowAt = (/** @type {Event} */ event) => {
      const thumb = event.target instanceof Element ? event.target.closest('.thumb') : null;
      return thumb ? rowOf.get(thumb) : undefined;
    };
    const tell = (/** @type {Event} */ event) => {
      const row = rowAt(event);
      if (row) readout.textContent = titleOf(row);
    };
    grid.addEventListener('pointerover', tell);
    grid.addEventListener('focusin', tell);
    grid.addEventListener('click', (event) => {
      const row = rowAt(event);
      if (row) onOpen(sorted.slice(0, n), sorted.indexOf(row));
    });
    more.addEventListener('click', () => {
      limit += STEP;
      show();
    });

    function show() {
      const now = Math.min(n, limit);
      more.hidden = n <= now;
      setText(more, `Show ${Math.min(STEP, n - now)} more of ${n}`);
      setText(count, String(n));
      setText(readout, '');
      // The list comes a frame after its count: a slider must not wait for pictures.
      whenFree(grid, fill);
    }

    function fill() {
      const rows = sorted.slice(0, Math.min(n, limit));
      let nNew = 0;
      const rest = rows.findIndex((row) => !made.has(row) && (nNew += 1) > PER_JOB);
      const ready = rest < 0 ? rows : rows.slice(0, rest);
      // The worst come first, so that a list mostly grows or shrinks at its end.
      arrange(grid, ready.length > 0 ? ready.map(place) : [nothing]);
      if (rest >= 0) whenFree(grid, fill);
    }

    /** @param {ScoreRow} row */
    function place(row) {
      const thumb = thumbOf(row);
      rowOf.set(thumb, row);
      return thumb;
    }

    return {
      node,
      /**
       * @param {ScoreRow[]} rows the worst first
       * @param {number} nMistakes the first so many of them are mistakes
       * @param {boolean} isNewClass whether the list begins short again
       */
      show(rows, nMistakes, isNewClass) {
        if (isNewClass) limit = STEP;
        [sorted, n] = [rows, nMistakes];
        show();
      },
      recolour() {
        for (const row of sorted.slice(0, Math.min(n, limit))) thumbOf(row);
      },
    };
  }

  return {
    /**
     * @param {ScoreRow[]} good good parts, the highest score first
     * @param {ScoreRow[]} bad defective parts, the lowest score first
     * @param {Confusion} counts
     * @param {boolean} isNewClass
     */
    show(good, bad, counts, isNewClass) {
      panels[0].show(good, counts.falseRejects, isNewClass);
      panels[1].show(bad, counts.misses, isNewClass);
    },
    /** Follows the colours of the maps; the style sheet does the rest. */
    recolour() {
      for (const panel of panels) panel.recolour();
    },
  };
}
