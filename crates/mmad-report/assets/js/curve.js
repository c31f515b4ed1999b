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
  let x = linear([0, 1], [0, 1]);
  let y = linear([0, 1], [1, 0]);
  // These two move with every threshold and every hover; all else is drawn once per width.
  const dot = svg('circle', { class: 'mark', r: 5.5 });
  const cross = svg('path', { class: 'cross' });
  const under = svg('circle', { class: 'cursor', r: 4 });

  function draw() {
    const height = Math.min(width, 340);
    x = linear([0, 1], [CURVE_MARGIN.left, width - CURVE_MARGIN.right]);
    y = linear([0, 1], [height - CURVE_MARGIN.bottom, CURVE_MARGIN.top]);
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
    plot.append(svg('polyline', { class: 'line', points: line.join(' ') }), dot, cross, under);
    move();
  }

  function move() {
    const point = points[cursor];
    dot.toggleAttribute('hidden', !mark);
    if (mark) place(dot, mark);
    cross.toggleAttribute('hidden', !point);
    under.toggleAttribute('hidden', !point);
    if (!point) return;
    place(under, point);
    const [left, top] = [x.at(point.x), y.at(point.y)];
    cross.setAttribute('d', `M${left} ${y.at(0)}V${y.at(1)}M${x.at(0)} ${top}H${x.at(1)}`);
  }

  /**
   * @param {Element} circle
   * @param {{x: number, y: number}} point
   */
  function place(circle, point) {
    circle.setAttribute('cx', String(x.at(point.x)));
    circle.setAttribute('cy', String(y.at(point.y)));
  }

  /** @param {number} index */
  function pointAt(index) {
    cursor = Math.min(points.length - 1, Math.max(0, index));
    const { x: across, y: up, threshold } = points[cursor];
    const at = threshold === undefined ? '' : ` · threshold ${threshold.toFixed(3)}`;
    readout.textContent = `${xLabel} ${across.toFixed(3)} · ${yLabel} ${up.toFixed(3)}${at}`;
    move();
  }

  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let nearest = { index: 0, distance: Infinity };
    points.forEach((point, index) => {
      const distance = Math.hypot(x.at(point.x) - left, y.at(point.y) - top);
      if (distance < nearest.distance) nearest = { index, distance };
    });
    pointAt(nearest.index);
  });
  plot.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: 20, PageDown: -20 }[event.key];
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
      move();
    },
  };
}
