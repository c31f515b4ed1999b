// The report page: its data lies in the page itself.

import { byId } from './dom.js';
import { createExplorer } from './explorer.js';
import { copyButton, makeSortable, themeToggle } from './page.js';

/**
 * @typedef {import('./explorer.js').Evaluation & {copies: [string, string][]}} ReportData
 */

/** @param {ReportData} data */
function start(data) {
  themeToggle(byId('theme'));
  for (const table of document.querySelectorAll('table')) if (table.id === 'metrics') makeSortable(table);
  byId('copies').append(...data.copies.map(([label, text]) => copyButton(label, () => text)));
  if (data.scores.length > 0) createExplorer(data);
}

const reportData = document.getElementById('report-data');
if (reportData) start(JSON.parse(reportData.textContent ?? '{}'));
