// What thresholds do to scores, and the curves over all thresholds.
// A picture is rejected when its score is at least the threshold; equal scores are one step.

/**
 * @typedef {{class: string, name: string, is_anomalous: boolean, score01: number, score: number}} ScoreRow
 * @typedef {{x: number, y: number, threshold?: number}} CurvePoint
 * @typedef {{hits: number, misses: number, falseRejects: number, passes: number,
 *   goodReviews: number, badReviews: number}} Confusion
 * @typedef {'passed' | 'review' | 'rejected'} Decision
 * @typedef {(row: {class: string}) => number} ReviewOf the review threshold of a picture
 */

/** The threshold the model was shipped with, on the scale of `score01`. */
export const SHIPPED = 0.5;

/**
 * @param {{class: string, score01: number}} row
 * @param {number} threshold
 * @param {ReviewOf | null} reviewOf
 * @returns {Decision}
 */
export function decide(row, threshold, reviewOf) {
  if (row.score01 >= threshold) return 'rejected';
  return reviewOf && row.score01 >= reviewOf(row) ? 'review' : 'passed';
}

/**
 * @param {ScoreRow[]} rows
 * @param {number} threshold
 * @param {ReviewOf | null} reviewOf
 * @returns {Confusion}
 */
export function confusion(rows, threshold, reviewOf) {
  const counts = { hits: 0, misses: 0, falseRejects: 0, passes: 0, goodReviews: 0, badReviews: 0 };
  for (const row of rows) {
    const decision = decide(row, threshold, reviewOf);
    if (decision === 'rejected') counts[row.is_anomalous ? 'hits' : 'falseRejects'] += 1;
    else if (decision === 'review') counts[row.is_anomalous ? 'badReviews' : 'goodReviews'] += 1;
    else counts[row.is_anomalous ? 'misses' : 'passes'] += 1;
  }
  return counts;
}

/**
 * The counts at every distinct score, from the highest down.
 * @param {ScoreRow[]} rows
 */
function sweep(rows) {
  const sorted = [...rows].sort((a, b) => b.score01 - a.score01);
  const steps = [];
  let hits = 0;
  let falseRejects = 0;
  for (let i = 0; i < sorted.length; i += 1) {
    if (sorted[i].is_anomalous) hits += 1;
    else falseRejects += 1;
    const threshold = sorted[i].score01;
    if (sorted[i + 1]?.score01 !== threshold) steps.push({ hits, falseRejects, threshold });
  }
  return { steps, positives: hits, negatives: falseRejects };
}

/**
 * ROC curve and the area under it (a tie counts one half); null when a kind of part is missing.
 * @param {ScoreRow[]} rows
 * @returns {{points: CurvePoint[], area: number} | null}
 */
export function roc(rows) {
  const { steps, positives, negatives } = sweep(rows);
  if (positives === 0 || negatives === 0) return null;
  /** @type {CurvePoint[]} */
  const points = [{ x: 0, y: 0 }];
  let twiceArea = 0;
  let last = { hits: 0, falseRejects: 0 };
  for (const step of steps) {
    twiceArea += (step.falseRejects - last.falseRejects) * (step.hits + last.hits);
    points.push({ x: step.falseRejects / negatives, y: step.hits / positives, threshold: step.threshold });
    last = step;
  }
  return { points, area: twiceArea / (2 * positives * negatives) };
}

/**
 * Precision over recall and the average precision (sum of steps, no interpolation).
 * @param {ScoreRow[]} rows
 * @returns {{points: CurvePoint[], area: number} | null}
 */
export function precisionRecall(rows) {
  const { steps, positives } = sweep(rows);
  if (positives === 0) return null;
  /** @type {CurvePoint[]} */
  const points = [];
  let area = 0;
  let lastHits = 0;
  for (const { hits, falseRejects, threshold } of steps) {
    const precision = hits / (hits + falseRejects);
    area += ((hits - lastHits) / positives) * precision;
    points.push({ x: hits / positives, y: precision, threshold });
    lastHits = hits;
  }
  return { points, area };
}

