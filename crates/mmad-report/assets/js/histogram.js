// Scores of good (up) and defective (down) pictures, with one or two thresholds to drag.

import { el, linear, onWidth, setText, svg } from './dom.js';
import { SHIPPED, histogram, roundThreshold } from './stats.js';

const BARS_HEIGHT = 270;
const BARS_MARGIN = { left: 18, right: 18, top: 34, bottom: 30 };
const N_BINS = 50;

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').ReviewOf} ReviewOf
 * @typedef {{rows: ScoreRow[], threshold: number, review: number | null, reviewOf: ReviewOf | null}} HistogramState
 *   `review` is null where there is no such line, or one per class
 */

/**
 * @param {HTMLElement} host
 * @param {(threshold: number) => void} onThreshold
 * @param {(review: number) => void} onReview
 */
export function createHistogram(host, onThreshold, onReview) {
  /** @type {HistogramState} */
  let state = { rows: [], threshold: SHIPPED, review: null, reviewOf: null };
  let width = 0;
  /** @type {[number, number]} */
  let domain = [0, 1];
  /** @type {(threshold: number) => void} */
  let dragged = onThreshold;

  const plot = svg('svg', { class: 'histogram', height: BARS_HEIGHT, 'aria-hidden': 'true' });
  // Bars and ticks are made anew with the pictures and the width. A threshold only moves these
  // nodes and the ends of the bars that it crosses.
  const band = svg('rect', { class: 'review-band', y: BARS_MARGIN.top, height: BARS_HEIGHT - BARS_MARGIN.bottom - BARS_MARGIN.top });
  const reviewLine = svg('line', { class: 'review-line', y1: 22, y2: BARS_HEIGHT - BARS_MARGIN.bottom + 4 });
  const reviewLabel = svg('text', { class: 'review-label', y: 30, 'text-anchor': 'end' });
  const shipped = svg('line', { class: 'shipped', y1: BARS_MARGIN.top, y2: BARS_HEIGHT - BARS_MARGIN.bottom });
  const line = svg('line', { class: 'threshold', y1: 14, y2: BARS_HEIGHT - BARS_MARGIN.bottom + 4 });
  const grip = svg('circle', { class: 'grip', cy: 14, r: 5 });
  const label = svg('text', { class: 'threshold-label', y: 18 });
  /** @type {ReturnType<typeof bars> | null} */
  let drawnBars = null;
  /** @type {(kind: string, name: string, set: (value: number) => void) => HTMLInputElement} */
  const sliderFor = (kind, name, set) => {
    const slider = el('input', { type: 'range', class: `threshold-slider ${kind}`, step: 0.001, 'aria-label': name });
    slider.addEventListener('input', () => set(Number(slider.value)));
    return slider;
  };
  const slider = sliderFor('reject', 'Threshold', onThreshold);
  const reviewSlider = sliderFor('review', 'Review from', onReview);
  host.append(plot, slider, reviewSlider);

  const scale = () => linear(domain, [BARS_MARGIN.left, width - BARS_MARGIN.right]);
  /** @param {PointerEvent} event */
  const valueAt = (event) => scale().invert(event.clientX - plot.getBoundingClientRect().left);
  /** @param {PointerEvent} event */
  const follow = (event) => dragged(roundThreshold(Math.min(domain[1], Math.max(domain[0], valueAt(event)))));
  plot.addEventListener('pointerdown', (event) => {
    const value = valueAt(event);
    const { threshold, review } = state;
    const isReview = review !== null && value < (threshold + review) / 2;
    dragged = isReview ? onReview : onThreshold;
    plot.setPointerCapture(event.pointerId);
    follow(event);
  });
  plot.addEventListener('pointermove', (event) => {
    if (plot.hasPointerCapture(event.pointerId)) follow(event);
  });

  /** @param {{at: (value: number) => number}} x */
  function bars(x) {
    const { rows, threshold, reviewOf } = state;
    const bottom = BARS_HEIGHT - BARS_MARGIN.bottom;
    const bins = histogram(rows, domain, N_BINS, threshold, reviewOf);
    // Both kinds share one unit of height, and the axis lies where both fit.
    const highest = Math.max(1, ...bins.map((bin) => bin.good));
    const lowest = Math.max(1, ...bins.map((bin) => bin.bad));
    const unit = (bottom - BARS_MARGIN.top) / (highest + lowest);
    const middle = BARS_MARGIN.top + highest * unit;
    const barWidth = (x.at(domain[1]) - x.at(domain[0])) / N_BINS;
    const group = svg('g');
    /** A bar of the part that is decided rightly and one of the rest, which begins at the axis. */
    const pair = (/** @type {number} */ i, /** @type {string} */ kind, /** @type {1 | -1} */ up, /** @type {number} */ n) => {
      const size = { x: x.at(domain[0]) + i * barWidth + 0.5, width: Math.max(1, barWidth - 1) };
      const [right, wrong] = [svg('rect', { class: kind, ...size }), svg('rect', { class: `${kind} wrong`, ...size })];
      if (n > 0) group.append(wrong, right);
      let shown = -1;
      return (/** @type {number} */ nWrong) => {
        if (nWrong === shown) return;
        shown = nWrong;
        for (const [bar, from, to] of /** @type {[Element, number, number][]} */ ([[wrong, 0, nWrong], [right, nWrong, n]])) {
          bar.setAttribute('y', String(middle - unit * (up > 0 ? to : -from)));
          bar.setAttribute('height', String((to - from) * unit));
        }
      };
    };
    const pairs = bins.map(({ good, bad }, i) => ({ good: pair(i, 'bar-good', 1, good), bad: pair(i, 'bar-bad', -1, bad) }));
    group.append(
      svg('line', { class: 'axis', x1: BARS_MARGIN.left, x2: width - BARS_MARGIN.right, y1: middle, y2: middle }),
    );
    return { group, rows, pairs };
  }

  /** @param {{at: (value: number) => number}} x */
  function ticks(x) {
    const group = svg('g', { class: 'ticks' });
    const nTicks = Math.round((domain[1] - domain[0]) * 10);
    const every = nTicks > width / 40 ? 5 : nTicks > 14 ? 2 : 1;
    for (let i = 0; i <= nTicks; i += every) {
      const value = domain[0] + i / 10;
      const at = { x: x.at(value), y: BARS_HEIGHT - BARS_MARGIN.bottom + 18 };
      group.append(svg('text', { ...at, 'text-anchor': 'middle' }, value.toFixed(1)));
    }
    return group;
  }

  function draw() {
    const x = scale();
    const { rows, threshold, review, reviewOf } = state;
    if (drawnBars?.rows !== rows) {
      drawnBars = bars(x);
      move(shipped, { x1: x.at(SHIPPED), x2: x.at(SHIPPED) });
      plot.setAttribute('width', String(width));
      plot.replaceChildren(drawnBars.group, ticks(x), shipped, line, grip, label);
    }
    histogram(rows, domain, N_BINS, threshold, reviewOf).forEach(({ goodWrong, badWrong }, i) => {
      drawnBars?.pairs[i].good(goodWrong);
      drawnBars?.pairs[i].bad(badWrong);
    });
    const at = x.at(threshold);
    if (review === null) for (const node of [band, reviewLine, reviewLabel]) node.remove();
    else {
      const from = x.at(review);
      move(band, { x: from, width: Math.max(0, at - from) });
      move(reviewLine, { x1: from, x2: from });
      move(reviewLabel, { x: from - 8 });
      setText(reviewLabel, `${review.toFixed(3)} review →`);
      if (!band.isConnected) shipped.before(band, reviewLine, reviewLabel);
    }
    const onLeft = at > width / 2 && review === null;
    move(line, { x1: at, x2: at });
    move(grip, { cx: at });
    move(label, { x: at + (onLeft ? -11 : 11), 'text-anchor': onLeft ? 'end' : 'start' });
    setText(label, onLeft ? `passed ← ${threshold.toFixed(3)}` : `${threshold.toFixed(3)} → rejected`);
  }

  /**
   * @param {Element} node
   * @param {Record<string, string | number>} attributes
   */
  function move(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  }

  onWidth(host, (newWidth) => {
    width = newWidth;
    drawnBars = null;
    draw();
  });

  return {
    /** @param {HistogramState} newState */
    show(newState) {
      if (newState.rows !== state.rows) {
        // A loop, because a spread of very many scores would overflow the stack.
        let [low, high] = [0, 1];
        for (const { score01 } of newState.rows) {
          low = Math.min(low, score01);
          high = Math.max(high, score01);
        }
        domain = [Math.floor(low * 10) / 10, Math.ceil(high * 10) / 10];
      }
      state = newState;
      const { threshold, review } = state;
      reviewSlider.hidden = review === null;
      for (const [input, value] of /** @type {[HTMLInputElement, number][]} */ ([[slider, threshold], [reviewSlider, review ?? 0]])) {
        input.min = String(domain[0]);
        input.max = String(domain[1]);
        input.value = String(value);
        input.setAttribute('aria-valuetext', `score ${value.toFixed(3)}`);
      }
      if (width > 0) draw();
    },
  };
}
