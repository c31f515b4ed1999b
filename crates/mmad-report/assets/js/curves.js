// The curves of one class: two over its image scores, and those the report brings along.

import { createCurve } from './curve.js';
import { el } from './dom.js';
import { precisionRecall, roc } from './stats.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').Confusion} Confusion
 * @typedef {{class: string, title: string, x_label: string, y_label: string,
 *   points: [number, number][], shaded_up_to: number | null}} Curve
 */

/**
 * Puts the curves into `host`; the answer moves the dots to the counts of a threshold.
 * @param {HTMLElement} host
 * @param {ScoreRow[]} rows
 * @param {Curve[]} given
 * @returns {(counts: Confusion) => void}
 */
export function showCurves(host, rows, given) {
  const nodes = [];
  /** @type {((counts: Confusion) => void)[]} */
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
    marks.push(({ hits, misses, falseRejects, passes }) =>
      curve.setMark({ x: falseRejects / (falseRejects + passes), y: hits / (hits + misses) }));
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
    marks.push(({ hits, misses, falseRejects }) => {
      const rejected = hits + falseRejects;
      curve.setMark(rejected > 0 ? { x: hits / (hits + misses), y: hits / rejected } : null);
    });
  }
  for (const { title, x_label, y_label, points, shaded_up_to } of given) {
    const curve = createCurve({
      title,
      note: shaded_up_to === null ? '' : `The shaded part, up to ${shaded_up_to}, counts.`,
      xLabel: x_label,
      yLabel: y_label,
      points: points.map(([x, y]) => ({ x, y })),
      shadedUpTo: shaded_up_to,
    });
    nodes.push(curve.node);
  }
  if (nodes.length === 0) nodes.push(el('p', { class: 'quiet' }, 'A curve needs good and defective test pictures.'));
  host.replaceChildren(...nodes);
  return (counts) => marks.forEach((mark) => mark(counts));
}