/**
 * 95 % interval of a share (Wilson 1927), as fractions.
 * @param {number} part
 * @param {number} whole
 * @returns {[number, number]}
 */
export function wilson(part, whole) {
  const z = 1.959964;
  const share = part / whole;
  const middle = share + (z * z) / (2 * whole);
  const half = z * Math.sqrt((share * (1 - share)) / whole + (z * z) / (4 * whole * whole));
  const scale = 1 + (z * z) / whole;
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)];
}

/** @param {number} value */
export function roundThreshold(value) {
  return Math.round(value * 1000) / 1000;
}

/**
 * Thresholds worth a button, on steps of 0.001; null where a kind of part is missing.
 * @param {ScoreRow[]} rows
 */
export function presets(rows) {
  const { steps, positives, negatives } = sweep(rows);
  // Steps fall: the last that gains a hit holds the lowest defective score, the first that gains a
  // false reject the highest good one.
  const lowestBad = steps.find(({ hits }) => hits === positives)?.threshold ?? SHIPPED;
  const highestGood = steps.find(({ falseRejects }) => falseRejects > 0)?.threshold ?? SHIPPED;
  let best = { f1: -1, threshold: SHIPPED };
  steps.forEach(({ hits, falseRejects, threshold }, i) => {
    const f1 = (2 * hits) / (positives + hits + falseRejects);
    // Half way to the next score below: the same counts, with room on both sides.
    const below = steps[i + 1]?.threshold ?? threshold;
    if (f1 > best.f1) best = { f1, threshold: roundThreshold((threshold + below) / 2) };
  });
  return {
    bestF1: positives > 0 && negatives > 0 ? best.threshold : null,
    noMiss: positives > 0 ? Math.floor(lowestBad * 1000) / 1000 : null,
    noFalseReject: negatives > 0 ? roundThreshold(Math.floor(highestGood * 1000) / 1000 + 0.001) : null,
  };
}

/**
 * The raw score that belongs to a threshold, read off between the two nearest pictures of one
 * class. It lies between them in log odds, as the scale itself does below its threshold.
 * @param {ScoreRow[]} rows
 * @param {number} threshold
 */
export function rawScoreAt(rows, threshold) {
  const sorted = [...rows].sort((a, b) => a.score01 - b.score01);
  const above = sorted.findIndex((row) => row.score01 >= threshold);
  if (above < 0 || sorted.length < 2) return null;
  // Below the lowest score the two lowest stand for the scale.
  const [low, high] = [sorted[Math.max(0, above - 1)], sorted[Math.max(1, above)]];
  const odds = (/** @type {number} */ share) => Math.log(share / (1 - share));
  /** @type {(at: (share: number) => number) => number} */
  const between = (at) => (at(threshold) - at(low.score01)) / (at(high.score01) - at(low.score01));
  const t = between(odds);
  const score = sorted[0].score > 0 ? low.score * (high.score / low.score) ** t : low.score + t * (high.score - low.score);
  if (Number.isFinite(score)) return score;
  const linear = low.score + between((share) => share) * (high.score - low.score);
  return Number.isFinite(linear) ? linear : null;
}

/**
 * Good and defective pictures per bin, those decided wrongly apart.
 * @param {ScoreRow[]} rows
 * @param {[number, number]} domain
 * @param {number} nBins
 * @param {number} threshold
 * @param {ReviewOf | null} reviewOf
 */
export function histogram(rows, [low, high], nBins, threshold, reviewOf) {
  const bins = Array.from({ length: nBins }, () => ({ good: 0, goodWrong: 0, bad: 0, badWrong: 0 }));
  for (const row of rows) {
    const i = Math.floor(((row.score01 - low) / (high - low)) * nBins);
    const bin = bins[Math.min(nBins - 1, Math.max(0, i))];
    const decision = decide(row, threshold, reviewOf);
    if (row.is_anomalous) {
      bin.bad += 1;
      if (decision === 'passed') bin.badWrong += 1;
    } else {
      bin.good += 1;
      if (decision === 'rejected') bin.goodWrong += 1;
    }
  }
  return bins;
}
