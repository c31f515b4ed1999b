// Every picture where two runs put it, with its name under the cursor.

import { el, linear, onWidth, svg, titleOf } from './dom.js';

const SCATTER_MARGIN = { left: 52, right: 16, top: 14, bottom: 44 };

/**
 * @typedef {{class: string, name: string, is_anomalous: boolean, before01: number, after01: number,
 *   hasChanged: boolean}} Dot
 */

/**
 * @param {HTMLElement} host
 * @param {string} xLabel
 * @param {string} yLabel
 */
export function createScatter(host, xLabel, yLabel) {
  const plot = svg('svg', { class: 'scatter', role: 'img', 'aria-label': `Scores of ${yLabel} over those of ${xLabel}` });
  const hint = 'Point at a picture to read its name.';
  const readout = el('output', { class: 'readout' }, hint);
  host.append(plot, readout);
  /** @type {Dot[]} */
  let dots = [];
  let width = 0;

  function draw() {
    const height = Math.min(560, Math.max(300, width * 0.55));
    // A loop, because a spread of very many scores would overflow the stack.
    let [low, high] = [0, 1];
    for (const { before01, after01 } of dots) {
      low = Math.min(low, before01, after01);
      high = Math.max(high, before01, after01);
    }
    const x = linear([low, high], [SCATTER_MARGIN.left, width - SCATTER_MARGIN.right]);
    const y = linear([low, high], [height - SCATTER_MARGIN.bottom, SCATTER_MARGIN.top]);
    const grid = svg('g', { class: 'ticks' });
    for (let i = Math.ceil(low * 5); i <= high * 5; i += 1) {
      const value = i / 5;
      grid.append(
        svg('line', { x1: x.at(low), x2: x.at(high), y1: y.at(value), y2: y.at(value) }),
        svg('line', { x1: x.at(value), x2: x.at(value), y1: y.at(low), y2: y.at(high) }),
        svg('text', { x: x.at(value), y: y.at(low) + 18, 'text-anchor': 'middle' }, value.toFixed(1)),
        svg('text', { x: x.at(low) - 8, y: y.at(value) + 4, 'text-anchor': 'end' }, value.toFixed(1)),
      );
    }
    const middle = (y.at(low) + y.at(high)) / 2;
    grid.append(
      svg('text', { class: 'label', x: (x.at(low) + x.at(high)) / 2, y: height - 6, 'text-anchor': 'middle' }, `Score in ${xLabel}`),
      svg('text', { class: 'label', x: 12, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 12 ${middle})` }, `Score in ${yLabel}`),
      svg('line', { class: 'chance', x1: x.at(low), y1: y.at(low), x2: x.at(high), y2: y.at(high) }),
      svg('line', { class: 'border', x1: x.at(0.5), x2: x.at(0.5), y1: y.at(low), y2: y.at(high) }),
      svg('line', { class: 'border', x1: x.at(low), x2: x.at(high), y1: y.at(0.5), y2: y.at(0.5) }),
    );
    const marks = svg('g', { class: 'dots' });
    dots.forEach((dot, i) => {
      const kind = `${dot.is_anomalous ? 'bad' : 'good'}${dot.hasChanged ? ' changed' : ''}`;
      marks.append(svg('circle', { class: kind, 'data-i': i, cx: x.at(dot.before01), cy: y.at(dot.after01), r: dot.hasChanged ? 5 : 3.2 }));
    });
    plot.setAttribute('width', String(width));
    plot.setAttribute('height', String(height));
    plot.replaceChildren(grid, marks);
  }

  plot.addEventListener('pointerover', (event) => {
    const dot = event.target instanceof Element ? dots[Number(event.target.getAttribute('data-i') ?? -1)] : null;
    if (dot) readout.textContent = `${titleOf(dot)} · ${dot.is_anomalous ? 'defective' : 'good'} · ${dot.before01.toFixed(3)} → ${dot.after01.toFixed(3)}`;
  });
  onWidth(host, (newWidth) => {
    width = newWidth;
    draw();
  });
  return {
    /** @param {Dot[]} newDots */
    show(newDots) {
      // Changed pictures lie on top.
      dots = [...newDots].sort((a, b) => Number(a.hasChanged) - Number(b.hasChanged));
      readout.textContent = hint;
      if (width > 0) draw();
    },
  };
}
