// Scores of good (up) and defective (down) pictures, with a threshold to drag.

import { el, linear, onWidth, svg } from './dom.js';
import { SHIPPED, histogram, roundThreshold } from './stats.js';

const BARS_HEIGHT = 250;
const BARS_MARGIN = { left: 18, right: 18, top: 30, bottom: 30 };
const N_BINS = 50;

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @param {HTMLElement} host
 * @param {(threshold: number) => void} onThreshold
 */
export function createHistogram(host, onThreshold) {
  /** @type {ScoreRow[]} */
  let rows = [];
  let threshold = SHIPPED;
  let width = 0;
  /** @type {[number, number]} */
  let domain = [0, 1];

  const plot = svg('svg', { class: 'histogram', height: BARS_HEIGHT, 'aria-hidden': 'true' });
  const slider = el('input', { type: 'range', class: 'threshold-slider', step: 0.001, 'aria-label': 'Threshold' });
  slider.addEventListener('input', () => onThreshold(Number(slider.value)));
  host.append(plot, slider);

  const scale = () => linear(domain, [BARS_MARGIN.left, width - BARS_MARGIN.right]);
  /** @param {PointerEvent} event */
  const follow = (event) => {
    const value = scale().invert(event.clientX - plot.getBoundingClientRect().left);
    onThreshold(roundThreshold(Math.min(domain[1], Math.max(domain[0], value))));
  };
  plot.addEventListener('pointerdown', (event) => {
    plot.setPointerCapture(event.pointerId);
    follow(event);
  });
  plot.addEventListener('pointermove', (event) => {
    if (plot.hasPointerCapture(event.pointerId)) follow(event);
  });

  function draw() {
    const x = scale();
    const bottom = BARS_HEIGHT - BARS_MARGIN.bottom;
    const bins = histogram(rows, domain, N_BINS, threshold);
    // Both kinds share one unit of height, and the axis lies where both fit.
    const highest = Math.max(1, ...bins.map((bin) => bin.passes + bin.falseRejects));
    const lowest = Math.max(1, ...bins.map((bin) => bin.misses + bin.hits));
    const unit = (bottom - BARS_MARGIN.top) / (highest + lowest);
    const middle = BARS_MARGIN.top + highest * unit;
    const barWidth = (x.at(domain[1]) - x.at(domain[0])) / N_BINS;

    const bars = svg('g');
    bins.forEach((bin, i) => {
      const left = x.at(domain[0]) + i * barWidth + 0.5;
      /** @type {(from: number, to: number, kind: string) => void} */
      const bar = (from, to, kind) => {
        if (from === to) return;
        const [y0, y1] = [middle - from * unit, middle - to * unit].sort((a, b) => a - b);
        bars.append(svg('rect', { class: kind, x: left, y: y0, width: Math.max(1, barWidth - 1), height: y1 - y0 }));
      };
      bar(0, bin.falseRejects, 'bar-good wrong');
      bar(bin.falseRejects, bin.falseRejects + bin.passes, 'bar-good');
      bar(0, -bin.misses, 'bar-bad wrong');
      bar(-bin.misses, -bin.misses - bin.hits, 'bar-bad');
    });

    const ticks = svg('g', { class: 'ticks' });
    const nTicks = Math.round((domain[1] - domain[0]) * 10);
    const every = nTicks > width / 40 ? 5 : nTicks > 14 ? 2 : 1;
    for (let i = 0; i <= nTicks; i += every) {
      const value = domain[0] + i / 10;
      ticks.append(svg('text', { x: x.at(value), y: bottom + 18, 'text-anchor': 'middle' }, value.toFixed(1)));
    }

    const at = x.at(threshold);
    const onLeft = at > width / 2;
    const marks = svg(
      'g',
      {},
      svg('line', { class: 'axis', x1: BARS_MARGIN.left, x2: width - BARS_MARGIN.right, y1: middle, y2: middle }),
      svg('line', { class: 'shipped', x1: x.at(SHIPPED), x2: x.at(SHIPPED), y1: BARS_MARGIN.top, y2: bottom }),
      svg('line', { class: 'threshold', x1: at, x2: at, y1: 14, y2: bottom + 4 }),
      svg(
        'text',
        { class: 'threshold-label', x: at + (onLeft ? -8 : 8), y: 20, 'text-anchor': onLeft ? 'end' : 'start' },
        onLeft ? `passed ← ${threshold.toFixed(3)}` : `${threshold.toFixed(3)} → rejected`,
      ),
    );
    plot.setAttribute('width', String(width));
    plot.replaceChildren(bars, ticks, marks);
  }

  onWidth(host, (newWidth) => {
    width = newWidth;
    draw();
  });

  return {
    /**
     * @param {ScoreRow[]} newRows
     * @param {number} newThreshold
     */
    show(newRows, newThreshold) {
      rows = newRows;
      threshold = newThreshold;
      // A loop, because a spread of very many scores would overflow the stack.
      let [low, high] = [0, 1];
      for (const { score01 } of rows) {
        low = Math.min(low, score01);
        high = Math.max(high, score01);
      }
      domain = [Math.floor(low * 10) / 10, Math.ceil(high * 10) / 10];
      slider.min = String(domain[0]);
      slider.max = String(domain[1]);
      slider.value = String(threshold);
      slider.setAttribute('aria-valuetext', `score ${threshold.toFixed(3)}`);
      if (width > 0) draw();
    },
  };
}
