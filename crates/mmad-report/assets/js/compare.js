// The page of two runs: its data lies in the page itself.

import { byId, choiceRow, el, titleOf } from './dom.js';
import { copyButton, makeSortable, themeToggle } from './page.js';
import { createScatter } from './scatter.js';

/**
 * @typedef {{class: string, name: string, is_anomalous: boolean, before01: number, after01: number}} Compared
 * @typedef {{picture: number, before: string, after: string, is_better: boolean}} Changed
 * @typedef {{before: string, after: string, pictures: Compared[], changed: Changed[],
 *   copies: [string, string][]}} ComparisonData
 */

/** @param {ComparisonData} data */
function startComparison(data) {
  themeToggle(byId('theme'));
  const table = document.querySelector('#metrics');
  if (table instanceof HTMLTableElement) makeSortable(table);
  byId('copies').append(...data.copies.map(([label, text]) => copyButton(label, () => text)));

  const changedAt = new Set(data.changed.map(({ picture }) => picture));
  const dots = data.pictures.map((picture, i) => ({ ...picture, hasChanged: changedAt.has(i) }));
  const classes = [...new Set(data.pictures.map((picture) => picture.class))];
  let className = '';
  let kind = 'all';

  const choice = el(
    'select',
    { id: 'class' },
    el('option', { value: '' }, 'All classes'),
    ...classes.map((name, i) => el('option', { value: i }, name)),
  );
  choice.addEventListener('change', () => {
    className = choice.value === '' ? '' : classes[Number(choice.value)];
    show();
  });
  byId('filter').append(el('label', {}, 'Class', choice));
  const scatter = createScatter(byId('scatter'), data.before, data.after);
  const kinds = [
    { value: 'all', label: 'All' },
    { value: 'worse', label: 'Worse' },
    { value: 'better', label: 'Better' },
  ];
  const tabs = choiceRow('Changed verdicts to show', kinds, kind, (value) => {
    kind = value;
    show();
  });
  byId('kinds').append(tabs.node);

  function show() {
    const isShown = (/** @type {Compared} */ picture) => className === '' || picture.class === className;
    scatter.show(dots.filter(isShown));
    const ofClass = data.changed.filter(({ picture }) => isShown(data.pictures[picture]));
    for (const { value, label } of kinds) {
      const text = tabs.texts.get(value);
      const n = ofClass.filter((change) => value === 'all' || change.is_better === (value === 'better')).length;
      if (text) text.textContent = `${label} ${n}`;
    }
    const rows = ofClass.filter((change) => kind === 'all' || change.is_better === (kind === 'better'));
    byId('changes').replaceChildren(rows.length > 0 ? changesTable(rows, data.pictures) : el('p', { class: 'quiet none' }, 'No such picture.'));
  }
  show();
}

/**
 * @param {Changed[]} rows
 * @param {Compared[]} pictures
 */
function changesTable(rows, pictures) {
  const badge = (/** @type {string} */ verdict) => {
    const look = { ok: 'right', review: 'review', defect: 'wrong-bad' }[verdict] ?? '';
    return el('span', { class: `badge ${look}` }, verdict);
  };
  const body = rows.map(({ picture, before, after, is_better }) => {
    const row = pictures[picture];
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, titleOf(row)),
      el('td', {}, row.is_anomalous ? 'defective' : 'good'),
      el('td', {}, badge(before), ' → ', badge(after)),
      el('td', {}, `${row.before01.toFixed(3)} → ${row.after01.toFixed(3)}`),
      el('td', {}, el('span', { class: `badge ${is_better ? 'better' : 'worse'}` }, is_better ? 'better' : 'worse')),
    );
  });
  const headings = ['picture', 'truth', 'verdict', 'score', ''].map((text) => el('th', { scope: 'col' }, text));
  return el(
    'table',
    { class: 'numbers changes' },
    el('caption', { class: 'unseen' }, 'Pictures whose verdict changed'),
    el('thead', {}, el('tr', {}, ...headings)),
    el('tbody', {}, ...body),
  );
}

const comparisonData = document.getElementById('comparison-data');
if (comparisonData) startComparison(JSON.parse(comparisonData.textContent ?? '{}'));
