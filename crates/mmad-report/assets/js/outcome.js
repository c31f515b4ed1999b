// What the chosen thresholds do: the confusion matrix, and both error rates in words.

import { el, percent } from './dom.js';
import { wilson } from './stats.js';

/**
 * @typedef {import('./stats.js').Confusion} Confusion
 */

/**
 * The counts of one cell each, truth in rows and the model's word in columns.
 * @param {Confusion} counts
 * @param {boolean} withReview
 */
export function confusionTable(counts, withReview) {
  const { hits, misses, falseRejects, passes, goodReviews, badReviews } = counts;
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
  const good = passes + goodReviews + falseRejects;
  const bad = misses + badReviews + hits;
  const columns = withReview ? ['Passed', 'Review', 'Rejected'] : ['Passed', 'Rejected'];
  /** @type {(id: keyof Confusion, whole: number) => HTMLElement[]} */
  const review = (id, whole) => (withReview ? [cell(id, 'to look at', whole, 'review')] : []);
  return el(
    'table',
    { class: 'confusion' },
    el('caption', { class: 'unseen' }, 'Confusion matrix at the chosen threshold'),
    el('thead', {}, el('tr', {}, el('td', {}), ...columns.map((text) => heading('col', text)))),
    el(
      'tbody',
      {},
      el(
        'tr',
        {},
        heading('row', `Good (${good})`),
        cell('passes', 'right', good, ''),
        ...review('goodReviews', good),
        cell('falseRejects', 'false rejects', good, 'wrong-good'),
      ),
      el(
        'tr',
        {},
        heading('row', `Defective (${bad})`),
        cell('misses', 'misses', bad, 'wrong-bad'),
        ...review('badReviews', bad),
        cell('hits', 'right', bad, ''),
      ),
    ),
  );
}

/**
 * Both error rates in words, with what the number of pictures allows to say.
 * @param {Confusion} counts
 */
export function rateSentence({ hits, misses, falseRejects, passes, goodReviews, badReviews }) {
  /** @type {(part: number, whole: number, words: string) => string} */
  const rate = (part, whole, words) => {
    if (whole === 0) return '';
    const [low, high] = wilson(part, whole).map((share) => (100 * share).toFixed(1));
    return `${part} of ${whole} ${words} (${percent(part, whole)}, 95 % interval ${low} to ${high} %). `;
  };
  const bad = misses + badReviews + hits;
  return (
    rate(falseRejects, passes + goodReviews + falseRejects, 'good parts rejected') +
    rate(misses, bad, 'defective parts missed')
  ).trim();
}
