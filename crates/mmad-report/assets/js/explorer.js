// Everything that follows class and threshold: histogram, matrix, mistakes, pictures, curves.
// It takes one evaluation as plain data and does not ask where that came from.

import { decodeColormap } from './colour.js';
import { meanCurves, showCurves } from './curves.js';
import { byId, el, setText } from './dom.js';
import { oncePerFrame } from './frames.js';
import { createGallery, outcomeBadge } from './gallery.js';
import { createHistogram } from './histogram.js';
import { createMistakes } from './mistakes.js';
import { createOutcome } from './outcome.js';
import { copyButton } from './page.js';
import { SHIPPED, confusion, decide, presets, rawScoreAt, roundThreshold } from './stats.js';
import { createThumbs } from './thumbs.js';
import { createMapStyle, createViewControls, createViewer } from './viewer.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').ReviewOf} ReviewOf
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./curves.js').Curve} Curve
 * @typedef {{classes: string[], scores: ScoreRow[], pictures: Picture[], curves: Curve[],
 *   sheets: import('./thumbs.js').Sheet[], reviews: [string, number][],
 *   anchors: [string, number, number][], colormaps: [string, string][]}} Evaluation
 *   `reviews` holds the shipped review threshold of each class that has one, `anchors` places on
 *   the scale of the scores with the raw score there
 */

/** Where a review band begins when nobody shipped one. */
const FIRST_REVIEW = 0.4;

