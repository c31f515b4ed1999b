// One curve over the unit square, with the values under the cursor.

import { el, linear, onWidth, svg } from './dom.js';

const CURVE_MARGIN = { left: 44, right: 14, top: 12, bottom: 42 };

/**
 * @typedef {import('./stats.js').CurvePoint} CurvePoint
 * @typedef {{title: string, note: string, xLabel: string, yLabel: string, points: CurvePoint[],
 *   shadedUpTo?: number | null, diagonal?: boolean}} CurveSpec
 * @param {CurveSpec} spec
 */
export function createCurve(spec) {
  const { title, note, xLabel, yLabel, points } = spec;
  const readout = el('output', { class: 'readout' }, 'Point at the curve, or use the arrow keys.');
  const plot = svg('svg', { class: 'curve', tabindex: 0, role: 'img', 'aria-label': `${title}. ${note}` });
  const host = el('div', { class: 'plot' }, plot);
  const node = el(
    'figure',
    { class: 'panel curve-panel' },
    el('figcaption', {}, el('h3', {}, title), el('p', { class: 'quiet' }, note)),
    host,
    readout,
  );
  let width = 0;
  let cursor = -1;
  /** @type {{x: number, y: number} | null} */
  let mark = null;

  function draw() {
    const height = Math.min(width, 380);
    const x = linear([0, 1], [CURVE_MARGIN.left, width - CURVE_MARGIN.right]);
    const y = linear([0, 1], [height - CURVE_MARGIN.bottom, CURVE_MARGIN.top]);
    const grid = svg('g', { class: 'ticks' });
    for (let i = 0; i <= 5; i += 1) {
      const value = i / 5;
      grid.append(
        svg('line', { x1: x.at(0), x2: x.at(1), y1: y.at(value), y2: y.at(value) }),
        svg('line', { x1: x.at(value), x2: x.at(value), y1: y.at(0), y2: y.at(1) }),
        svg('text', { x: x.at(value), y: y.at(0) + 17, 'text-anchor': 'middle' }, value.toFixed(1)),
        svg('text', { x: x.at(0) - 8, y: y.at(value) + 4, 'text-anchor': 'end' }, value.toFixed(1)),
      );
    }
    const middle = (y.at(0) + y.at(1)) / 2;
    grid.append(
      svg('text', { class: 'label', x: (x.at(0) + x.at(1)) / 2, y: height - 6, 'text-anchor': 'middle' }, xLabel),
      svg(
        'text',
        { class: 'label', x: 12, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 12 ${middle})` },
        yLabel,
      ),
    );
    plot.setAttribute('width', String(width));
    plot.setAttribute('height', String(height));
    plot.replaceChildren(grid);
    if (spec.shadedUpTo != null) {
      const right = x.at(Math.min(1, spec.shadedUpTo));
      const size = { width: right - x.at(0), height: y.at(0) - y.at(1) };
      plot.append(svg('rect', { class: 'shade', x: x.at(0), y: y.at(1), ...size }));
    }
    if (spec.diagonal) {
      plot.append(svg('line', { class: 'chance', x1: x.at(0), y1: y.at(0), x2: x.at(1), y2: y.at(1) }));
    }
    const line = points.map((point) => `${x.at(point.x).toFixed(1)},${y.at(point.y).toFixed(1)}`);
    plot.append(svg('polyline', { class: 'line', points: line.join(' ') }));
    if (mark) plot.append(svg('circle', { class: 'mark', cx: x.at(mark.x), cy: y.at(mark.y), r: 5.5 }));
    if (cursor >= 0) {
      const point = points[cursor];
      plot.append(
        svg('line', { class: 'cross', x1: x.at(point.x), x2: x.at(point.x), y1: y.at(0), y2: y.at(1) }),
        svg('line', { class: 'cross', x1: x.at(0), x2: x.at(1), y1: y.at(point.y), y2: y.at(point.y) }),
        svg('circle', { class: 'cursor', cx: x.at(point.x), cy: y.at(point.y), r: 4 }),
      );
    }
    return { x, y };
  }

  /** @param {number} index */
  function pointAt(index) {
    cursor = Math.min(points.length - 1, Math.max(0, index));
    const { x, y, threshold } = points[cursor];
    const at = threshold === undefined ? '' : ` · threshold ${threshold.toFixed(3)}`;
    readout.textContent = `${xLabel} ${x.toFixed(3)} · ${yLabel} ${y.toFixed(3)}${at}`;
    draw();
  }

  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const { x, y } = draw();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let nearest = { index: 0, distance: Infinity };
    points.forEach((point, index) => {
      const distance = Math.hypot(x.at(point.x) - left, y.at(point.y) - top);
      if (distance < nearest.distance) nearest = { index, distance };
    });
    pointAt(nearest.index);
  });
  plot.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    pointAt(cursor + step);
  });
  onWidth(host, (newWidth) => {
    width = newWidth;
    draw();
  });
  return {
    node,
    /**
     * Puts a dot where the chosen threshold lies.
     * @param {{x: number, y: number} | null} point
     */
    setMark(point) {
      mark = point;
      if (width > 0) draw();
    },
  };
}
