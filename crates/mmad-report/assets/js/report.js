// The report page: reads its data from the page and keeps all parts on one class and threshold.

import { decodeColormap } from './colour.js';
import { showCurves } from './curves.js';
import { byId, el } from './dom.js';
import { createGallery, outcomeBadge } from './gallery.js';
import { createHistogram } from './histogram.js';
import { confusionTable, mistakeLists, rateSentence } from './outcome.js';
import { copyButton, makeSortable, themeToggle } from './page.js';
import { SHIPPED, confusion, presets, rawScoreAt, roundThreshold } from './stats.js';
import { createViewControls, createViewer } from './viewer.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./curves.js').Curve} Curve
 * @typedef {{classes: string[], scores: ScoreRow[], pictures: Picture[], curves: Curve[],
 *   copies: [string, string][], colormaps: [string, string][]}} ReportData
 */

/** @param {ReportData} data */
function start(data) {
  themeToggle(byId('theme'));
  for (const table of document.querySelectorAll('table')) if (table.id === 'metrics') makeSortable(table);
  byId('copies').append(...data.copies.map(([label, text]) => copyButton(label, text)));
  if (data.scores.length > 0) explore(data);
}

/** @param {ReportData} data */
function explore(data) {
  const colormaps = Object.fromEntries(data.colormaps.map(([name, text]) => [name, decodeColormap(text)]));
  const view = { opacity: 0.7, colormap: data.colormaps[0][0], contour: true };
  // The empty name stands for all classes together; a class keeps its own threshold.
  let className = '';
  /** @type {Map<string, number>} */
  const thresholds = new Map();
  let rows = data.scores;
  let pictures = data.pictures;
  let frame = 0;
  /** @type {(counts: import('./stats.js').Confusion) => void} */
  let markCurves = () => {};

  const threshold = () => thresholds.get(className) ?? SHIPPED;
  /** @param {number} value */
  function setThreshold(value) {
    if (!Number.isFinite(value)) return;
    thresholds.set(className, roundThreshold(value));
    showThreshold();
  }

  const options = data.classes.map((name, i) => el('option', { value: i }, name));
  const choice = el('select', { id: 'class' }, el('option', { value: '' }, 'All classes'), ...options);
  const number = el('input', { type: 'number', id: 'threshold', step: 0.001 });
  const summary = el('output', { class: 'summary' });
  choice.addEventListener('change', () => {
    className = choice.value === '' ? '' : data.classes[Number(choice.value)];
    showClass();
  });
  number.addEventListener('change', () => setThreshold(number.valueAsNumber));
  byId('controls').append(el('label', {}, 'Class', choice), el('label', {}, 'Threshold', number), summary);

  const histogram = createHistogram(byId('histogram'), setThreshold);
  const redraw = () => {
    controls.show();
    gallery.redraw();
    viewer.redraw();
  };
  const controls = createViewControls(view, colormaps, redraw);
  const viewer = createViewer(view, colormaps, redraw, (picture) => [outcomeBadge(picture, threshold())]);
  byId('gallery').append(controls.node);
  const gallery = createGallery(byId('gallery'), view, colormaps, viewer.open);

  /** @param {ScoreRow} row */
  const openRow = (row) => {
    const index = pictures.findIndex((picture) => picture.name === row.name && picture.class === row.class);
    return index < 0 ? null : () => viewer.open(pictures, index);
  };

  function showClass() {
    rows = className === '' ? data.scores : data.scores.filter((row) => row.class === className);
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
      return [el('button', { type: 'button', click: () => setThreshold(value) }, label)];
    });
    byId('presets').replaceChildren(...buttons);
    const given = data.curves.filter((curve) => curve.class === className);
    markCurves = showCurves(byId('curve-plots'), rows, given);
    showThreshold();
  }

  function showThreshold() {
    const counts = confusion(rows, threshold());
    const { falseRejects, misses } = counts;
    number.value = threshold().toFixed(3);
    summary.replaceChildren(
      el('span', { class: 'badge wrong-good' }, `${falseRejects} false reject${falseRejects === 1 ? '' : 's'}`),
      el('span', { class: 'badge wrong-bad' }, `${misses} miss${misses === 1 ? '' : 'es'}`),
    );
    histogram.show(rows, threshold());
    const raw = className === '' ? null : rawScoreAt(rows, threshold());
    byId('raw').textContent = raw === null ? '' : `Raw score about ${raw.toPrecision(4)}.`;
    byId('confusion').replaceChildren(confusionTable(counts), el('p', { class: 'quiet' }, rateSentence(counts)));
    markCurves(counts);
    // Long lists wait for the next frame, so that a dragged line never lags behind the hand.
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      byId('mistakes').replaceChildren(...mistakeLists(rows, threshold(), openRow));
      gallery.show(pictures, threshold());
    });
  }

  showClass();
}

start(JSON.parse(byId('report-data').textContent ?? '{}'));
