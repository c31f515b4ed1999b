// What the chosen thresholds do: the confusion matrix, and both error rates in words.

import { el, percent, setText } from './dom.js';
import { wilson } from './stats.js';

/**
 * @typedef {import('./stats.js').Confusion} Confusion
 */

/**
 * The confusion matrix and its sentence. Cells are made once and change their texts, so that a
 * dragged threshold builds nothing.
 * @param {HTMLElement} host
 */
export function createOutcome(host) {
  const sentence = el('p', { class: 'quiet' });
  /** @type {ReturnType<typeof confusionTable> | null} */
  let table = null;
  let hasReview = false;
  return {
    /**
     * @param {Confusion} counts
     * @param {boolean} withReview
     */
    show(counts, withReview) {
      if (!table || hasReview !== withReview) {
        table = confusionTable(withReview);
        hasReview = withReview;
        host.replaceChildren(table.node, sentence);
      }
      table.show(counts);
      setText(sentence, rateSentence(counts));
    },
  };
}

/**
 * One cell for each count, truth in rows and the model's word in columns.
 * @param {boolean} withReview
 */
function confusionTable(withReview) {
  /** @type {((counts: Confusion, good: number, bad: number) => void)[]} */
  const cells = [];
  /** @type {(id: keyof Confusion, label: string, isGood: boolean, kind: string) => HTMLElement} */
  const cell = (id, label, isGood, kind) => {
    const [count, share] = [el('strong', { 'data-count': id }), el('small')];
    cells.push((counts, good, bad) => {
      setText(count, String(counts[id]));
      setText(share, percent(counts[id], isGood ? good : bad));
    });
    return el('td', { class: `cell ${kind}` }, count, el('span', {}, label), share);
  };
  /** @type {(scope: string, text?: string) => HTMLElement} */
  const heading = (scope, text = '') => el('th', { scope }, text);
  const columns = withReview ? ['Passed', 'Review', 'Rejected'] : ['Passed', 'Rejected'];
  /** @type {(id: keyof Confusion, isGood: boolean) => HTMLElement[]} */
  const review = (id, isGood) => (withReview ? [cell(id, 'to look at', isGood, 'review')] : []);
  const [goodHeading, badHeading] = [heading('row'), heading('row')];
  const node = el(
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
        goodHeading,
        cell('passes', 'right', true, ''),
        ...review('goodReviews', true),
        cell('falseRejects', 'false rejects', true, 'wrong-good'),
      ),
      el(
        'tr',
        {},
        badHeading,
        cell('misses', 'misses', false, 'wrong-bad'),
        ...review('badReviews', false),
        cell('hits', 'right', false, ''),
      ),
    ),
  );
  return {
    node,
    /** @param {Confusion} counts */
    show(counts) {
      const good = counts.passes + counts.goodReviews + counts.falseRejects;
      const bad = counts.misses + counts.badReviews + counts.hits;
      setText(goodHeading, `Good (${good})`);
      setText(badHeading, `Defective (${bad})`);
      for (const fill of cells) fill(counts, good, bad);
    },
  };
}

/**
 * Both error rates in words, with what the number of pictures allows to say.
 * @param {Confusion} counts
 */
function rateSentence({ hits, misses, falseRejects, passes, goodReviews, badReviews }) {
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