/** @param {Evaluation} data */
export function createExplorer(data) {
  const colormaps = Object.fromEntries(data.colormaps.map(([name, text]) => [name, decodeColormap(text)]));
  const view = { opacity: 0.7, colormap: data.colormaps[0][0], contour: true };
  const shippedReviews = new Map(data.reviews);
  // The empty name stands for all classes together; a class keeps its own thresholds.
  let className = '';
  /** @type {Map<string, number>} */
  const thresholds = new Map();
  /** @type {Map<string, number>} */
  const reviews = new Map();
  let hasReview = shippedReviews.size > 0;
  let rows = data.scores;
  /** @type {{good: ScoreRow[], bad: ScoreRow[]}} */
  let sorted = { good: [], bad: [] };
  let pictures = data.pictures;
  let isNewClass = true;
  /** @type {(chosen: import('./curves.js').Chosen) => void} */
  let markCurves = () => {};

  const threshold = () => thresholds.get(className) ?? SHIPPED;
  /** The one review line that is shown; null without any, or with one per class. */
  function review() {
    if (!hasReview) return null;
    const own = reviews.get(className) ?? (className === '' ? null : shippedReviews.get(className) ?? FIRST_REVIEW);
    if (own === null && shippedReviews.size === 0) return Math.min(FIRST_REVIEW, threshold());
    return own === null ? null : Math.min(own, threshold());
  }
  /** @returns {ReviewOf | null} */
  function reviewOf() {
    if (!hasReview) return null;
    const line = review();
    if (line !== null) return () => line;
    const highest = threshold();
    return (row) => Math.min(shippedReviews.get(row.class) ?? highest, highest);
  }
  const limits = () => ({ threshold: threshold(), reviewOf: reviewOf() });

  /** @param {number} value */
  function setThreshold(value) {
    if (!Number.isFinite(value)) return;
    thresholds.set(className, roundThreshold(value));
    showThreshold();
  }
  /** @param {number} value */
  function setReview(value) {
    if (!Number.isFinite(value)) return;
    reviews.set(className, Math.min(roundThreshold(value), threshold()));
    showThreshold();
  }

  const options = data.classes.map((name, i) => el('option', { value: i }, name));
  const choice = el('select', { id: 'class' }, el('option', { value: '' }, 'All classes'), ...options);
  const number = el('input', { type: 'number', id: 'threshold', step: 0.001 });
  const hasReviewBox = el('input', { type: 'checkbox', id: 'has-review', checked: hasReview });
  const reviewNumber = el('input', { type: 'number', id: 'review', step: 0.001, 'aria-label': 'Review from' });
  const [nRejects, nMisses, nReviews] = ['wrong-good', 'wrong-bad', 'review'].map((kind) => el('span', { class: `badge ${kind}` }));
  const summary = el('output', { class: 'summary' }, nRejects, nMisses, nReviews);
  choice.addEventListener('change', () => {
    className = choice.value === '' ? '' : data.classes[Number(choice.value)];
    showClass();
  });
  number.addEventListener('change', () => setThreshold(number.valueAsNumber));
  reviewNumber.addEventListener('change', () => setReview(reviewNumber.valueAsNumber));
  hasReviewBox.addEventListener('change', () => {
    hasReview = hasReviewBox.checked;
    showThreshold();
  });
  byId('controls').append(
    el('label', {}, 'Class', choice),
    el('label', {}, 'Threshold', number),
    el('label', {}, hasReviewBox, 'Review band'),
    reviewNumber,
    summary,
  );

  const rawWords = el('span');
  const command = copyButton('Copy the command', () => {
    const quoted = `${className}=${rawScore()?.toPrecision(6)}`.replaceAll("'", "'\\''");
    return `mmad calibrate MODEL --set '${quoted}'`;
  });
  byId('raw').append(rawWords, command);

  const histogram = createHistogram(byId('histogram'), setThreshold, setReview);
  const outcome = createOutcome(byId('confusion'));
  const styleMaps = createMapStyle(view);
  const redraw = oncePerFrame(() => {
    styleMaps();
    controls.show();
    gallery.recolour();
    mistakes.recolour();
    viewer.redraw();
  });
  const controls = createViewControls(view, colormaps, redraw);
  const viewer = createViewer(view, colormaps, redraw, (picture) => [outcomeBadge(picture, limits())]);
  byId('gallery').append(controls.node);
  const gallery = createGallery(byId('gallery'), view, colormaps, viewer.open);

  const key = (/** @type {{class: string, name: string}} */ { class: of, name }) => `${of}\n${name}`;
  const large = new Map(data.pictures.map((picture) => [key(picture), picture]));
  const thumbs = createThumbs(data.sheets, data.scores);
  /** @type {(row: ScoreRow) => import('./viewer.js').Entry} */
  const entryOf = (row) =>
    large.get(key(row)) ?? (() => {
      const shipped = decide(row, SHIPPED, () => shippedReviews.get(row.class) ?? SHIPPED);
      const verdict = { rejected: 'defect', review: 'review', passed: 'ok' }[shipped];
      return thumbs.picture(row, verdict, rawScoreAt(withAnchors(row.class), SHIPPED) ?? Number.NaN);
    });
  const mistakes = createMistakes(byId('mistakes'), thumbs, view, colormaps, (list, index) => {
    // Without a large or small copy there is nothing to open.
    const shown = list.filter((row) => large.has(key(row)) || thumbs.has(row));
    const at = shown.indexOf(list[index]);
    if (at >= 0) viewer.open(shown.map(entryOf), at);
  });

  function showClass() {
    rows = className === '' ? data.scores : data.scores.filter((row) => row.class === className);
    sorted = {
      good: rows.filter((row) => !row.is_anomalous).sort((a, b) => b.score01 - a.score01),
      bad: rows.filter((row) => row.is_anomalous).sort((a, b) => a.score01 - b.score01),
    };
    pictures = className === '' ? data.pictures : data.pictures.filter((picture) => picture.class === className);
    const named = presets(rows);
    /** @type {[string, number | null][]} */
    const choices = [
      ['Shipped', SHIPPED],
      ['Best F1', named.bestF1],
      ['No misses', named.noMiss],
      ['No false rejects', named.noFalseReject],
    ];
    const buttons = choices.flatMap(([label, value]) => {
      if (value === null) return [];
      const click = () => {
        if (label === 'Shipped') reviews.delete(className);
        setThreshold(value);
      };
      return [el('button', { type: 'button', click }, label)];
    });
    byId('presets').replaceChildren(...buttons);
    const given = className === '' ? meanCurves(data.curves) : data.curves.filter((curve) => curve.class === className);
    markCurves = showCurves(byId('curve-plots'), rows, given);
    byId('curves-note').textContent =
      className === '' && data.curves.length > 0
        ? 'Images of all classes on their common scale; pixels as the mean of the classes. Choose a class to see its own.'
        : '';
    isNewClass = true;
    showThreshold();
  }

  // All drawing waits for the next frame, so that a dragged line never lags behind the hand.
  const drawSoon = oncePerFrame(draw);
  function showThreshold() {
    number.value = threshold().toFixed(3);
    const line = review();
    reviewNumber.hidden = line === null;
    reviewNumber.value = line === null ? '' : line.toFixed(3);
    drawSoon();
  }

  function draw() {
    const { threshold: chosen, reviewOf: reviewed } = limits();
    const counts = confusion(rows, chosen, reviewed);
    const { falseRejects, misses, goodReviews, badReviews } = counts;
    setText(nRejects, `${falseRejects} false reject${falseRejects === 1 ? '' : 's'}`);
    setText(nMisses, `${misses} miss${misses === 1 ? '' : 'es'}`);
    setText(nReviews, `${goodReviews + badReviews} to review`);
    nReviews.hidden = !hasReview;
    histogram.show({ rows, threshold: chosen, review: review(), reviewOf: reviewed });
    const raw = rawScore();
    setText(rawWords, raw === null ? 'Choose a class to see its raw scores.' : `The raw score there is ${raw.toPrecision(4)}.`);
    command.hidden = raw === null;
    outcome.show(counts, hasReview);
    markCurves({ counts, threshold: chosen });
    const isPerClass = reviewed !== null && review() === null;
    // With one review line per class the misses are no longer the lowest scores of all.
    const missed = isPerClass ? sorted.bad.filter((row) => decide(row, chosen, reviewed) === 'passed') : sorted.bad;
    mistakes.show(sorted.good, missed, counts, isNewClass);
    isNewClass = false;
    gallery.show(pictures, { threshold: chosen, reviewOf: reviewed });
  }

  /**
   * What is known of the raw scale of a class: its pictures and its shipped thresholds.
   * @param {string} name
   */
  function withAnchors(name) {
    const ofClass = data.scores.filter((row) => row.class === name);
    const known = data.anchors.filter(([of]) => of === name);
    return [...ofClass, ...known.map(([, score01, score]) => ({ ...ofClass[0], score01, score }))];
  }

  function rawScore() {
    return className === '' ? null : rawScoreAt(withAnchors(className), threshold());
  }

  showClass();
}
