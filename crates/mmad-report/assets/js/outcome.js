// What the chosen threshold does: the confusion matrix, and the two lists of mistakes.

import { el, percent } from './dom.js';
import { confusion, wilson } from './stats.js';

/**
 * @typedef {import('./stats.js').ScoreRow} ScoreRow
 * @typedef {import('./stats.js').Confusion} Confusion
 */

/**
 * The four counts of one cell each, truth in rows and the model's word in columns.
 * @param {Confusion} counts
 */
export function confusionTable(counts) {
  const { hits, misses, falseRejects, passes } = counts;
  /** @type {(id: keyof Confusion, label: string, whole: number, kind: string) => HTMLElement} */
  const cell = (id, label, whole, kind) =>
    el(
      'td',
      { class: `cell ${kind}` },
      el('strong', { 'data-count': id }, String(counts[id])),
      el('span', {}, label),
      el('small', {}, percent(counts[id], whole)),
    );
  /** @type {(scope: string, text: string) => HTMLElement} */
  const heading = (scope, text) => el('th', { scope }, text);
  const good = passes + falseRejects;
  const bad = misses + hits;
  return el(
    'table',
    { class: 'confusion' },
    el('caption', { class: 'unseen' }, 'Confusion matrix at the chosen threshold'),
    el('thead', {}, el('tr', {}, el('td', {}), heading('col', 'Passed'), heading('col', 'Rejected'))),
    el(
      'tbody',
      {},
      el(
        'tr',
        {},
        heading('row', `Good (${good})`),
        cell('passes', 'right', good, ''),
        cell('falseRejects', 'false rejects', good, 'wrong-good'),
      ),
      el(
        'tr',
        {},
        heading('row', `Defective (${bad})`),
        cell('misses', 'misses', bad, 'wrong-bad'),
        cell('hits', 'right', bad, ''),
      ),
    ),
  );
}

/**
 * Both error rates in words, with what the number of pictures allows to say.
 * @param {Confusion} counts
 */
export function rateSentence({ hits, misses, falseRejects, passes }) {
  /** @type {(part: number, whole: number, words: string) => string} */
  const rate = (part, whole, words) => {
    if (whole === 0) return '';
    const [low, high] = wilson(part, whole).map((share) => (100 * share).toFixed(1));
    return `${part} of ${whole} ${words} (${percent(part, whole)}, 95 % interval ${low} to ${high} %). `;
  };
  return (
    rate(falseRejects, passes + falseRejects, 'good parts rejected') +
    rate(misses, misses + hits, 'defective parts missed')
  ).trim();
}

/**
 * False rejects and misses by name, the worst first.
 * @param {ScoreRow[]} rows
 * @param {number} threshold
 * @param {(row: ScoreRow) => (() => void) | null} opener what a click on a row does, if anything
 */
export function mistakeLists(rows, threshold, opener) {
  const { falseRejects, misses } = confusion(rows, threshold);
  /** @type {(title: string, kind: string, count: number, list: ScoreRow[]) => HTMLElement} */
  const panel = (title, kind, count, list) => {
    const items = list.map((row) => {
      const score = el('data', { value: row.score01 }, row.score01.toFixed(3));
      const label = [el('span', {}, `${row.class} / ${row.name}`), score];
      const open = opener(row);
      if (!open) return el('li', {}, el('span', { class: 'no-picture' }, ...label));
      return el('li', {}, el('button', { type: 'button', click: open }, ...label));
    });
    const names = el('ol', { tabindex: 0, 'aria-label': title }, ...items);
    const body = items.length > 0 ? names : el('p', { class: 'quiet' }, 'None.');
    const heading = el('h3', {}, title, el('span', { class: 'count' }, String(count)));
    return el('div', { class: `mistakes ${kind}` }, heading, body);
  };
  const rejected = rows.filter((row) => !row.is_anomalous && row.score01 >= threshold);
  const missed = rows.filter((row) => row.is_anomalous && row.score01 < threshold);
  return [
    panel('False rejects', 'wrong-good', falseRejects, rejected.sort((a, b) => b.score01 - a.score01)),
    panel('Misses', 'wrong-bad', misses, missed.sort((a, b) => a.score01 - b.score01)),
  ];
}
