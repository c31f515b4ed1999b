// False rejects and misses as small pictures that come and go with the threshold.

import { el, titleOf } from './dom.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').Confusion} Confusion
 * @typedef {import('./picture.js').View} View
 * @typedef {ReturnType<typeof import('./thumbs.js').createThumbs>} Thumbs
 * @typedef {{node: HTMLElement, canvas: HTMLCanvasElement | null, drawnAs: string}} Thumb
 */

/** Small pictures shown at first, and added by one press of the button. */
const STEP = 24;

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
      const canvas = thumbs.has(row) ? el('canvas', { 'aria-hidden': 'true' }) : null;
      const label = titleOf(row);
      const score = row.score01.toFixed(3);
      const node = el(
        'button',
        { type: 'button', class: canvas ? 'thumb' : 'thumb named', title: `${label}\n${score}`, 'aria-label': `${label}, ${score}` },
        canvas ?? el('span', {}, row.name),
        el('data', { value: row.score01 }, score),
      );
      thumb = { node, canvas, drawnAs: '' };
      made.set(row, thumb);
    }
    const look = `${view.colormap} ${view.opacity}`;
    if (thumb.canvas && thumb.drawnAs !== look) {
      thumb.drawnAs = look;
      thumbs.draw(thumb.canvas, row, view, colormaps);
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
    /** @type {ScoreRow[]} */
    let sorted = [];
    let n = 0;
    let limit = STEP;
    let shown = -1;
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
      more.textContent = `Show ${Math.min(STEP, n - now)} more of ${n}`;
      count.textContent = String(n);
      if (now === shown) return;
      readout.textContent = '';
      // The worst come first and the list only grows or shrinks at its end.
      if (shown > 0 && now > 0) {
        for (let i = shown; i > now; i -= 1) grid.lastElementChild?.remove();
        for (let i = shown; i < now; i += 1) grid.append(place(sorted[i]));
      } else {
        grid.replaceChildren(...(now > 0 ? sorted.slice(0, now).map(place) : [el('p', { class: 'quiet' }, none)]));
      }
      shown = now;
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
       */
      show(rows, nMistakes) {
        if (rows !== sorted) [sorted, shown, limit] = [rows, -1, STEP];
        n = nMistakes;
        show();
      },
      redraw() {
        for (const row of sorted.slice(0, Math.max(0, shown))) thumbOf(row);
      },
    };
  }

  return {
    /**
     * @param {ScoreRow[]} good good parts, the highest score first
     * @param {ScoreRow[]} bad defective parts, the lowest score first
     * @param {Confusion} counts
     */
    show(good, bad, counts) {
      panels[0].show(good, counts.falseRejects);
      panels[1].show(bad, counts.misses);
    },
    redraw() {
      for (const panel of panels) panel.redraw();
    },
  };
}
