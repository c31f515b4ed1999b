// The curves of one class: two over its image scores, and those the report brings along.

import { createCurve } from './curve.js';
import { el } from './dom.js';
import { precisionRecall, roc } from './stats.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').Confusion} Confusion
 * @typedef {{class: string, title: string, x_label: string, y_label: string,
 *   note: string, points: [number, number][], thresholds: number[], shaded_up_to: number | null}} Curve
 * @typedef {{counts: Confusion, threshold: number}} Chosen
 */

/**
 * Puts the curves into `host`; the answer moves the dots to a threshold and its counts.
 * @param {HTMLElement} host
 * @param {ScoreRow[]} rows
 * @param {Curve[]} given
 * @returns {(chosen: Chosen) => void}
 */
export function showCurves(host, rows, given) {
  const nodes = [];
  /** @type {((chosen: Chosen) => void)[]} */
  const marks = [];
  const overRoc = roc(rows);
  if (overRoc) {
    const curve = createCurve({
      title: 'ROC, images',
      note: `Area ${(100 * overRoc.area).toFixed(1)} %`,
      xLabel: 'False reject rate',
      yLabel: 'Detection rate',
      points: overRoc.points,
      diagonal: true,
    });
    nodes.push(curve.node);
    marks.push(({ counts }) =>
      curve.setMark({ x: counts.falseRejects / nGood(counts), y: counts.hits / nBad(counts) }));
  }
  const overRecall = precisionRecall(rows);
  if (overRecall) {
    const curve = createCurve({
      title: 'Precision and recall, images',
      note: `Average precision ${(100 * overRecall.area).toFixed(1)} %`,
      xLabel: 'Recall',
      yLabel: 'Precision',
      points: overRecall.points,
    });
    nodes.push(curve.node);
    marks.push(({ counts }) => {
      const rejected = counts.hits + counts.falseRejects;
      curve.setMark(rejected > 0 ? { x: counts.hits / nBad(counts), y: counts.hits / rejected } : null);
    });
  }
  for (const { title, x_label, y_label, note, points, thresholds, shaded_up_to } of given) {
    const shaded = shaded_up_to === null ? '' : `The shaded part, up to ${shaded_up_to}, counts.`;
    const curve = createCurve({
      title,
      note: [note, shaded].filter((text) => text).join('. '),
      xLabel: x_label,
      yLabel: y_label,
      points: points.map(([x, y], i) => ({ x, y, threshold: thresholds[i] })),
      shadedUpTo: shaded_up_to,
    });
    nodes.push(curve.node);
    marks.push(({ threshold }) => {
      // Thresholds fall along the curve.
      const next = thresholds.findIndex((at) => at < threshold);
      const [x, y] = points[next < 0 ? points.length - 1 : Math.max(0, next - 1)];
      curve.setMark(thresholds.length > 0 ? { x, y } : null);
    });
  }
  if (nodes.length === 0) nodes.push(el('p', { class: 'quiet' }, 'A curve needs good and defective test pictures.'));
  host.replaceChildren(...nodes);
  return (chosen) => marks.forEach((mark) => mark(chosen));
}

/** Points of a mean curve: dense on the left, where the curves climb. */
const MEAN_POINTS = 200;

/**
 * The mean over the classes of the curves that share a title: at every place of the horizontal axis
 * the mean of the heights there (vertical averaging). It has no thresholds, since those differ.
 * @param {Curve[]} curves
 * @returns {Curve[]}
 */
export function meanCurves(curves) {
  const titles = [...new Set(curves.map((curve) => curve.title))];
  return titles.map((title) => {
    const own = curves.filter((curve) => curve.title === title);
    const classes = own.length === 1 ? 'class' : 'classes';
    const points = Array.from({ length: MEAN_POINTS + 1 }, (_, i) => {
      const x = (i / MEAN_POINTS) ** 2;
      const sum = own.reduce((total, curve) => total + heightAt(curve.points, x), 0);
      return /** @type {[number, number]} */ ([x, sum / own.length]);
    });
    return {
      ...own[0],
      class: '',
      title: `${title}, mean of ${own.length} ${classes}`,
      note: 'At each place of the horizontal axis, the mean of the heights of the classes',
      points,
      thresholds: [],
    };
  });
}

/**
 * The height of a curve, level outside its points. Where it climbs straight up, the top counts.
 * @param {[number, number][]} points from left to right
 * @param {number} x
 */
function heightAt(points, x) {
  const after = points.findIndex(([at]) => at > x);
  if (after === 0) return points[0][1];
  if (after < 0) return points[points.length - 1][1];
  const [[x0, y0], [x1, y1]] = [points[after - 1], points[after]];
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

/** @param {Confusion} counts */
const nGood = ({ passes, goodReviews, falseRejects }) => passes + goodReviews + falseRejects;

/** @param {Confusion} counts */
const nBad = ({ misses, badReviews, hits }) => misses + badReviews + hits;
